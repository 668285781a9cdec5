from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.parts import SIZE, drop_photos, photo_bytes
from tests.worker.line.bench import Bench, assert_clean
from unet_core.files import sha256
from unet_core.segment import Picture, Segmenter, Sighting
from worker.line.batcher import Batcher
from worker.line.notes import Notes
from worker.line.pipeline import Line
from worker.outbox.publish import Staging


@pytest.mark.usefixtures("car")
def test_a_shoot_appears_whole_with_every_file_as_its_manifest_says(bench: Bench) -> None:
    originals = bench.files(bench.places.inbox)
    bench.work()
    manifest = bench.manifest()
    assert (manifest.status, manifest.attempts, manifest.shoot) == ("complete", 1, "car")
    assert [(row.name, row.angle) for row in manifest.frames] == [("01", 1), ("02", 2), ("03", 3)]
    files = bench.files(bench.places.published("car"))
    expected = {"manifest.json", "contact-sheet.jpg", "spin.html"}
    for row in manifest.frames:
        assert row.error is None
        assert row.source.sha256 == originals[row.source.path]
        assert (row.width, row.height) == SIZE
        assert set(row.outputs) == {"composite", "mask"}
        for output in row.outputs.values():
            assert files[output.path] == output.sha256
            expected.add(output.path)
    assert set(files) == expected
    with Image.open(bench.places.published("car") / "masks" / "01.png") as mask:
        assert (mask.mode, mask.size) == ("L", SIZE)
    assert bench.files(bench.places.inbox) == originals
    assert_clean(bench)


@pytest.mark.usefixtures("car")
def test_the_line_counts_what_it_made(bench: Bench) -> None:
    bench.work()
    assert bench.line.frames == 3
    assert bench.line.last_frame_at == pytest.approx(time.time(), abs=30)
    assert not bench.line.shoots


@pytest.mark.usefixtures("car")
def test_a_manifest_names_preset_checkpoint_and_program(bench: Bench) -> None:
    bench.work(attempt=2)
    manifest = bench.manifest()
    card = bench.segmenters["first"].card
    assert (manifest.checkpoint.version, manifest.checkpoint.sha256) == ("first", card.sha256)
    assert (manifest.preset.name, manifest.attempts) == ("test", 2)
    assert {row.preset for row in manifest.frames} == {manifest.preset.digest}
    assert manifest.started <= manifest.finished


