from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from tests.carvana import disc, picture_of
from unet_core.audit import audit
from unet_core.files import sha256
from unet_core.images import encode_jpeg, encode_mask
from worker.corrections.shelf import INDEX, Entry, Shelf
from worker.errors import FolderError
from worker.outbox.manifest import SourceRecord


def put(shelf: Shelf, frame: str, *, shoot: str = "golf", photo: int = 1, drawn: int = 1) -> Entry:
    """A correction of photo number ``photo``, drawn in the way number ``drawn``."""
    mask = disc(64, 96, centre=(32, 40), radius=15 + drawn)
    picture, data = encode_jpeg(picture_of(mask, seed=photo)), encode_mask(mask)
    source = SourceRecord(path=f"{shoot}/{frame}.png", size=1, mtime_ns=1, sha256=sha256(data))
    entry = Entry(
        car=shoot,
        shoot=shoot,
        frame=frame,
        picture=f"{frame}.JPG",
        mask="",
        source=source,
        photo_sha256=str(photo),
        mask_sha256="",
        date="2026-11-25T12:00:00+00:00",
    )
    return shelf.put(entry, picture, data, angle=photo)


def test_corrections_become_a_folder_that_training_reads(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    put(shelf, "IMG_1", photo=1)
    put(shelf, "IMG_2", photo=2)
    put(shelf, "IMG_1", shoot="van_7", photo=3)
    found = audit(shelf.folder)
    assert not found.problems
    assert [(pair.car, pair.angle) for pair in found.pairs] == [
        ("golf", 1),
        ("golf", 2),
        ("van_7", 3),
    ]


def test_of_two_corrections_of_one_photo_the_last_one_wins_and_it_is_said(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    first, last = put(shelf, "01", drawn=1), put(shelf, "01", drawn=2)
    assert shelf.entries() == [last]
    assert (first.replaces, last.replaces) == (None, first.source.sha256)
    assert sha256((tmp_path / last.mask).read_bytes()) == last.mask_sha256
    assert put(shelf, "01", drawn=2).replaces is None


def test_the_copy_of_a_photo_is_of_the_same_car(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    first, copy = put(shelf, "02"), put(shelf, "02", shoot="golf-again", drawn=2)
    assert (copy.car, copy.picture, copy.shoot) == (first.car, first.picture, "golf-again")


def test_two_photos_of_one_angle_both_have_their_place(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    entries = [put(shelf, "01", photo=1), put(shelf, "01-tif", photo=1)]
    other = shelf.put(
        entries[1].model_copy(update={"photo_sha256": "another"}), b"photo", b"mask", angle=1
    )
    assert {entry.picture for entry in shelf.entries()} == {"train/golf_01.jpg", other.picture}
    assert other.picture == "train/golf_1000.jpg"
    assert shelf.of_photo("another") == other


def test_the_longest_name_of_a_shoot_still_fits(tmp_path: Path) -> None:
    assert put(Shelf(tmp_path), "01", shoot="ü" * 127).mask.endswith("_01_mask.png")


def _put_many(folder: Path, first: int) -> None:
    for number in range(first, first + 10):
        put(Shelf(folder), f"{number}", photo=number)


def test_two_workers_lose_none_of_each_others_corrections(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_put_many, args=(tmp_path, n)) for n in (1, 100)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert len(Shelf(tmp_path).entries()) == 20


def test_a_damaged_index_is_named_and_never_written_over(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text("{")
    with pytest.raises(FolderError, match=r"index\.json.*backup"):
        put(Shelf(tmp_path), "01")
    assert (tmp_path / INDEX).read_text() == "{"
