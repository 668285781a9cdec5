"""Which editions of a shoot a new attempt takes finished frames from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parts import manifest_with, photo_bytes, row_of
from worker.line.earlier import done_already, editions
from worker.line.wanted import Wanted
from worker.outbox.manifest import FrameRow
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.shoots import Source

PHOTO = Source("car/01.jpg", 10, 5)
WANTED = Wanted({PHOTO: "01"}, frozenset({1}), ("preset", "checkpoint"), False, {})


def finished(staging: Staging, seed: int) -> FrameRow:
    """A finished frame in staging, just as it is wanted; another ``seed`` is another picture."""
    outputs = {"composite": staging.write("01.jpg", photo_bytes(seed))}
    return row_of(PHOTO, outputs=outputs, preset="preset", checkpoint="checkpoint")


def publish(places: Places, seed: int, *, status: str = "complete") -> Path:
    staging = Staging(places, "car")
    return staging.publish(manifest_with("car", [finished(staging, seed)], status=status))


def test_an_edition_that_is_held_is_newer_than_the_one_that_was_delivered(places: Places) -> None:
    delivered = publish(places, 1)
    held = publish(places, 2, status="held")
    assert [edition.folder for edition in editions(places, "car")] == [held, delivered]
    staging = Staging(places, "car")
    assert done_already(places, staging, WANTED).keys() == {"01"}
    assert (staging.folder / "01.jpg").read_bytes() == photo_bytes(2)


def test_what_a_crash_left_aside_counts_only_where_there_is_nothing_else(places: Places) -> None:
    aside = publish(places, 1).rename(places.outbox / "aside")
    delivered = publish(places, 2)
    aside = aside.rename(places.retired("car"))
    assert [edition.folder for edition in editions(places, "car")] == [delivered]
    delivered.rename(places.outbox / "taken away")
    assert [edition.folder for edition in editions(places, "car")] == [aside]


def test_a_frame_that_was_finished_before_a_crash_is_newer_than_every_edition(
    places: Places,
) -> None:
    publish(places, 1)
    staging = Staging(places, "car")
    staging.add(finished(staging, 2))
    assert done_already(places, staging, WANTED).keys() == {"01"}
    assert (staging.folder / "01.jpg").read_bytes() == photo_bytes(2)


@pytest.mark.parametrize("name", ["Car", "CAR"])
def test_a_shoot_whose_name_only_looks_the_same_has_none_of_its_editions(
    places: Places, name: str
) -> None:
    folder = publish(places, 1)
    places.published(name).symlink_to(folder)  # as a disk does that tells no capitals apart
    assert editions(places, name) == []
    assert len(editions(places, "car")) == 1
