"""The watcher and the corrections folder: what is queued, what waits, what is refused."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.carvana import disc
from tests.parts import ListQueue, drop_photos, manifest_with, row_of, shoot_in
from unet_core.images import encode_mask
from worker.corrections.drops import prepare_folder
from worker.errors import CorrectionError, FolderError
from worker.intake.corrected import CorrectionsView
from worker.intake.inbox import Inbox, View
from worker.intake.plan import Rules, Stage
from worker.intake.watcher import Watcher
from worker.outbox.manifest import SourceRecord
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.queue.leases import Leases

RULES = Rules(settle_seconds=2, quiet_seconds=30)
MASK = disc(32, 48, centre=(16, 24), radius=8)


class Desk:
    """A watcher of an inbox with a finished shoot, whose clock a test moves by hand."""

    def __init__(self, places: Places, leases: Leases) -> None:
        self.places, self.folder = places, places.inbox.parent / "corrections"
        self.queue, self.seconds, self.began = ListQueue(), 0.0, time.time()
        inbox = Inbox(
            places,
            preset="studio-grey",
            presets=places.inbox.parent,
            rules=RULES,
            corrections=CorrectionsView(self.folder, RULES),
        )
        self.watcher = Watcher(inbox, leases, self.queue, max_attempts=3)
        drop_photos(places.inbox / "car", 2)
        self.publish()

    def publish(self, **changes: object) -> None:
        """An edition of the shoot in the inbox; ``changes`` to the row of its first frame."""
        staging = Staging(self.places, "car")
        rows = []
        for frame in shoot_in(self.places.inbox, "car").frames:
            outputs = {"mask": staging.write(f"masks/{frame.name}.png", encode_mask(MASK))}
            row = row_of(frame.source, frame.name, outputs=outputs, width=48, height=32)
            rows.append(row)
        rows[0] = rows[0].model_copy(update=changes)
        staging.publish(manifest_with("car", rows))

    def drop(self, path: str, mask: np.ndarray = MASK) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(file)
        return file

    def settled(self) -> View:
        """A first look, and one after the settling time."""
        self.tick()
        return self.tick(3)

    def tick(self, after: float = 0.0) -> View:
        self.seconds += after
        return self.watcher.tick(self.seconds, self.began + self.seconds)


@pytest.fixture
def desk(places: Places, leases: Leases) -> Desk:
    return Desk(places, leases)


def test_many_corrections_are_judged_in_several_looks_and_queued_together(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.intake.corrected.CHECK_SECONDS", -1.0)
    for number in (1, 2):
        desk.drop(f"car/0{number}.png", disc(32, 48, centre=(16, 24), radius=9))
    assert desk.settled().decisions["car"].stage == Stage.ARRIVING, "none is judged in no time"
    monkeypatch.setattr("worker.intake.corrected.CHECK_SECONDS", 0.0)
    assert desk.tick(1).decisions["car"].stage == Stage.ARRIVING, "one is judged"
    assert not desk.queue
    assert desk.tick(1).decisions["car"].stage == Stage.READY
    assert len(desk.queue) == 1


def test_a_name_that_is_no_unicode_is_a_problem_that_can_be_printed(desk: Desk) -> None:
    desk.drop("car/01.png")
    (desk.folder / "car" / "IMG_\udce9.png").write_bytes(b"")
    (desk.folder / "caf\udce9").mkdir()
    problems = desk.settled().problems
    assert problems["corrections/car/IMG_\\udce9.png"].endswith("rename the file")
    assert problems["corrections/caf\\udce9"].endswith("rename the file")


def test_a_correction_queues_its_shoot_once_it_lies_still(desk: Desk) -> None:
    assert desk.settled().decisions["car"].stage == Stage.DONE
    desk.drop("car/01.png", disc(32, 48, centre=(16, 24), radius=9))
    assert desk.tick().decisions["car"].stage == Stage.ARRIVING
    assert not desk.queue
    assert desk.tick(3).decisions["car"].stage == Stage.READY
    for _ in range(5):
        desk.tick(1)
    assert [message.shoot for message in desk.queue] == ["car"]


def test_a_correction_that_an_edition_was_made_from_asks_for_nothing(desk: Desk) -> None:
    stat = desk.drop("car/01.png").stat()
    record = SourceRecord(path="car/01.png", size=stat.st_size, mtime_ns=stat.st_mtime_ns)
    desk.publish(correction=record)
    view = desk.settled()
    assert view.decisions["car"].stage == Stage.DONE
    assert not view.problems
    assert not desk.queue
    later = dataclasses.replace(record.source(), mtime_ns=1)
    desk.publish(correction=SourceRecord(**dataclasses.asdict(later)))
    assert desk.tick(1).decisions["car"].stage == Stage.READY


@pytest.mark.parametrize(
    ("path", "mask", "words"),
    [
        ("car/03.png", MASK, "has no frame '03'. It has: 01, 02"),
        ("car/01.png", MASK[:, :32], "not the same shape"),
        ("car/01.png", MASK * 0, "is empty"),
        ("car/01.png", 255 - MASK, "is inverted"),
        ("van/01.png", MASK, "there is no shoot 'van'"),
        ("01.png", MASK, "lies in a folder of its shoot's name"),
        ("car/01.gif", MASK, "save it as <frame>.png"),
    ],
)
def test_what_cannot_be_used_is_named_and_left_where_it_is(
    desk: Desk, path: str, mask: np.ndarray, words: str
) -> None:
    file = desk.drop(path, np.ascontiguousarray(mask))
    before = file.read_bytes()
    view = desk.settled()
    assert words in view.problems[f"corrections/{path}"]
    assert view.decisions["car"].stage == Stage.DONE
    assert not desk.queue
    assert file.read_bytes() == before


def test_a_correction_is_judged_again_when_it_was_saved_anew(desk: Desk) -> None:
    desk.drop("car/01.png", MASK * 0)
    assert desk.settled().problems
    desk.drop("car/01.png")
    view = desk.settled()
    assert not view.problems
    assert [message.shoot for message in desk.queue] == ["car"]


def test_a_correction_of_photos_that_left_the_inbox_says_so(desk: Desk) -> None:
    for photo in (desk.places.inbox / "car").iterdir():
        photo.unlink()
    (desk.places.inbox / "car").rmdir()
    desk.drop("car/01.png")
    assert "no longer in the inbox" in desk.settled().problems["corrections/car/01.png"]


def test_temporary_files_of_a_copy_are_passed_over(desk: Desk) -> None:
    for name in ("car/.01.png", "car/01.png.part", ".training/x.png"):
        file = desk.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half")
    assert not desk.settled().problems


def test_the_folder_may_not_lie_in_the_inbox(places: Places) -> None:
    with pytest.raises(FolderError, match=r"lies in the inbox.*CYCLORAMA_CORRECTIONS"):
        prepare_folder(places.inbox / "corrections", places)


def test_a_correction_of_a_frame_whose_photo_was_taken_out_is_told_and_queues_nothing(
    desk: Desk,
) -> None:
    (desk.places.inbox / "car" / "02.jpg").unlink()
    desk.drop("car/02.png", disc(32, 48, centre=(16, 24), radius=9))
    view = desk.settled()
    assert "the photo of 02 is no longer in the inbox" in view.problems["corrections/car/02.png"]
    assert view.decisions["car"].stage == Stage.DONE
    assert not desk.queue


def test_a_correction_that_could_not_be_read_is_looked_at_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread(*_: object) -> None:
        raise CorrectionError("it cannot be read") from PermissionError("Permission denied")

    desk.drop("car/01.png", disc(32, 48, centre=(16, 24), radius=9))
    with monkeypatch.context() as patch:
        patch.setattr("worker.corrections.desk.read_correction", unread)
        assert "cannot be read" in desk.settled().problems["corrections/car/01.png"]
    assert desk.tick(1).decisions["car"].stage == Stage.READY


def test_a_correction_does_not_take_up_a_photo_that_is_still_being_copied(desk: Desk) -> None:
    whole = (desk.places.inbox / "car" / "02.jpg").read_bytes()
    assert desk.settled().decisions["car"].stage == Stage.DONE
    (desk.places.inbox / "car" / "02.jpg").write_bytes(whole[: len(whole) // 2])
    desk.drop("car/01.png", disc(32, 48, centre=(16, 24), radius=9))
    desk.settled()
    assert desk.tick(3).decisions["car"].stage == Stage.ARRIVING
    assert not desk.queue