def test_bad_photos_are_rows_with_their_cure_and_the_good_ones_are_delivered(
    bench: Bench, car: Path
) -> None:
    whole = photo_bytes(4)
    (car / "04.jpg").write_bytes(whole[: len(whole) // 2])
    (car / "05.jpg").write_bytes(b"")
    (car / "06.jpg").write_text("no photo at all, but a shopping list")
    bench.work()
    manifest = bench.manifest()
    assert manifest.status == "incomplete"
    errors = {row.name: row.error.code for row in manifest.frames if row.error}
    assert errors == {"04": "truncated", "05": "empty-file", "06": "not-an-image"}
    assert all(row.error.message.endswith(".") for row in manifest.failed() if row.error)
    delivered = {p.name for p in bench.places.published("car").glob("*.jpg")}
    assert delivered == {"01.jpg", "02.jpg", "03.jpg", "contact-sheet.jpg"}
    assert_clean(bench)


def test_a_shoot_without_a_good_photo_is_published_with_its_reasons(bench: Bench) -> None:
    folder = bench.places.inbox / "car"
    folder.mkdir()
    (folder / "01.jpg").write_bytes(b"")
    bench.work()
    assert set(bench.files(bench.places.published("car"))) == {"manifest.json", "contact-sheet.jpg"}
    assert bench.manifest().status == "incomplete"


def test_a_photo_larger_than_allowed_is_a_row(bench: Bench, car: Path) -> None:
    (car / "04.jpg").write_bytes(photo_bytes(4, size=(1100, 1000)))
    bench.work()
    (row,) = bench.manifest().failed()
    assert row.error
    assert (row.name, row.error.code) == ("04", "too-large")


def test_a_photo_that_went_away_has_no_row(bench: Bench, car: Path) -> None:
    message = bench.message()
    (car / "02.jpg").unlink()
    bench.line.handle(message)
    assert [row.name for row in bench.manifest().frames] == ["01", "03"]
    assert bench.manifest().status == "complete"


def test_of_a_shoot_that_went_away_nothing_is_published(bench: Bench, car: Path) -> None:
    drop_photos(bench.places.inbox / "van", 1)
    message = bench.message()
    shutil.rmtree(car)
    bench.line.handle(message)
    assert not bench.places.published("car").exists()
    assert_clean(bench)


def test_an_inbox_that_is_not_mounted_here_costs_nothing_that_others_made(
    bench: Bench, car: Path
) -> None:
    message, staging = bench.message(), Staging(bench.places, "car")
    staging.write("01.jpg", b"made elsewhere")
    shutil.rmtree(car)
    bench.line.handle(message)
    note = bench.leases.note("car")
    assert note
    assert note.state == "failed"
    assert "is empty on this machine. Mount the share" in note.error
    assert [p.read_bytes() for p in bench.places.staging("car").glob("*/01.jpg")]


def test_a_photo_that_comes_back_while_its_shoot_is_made_is_no_failed_frame(
    bench: Bench, car: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = car / "02.jpg"
    photo, before = away.read_bytes(), away.stat()
    message = bench.message()
    away.unlink()
    still_there = Line._still_there

    def back_by_then(line: Line, *given: Any) -> bool:
        away.write_bytes(photo)
        os.utime(away, ns=(before.st_atime_ns, before.st_mtime_ns))
        return still_there(line, *given)

    monkeypatch.setattr(Line, "_still_there", back_by_then)
    bench.line.handle(message)
    assert not bench.places.published("car").exists()
    bench.line.handle(message)
    assert (bench.manifest().status, len(bench.manifest().frames)) == ("complete", 3)


def test_photos_that_were_renamed_are_not_delivered_twice(bench: Bench, car: Path) -> None:
    bench.work()
    for number, photo in enumerate(sorted(car.iterdir())):
        photo.rename(car / f"DSC_{1230 + number}.jpg")
    bench.work()
    assert [row.name for row in bench.manifest().frames] == ["DSC_1230", "DSC_1231", "DSC_1232"]
    assert_clean(bench)


def test_an_edition_that_cannot_be_read_now_is_not_taken_for_none(
    bench: Bench, car: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.work()
    (car / "01.jpg").unlink()  # a delivered frame, which only the edition remembers
    (car / "02.jpg").write_bytes(photo_bytes(9))
    read_bytes = Path.read_bytes

    def share_fails(path: Path) -> bytes:
        if path == bench.places.published("car") / "manifest.json":
            raise OSError(errno.EIO, "Input/output error")
        return read_bytes(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", share_fails)
        bench.work()
    bench.work()
    assert [row.name for row in bench.manifest().frames] == ["01", "02", "03"]
    assert bench.manifest().status == "complete"


def test_a_photo_that_is_replaced_before_its_second_pass_is_not_laid_under_the_old_mask(
    bench: Bench, car: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.preset('[framing]\nmode = "fit"\n')
    fit = Line._fit

    def replaced_by_then(line: Line, *given: Any) -> Any:
        (car / "02.jpg").write_bytes(photo_bytes(9))
        return fit(line, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Line, "_fit", replaced_by_then)
        bench.work()
    assert not bench.places.published("car").exists()
    note = bench.leases.note("car")
    assert note
    assert "02.jpg was replaced after its mask was made" in note.error
    bench.work()
    assert bench.manifest().frames[1].source.sha256 == sha256(photo_bytes(9))
    assert_clean(bench)


def test_names_that_a_file_system_takes_for_one_do_not_mix_two_cars(
    bench: Bench, car: Path
) -> None:
    bench.work()
    drop_photos(bench.places.inbox / "Car", 2)
    bench.places.published("Car").symlink_to(bench.places.published("car"))  # as such a disk does
    before = bench.files(bench.places.published("car"))
    bench.work("Car")
    note = bench.leases.note("Car")
    assert note
    assert "holds 'car', and its file system does not tell the two apart" in note.error
    assert bench.files(bench.places.published("car")) == before


@pytest.mark.usefixtures("car")
def test_a_worker_that_has_to_leave_in_mid_work_does_not_blame_its_shoots(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[str] = []
    publish = Staging.publish

    def told_to_go(staging: Staging, *given: Any) -> Path:
        for leaving in (False, True):
            if leaving:
                bench.line.leave()
            note = bench.leases.note("car")
            assert note
            states.append(note.state)
        return publish(staging, *given)

    monkeypatch.setattr(Staging, "publish", told_to_go)
    bench.work()
    assert states == ["working", "returned"]
    assert_clean(bench)


@pytest.mark.usefixtures("car")
def test_a_shoot_that_is_published_while_redis_keeps_a_worker_waiting_is_not_made_again(
    bench: Bench, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.work()
    published, aside = bench.places.published("car"), bench.places.outbox.parent / "aside"
    published.rename(aside)
    decoded.clear()
    note = Notes.note

    def published_by_then(notes: Notes, *given: Any, **how: Any) -> None:
        if aside.exists():
            aside.rename(published)
        note(notes, *given, **how)

    monkeypatch.setattr(Notes, "note", published_by_then)
    bench.work()
    assert decoded == []
    assert_clean(bench)


@pytest.mark.usefixtures("car")
def test_a_message_for_a_shoot_in_work_elsewhere_does_nothing(
    bench: Bench, decoded: list[str]
) -> None:
    lease = bench.leases.acquire("car")
    assert lease
    bench.work()
    assert decoded == []
    assert not bench.places.published("car").exists()
    lease.renew()


def test_a_message_that_is_none_of_ours_is_dropped_and_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.line.handle({"shoot": "../car"})
    assert "no job of ours" in caplog.text


def test_a_shoots_own_preset_wins_over_the_default(bench: Bench, car: Path) -> None:
    (car / "preset.toml").write_text('name = "own"\n[output]\nformat = "webp"\ncutouts = true\n')
    bench.work()
    manifest = bench.manifest()
    assert manifest.preset.name == "own"
    assert {o.path for o in manifest.frames[0].outputs.values()} == {
        "01.webp",
        "masks/01.png",
        "cutouts/01.png",
    }


def test_names_that_would_collide_are_delivered_side_by_side(bench: Bench) -> None:
    car = bench.places.inbox / "car"
    drop_photos(car, 0)
    for name, seed in [("a.jpg", 1), ("A.jpg", 2), ("contact-sheet.jpg", 3), ("x" * 251, 4)]:
        path = car / (name if name.endswith(".jpg") else f"{name}.jpg")
        path.write_bytes(photo_bytes(seed))
    bench.work()
    manifest = bench.manifest()
    assert manifest.status == "complete"
    paths = [row.outputs["composite"].path for row in manifest.frames]
    assert len({path.casefold() for path in paths} | {"contact-sheet.jpg"}) == 5
    files = bench.files(bench.places.published("car"))
    for row in manifest.frames:
        assert files[row.outputs["composite"].path] == row.outputs["composite"].sha256


class Gate:
    """A network that keeps the device busy until it is opened."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def look(self, pictures: Sequence[Picture]) -> list[Sighting]:
        self.entered.set()
        assert self.opened.wait(30)
        return [Sighting(picture[..., 0]) for picture in pictures]


def test_two_jobs_at_once_meet_in_the_batcher_and_are_both_delivered(
    bench: Bench, batcher: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shoot in ("car", "van"):
        drop_photos(bench.places.inbox / shoot, 2)
    gate, submitted, submit = Gate(), threading.Semaphore(0), batcher.submit
    submit(gate, np.zeros((2, 2, 3), np.uint8), job="first")
    assert gate.entered.wait(10)

    def counting(network: Segmenter, picture: Picture, *, job: str) -> object:
        future = submit(network, picture, job=job)
        submitted.release()
        return future

    monkeypatch.setattr(batcher, "submit", counting)
    threads = [threading.Thread(target=bench.work, args=(shoot,)) for shoot in ("car", "van")]
    for thread in threads:
        thread.start()
    for _ in range(4):
        assert submitted.acquire(timeout=30)
    gate.opened.set()
    for thread in threads:
        thread.join(30)
    for shoot in ("car", "van"):
        manifest = bench.manifest(shoot)
        assert manifest.status == "complete"
        assert {(r.batch.size, r.batch.jobs) for r in manifest.frames if r.batch} == {(4, 2)}
    assert batcher.shared == 1


def test_the_alpha_that_a_photo_brings_is_kept(bench: Bench) -> None:
    car = bench.places.inbox / "car"
    car.mkdir()
    pixels = np.full((32, 48, 4), 255, np.uint8)
    pixels[:, :24, 3] = 0
    Image.fromarray(pixels).save(car / "01.png")
    bench.work()
    with Image.open(bench.places.published("car") / "masks" / "01.png") as mask:
        assert np.asarray(mask)[:, :24].max() == 0
