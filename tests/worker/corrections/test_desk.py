"""The corrections of one shoot beside its latest edition: what waits, what is taken up."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.carvana import disc
from tests.parts import drop_photos, manifest_with, row_of, shoot_in
from unet_core.files import sha256
from unet_core.images import decode, encode_mask
from worker.corrections.desk import Corrected, Desk, Edition, fitted, unanswered
from worker.corrections.drops import look_at
from worker.corrections.shelf import FOLDER, INDEX, Shelf
from worker.errors import CorrectionError, FolderError
from worker.outbox.manifest import Failure, SourceRecord
from worker.outbox.places import Places
from worker.outbox.publish import Staging

Pixels = NDArray[np.uint8]
MASK = disc(32, 48, centre=(16, 24), radius=8)
WIDER = disc(32, 48, centre=(16, 24), radius=9)


class Studio:
    """A finished shoot of two photos, and its corrections folder."""

    def __init__(self, places: Places) -> None:
        self.places, self.folder = places, places.inbox.parent / "corrections"
        drop_photos(places.inbox / "car", 2)
        self.edition = self.publish()

    def publish(self, **changes: object) -> Edition:
        """An edition; ``changes`` to the row of its first frame."""
        staging, rows = Staging(self.places, "car"), []
        for frame in shoot_in(self.places.inbox, "car").frames:
            photo = decode(self.places.inbox / frame.source.path)
            row = row_of(frame.source, frame.name, width=48, height=32)
            source = row.source.model_copy(update={"sha256": photo.sha256})
            outputs = {"mask": staging.write(f"masks/{frame.name}.png", encode_mask(MASK))}
            rows.append(row.model_copy(update={"source": source, "outputs": outputs}))
        rows[0] = rows[0].model_copy(update=changes)
        folder = staging.publish(manifest := manifest_with("car", rows))
        return Edition(folder, manifest)

    def drop(self, frame: str, mask: Pixels = WIDER) -> Path:
        file = self.folder / "car" / f"{frame}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(file)
        return file

    def desk(self) -> Desk:
        return Desk(self.folder, "car", self.edition)

    def examine(self, frame: str) -> Pixels:
        return self.desk().examine(look_at(self.folder, "car")[frame])

    def mask_of(self, frame: str, desk: Desk | None = None) -> Corrected | None:
        path = self.places.inbox / "car" / f"{frame}.jpg"
        return (desk or self.desk()).mask_of(frame, int(frame), decode(path), path)


@pytest.fixture
def studio(places: Places) -> Studio:
    return Studio(places)


def test_a_mask_in_force_that_cannot_be_read_is_no_fault_of_the_photo(studio: Studio) -> None:
    dropped = studio.drop("01")
    assert studio.mask_of("01")
    dropped.unlink()
    (mask,) = (studio.folder / FOLDER / "train_masks").iterdir()
    mask.rename(mask.with_suffix(".away"))
    with pytest.raises(FolderError, match=r"in force for car/01.*Bring it back"):
        studio.mask_of("01")


def test_what_waits_is_what_can_be_used_and_the_rest_is_logged(
    studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    studio.drop("01")
    studio.drop("02", 255 - MASK)
    studio.drop("ghost")
    assert set(studio.desk().waiting) == {"01"}
    assert "car/02.png: 02.png is inverted" in caplog.text
    assert "the shoot car has no frame 'ghost'. It has: 01, 02" in caplog.text


def test_what_waits_stays_as_it_was_when_it_was_first_asked(studio: Studio) -> None:
    desk = studio.desk()
    first = studio.drop("01")
    waiting = desk.waiting
    assert waiting["01"].mtime_ns == first.stat().st_mtime_ns
    studio.drop("02")
    assert set(desk.waiting) == {"01"}
    assert set(studio.desk().waiting) == {"01", "02"}


def test_a_file_that_an_edition_was_made_from_waits_no_more(studio: Studio) -> None:
    stat = studio.drop("01").stat()
    record = SourceRecord(path="car/01.png", size=stat.st_size, mtime_ns=stat.st_mtime_ns)
    studio.edition = studio.publish(correction=record)
    assert studio.desk().waiting == {}
    files = {"01": record.source()}
    assert unanswered(files, studio.edition) == {}
    assert unanswered(files, None) == files


def test_a_mask_for_a_frame_that_failed_says_why_it_failed(studio: Studio) -> None:
    studio.edition = studio.publish(
        outputs={}, error=Failure(code="truncated", message="it ends before its end")
    )
    studio.drop("01")
    with pytest.raises(CorrectionError, match=r"it ends before its end\. Mend its photo first"):
        studio.examine("01")


def test_a_mask_that_is_used_goes_onto_the_shelf_with_its_photo_and_hashes(studio: Studio) -> None:
    file = studio.drop("01")
    found = studio.mask_of("01")
    assert found
    assert (found.alpha == WIDER).all()
    assert found.record.sha256 == sha256(file.read_bytes())
    shelf = Shelf(studio.folder / FOLDER)
    (entry,) = shelf.entries()
    photo = (studio.places.inbox / "car/01.jpg").read_bytes()
    assert (entry.car, entry.frame, entry.photo_sha256) == ("car", "01", sha256(photo))
    assert (shelf.folder / entry.picture).read_bytes() == photo
    assert (np.asarray(Image.open(shelf.folder / entry.mask)) == WIDER).all()


def test_a_mask_on_the_shelf_is_used_for_its_photo_alone_when_the_file_is_gone(
    studio: Studio,
) -> None:
    studio.drop("01")
    first = studio.mask_of("01")
    (studio.folder / "car/01.png").unlink()
    again = studio.mask_of("01")
    assert first
    assert again
    assert (again.alpha == WIDER).all()
    assert again.record == first.record
    assert studio.mask_of("02") is None
    shutil.copy(studio.places.inbox / "car/02.jpg", studio.places.inbox / "car/01.jpg")
    assert studio.mask_of("01") is None, "it is another photo by now"


def test_a_file_that_was_drawn_for_another_photo_is_refused(
    studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    file = studio.drop("01")
    studio.mask_of("01")
    shutil.copy(file, studio.folder / "car/02.png")
    with pytest.raises(CorrectionError, match="drawn for another photo, car/01 as it was on 20"):
        studio.examine("02")
    assert studio.mask_of("02") is None
    assert "drawn for another photo" in caplog.text
    assert len(Shelf(studio.folder / FOLDER).entries()) == 1


def test_a_photo_that_changes_while_it_is_read_is_tried_again_and_nothing_is_kept(
    studio: Studio,
) -> None:
    studio.drop("01")
    path = studio.places.inbox / "car/01.jpg"
    photo = decode(path)
    shutil.copy(studio.places.inbox / "car/02.jpg", path)
    with pytest.raises(FolderError, match="changed while it was read"):
        studio.desk().mask_of("01", 1, photo, path)
    assert Shelf(studio.folder / FOLDER).entries() == []


def test_a_damaged_shelf_stops_only_what_would_lose_a_persons_work(
    studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    (studio.folder / FOLDER).mkdir(parents=True)
    (studio.folder / FOLDER / INDEX).write_text("{")
    with caplog.at_level(logging.ERROR):
        assert studio.mask_of("01") is None
    assert "the list of corrections, cannot be read" in caplog.text
    studio.edition = studio.publish(mask="corrected")
    with pytest.raises(FolderError, match="the list of corrections, cannot be read"):
        studio.mask_of("01")


def test_a_mask_is_fitted_to_its_photo_and_left_alone_at_its_size() -> None:
    pixels = np.full((32, 48, 3), 20, np.uint8)
    pixels[MASK >= 128] = 220
    assert fitted(MASK, pixels) is MASK
    larger = disc(64, 96, centre=(32.5, 48.5), radius=16)
    averaged = larger.reshape(32, 2, 48, 2).mean((1, 3))
    assert np.abs(fitted(larger, pixels).astype(float) - averaged).max() <= 1
    smaller = np.asarray(Image.fromarray(MASK).resize((24, 16), Image.Resampling.BOX))
    found = fitted(smaller, pixels)
    assert found.shape == (32, 48)
    plain = np.asarray(Image.fromarray(smaller).resize((48, 32), Image.Resampling.BILINEAR))
    wrong = [np.abs(mask.astype(float) - MASK).sum() for mask in (found, plain)]
    assert wrong[0] < wrong[1], "its edge is found in the photo"
