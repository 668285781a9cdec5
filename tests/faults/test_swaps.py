"""Champions that change while many frames are in flight: what is counted, and what holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.swaps import (
    CHANGES,
    FIRST,
    PHOTO_PX,
    PHOTOS,
    SECOND,
    THIRD,
    TORN,
    Change,
    Finished,
    drop_all,
    gaps,
    make_swaps,
    mixed,
    record,
    tiny_versions,
)
from tests.parts import drop_photos, manifest_with, row_of
from worker.outbox.manifest import Failure
from worker.shoots import Source


def test_a_gap_is_around_a_change_from_its_making_until_the_frame_after_it_is_taken_up() -> None:
    frames = [Finished(at, 1) for at in (0.0, 1.0, 2.0, 5.0, 6.0, 6.5)]
    frames += [Finished(at, 2) for at in (0.5, 3.5)]
    changes = [Change(SECOND, 2.5, {1: 3.0, 2: 3.2}), Change("rollback", 5.5, {})]
    around, otherwise = gaps(frames, changes)
    assert around == [3.0, 3.0]
    assert otherwise == [1.0, 1.0, 1.0, 0.5]


def test_a_shoot_of_two_checkpoints_and_a_frame_that_failed_are_seen() -> None:
    rows = [row_of(Source(f"car/{name}.jpg", 1, 1), name, checkpoint="s") for name in ("01", "02")]
    assert mixed([manifest_with("car", rows)]) == []
    other = [rows[0], rows[1].model_copy(update={"checkpoint": "t"})]
    (sentence,) = mixed([manifest_with("car", other)])
    assert sentence.startswith("car says ")
    broken = rows[1].model_copy(update={"error": Failure(code="internal", message="oh")})
    (sentence,) = mixed([manifest_with("car", [rows[0], broken])])
    assert sentence.startswith("car/02 failed")


@pytest.mark.line
@pytest.mark.timeout(300)
def test_500_frames_in_flight_bear_20_new_champions_and_one_that_is_damaged(
    tmp_path: Path,
) -> None:
    photos = drop_photos(tmp_path / "photos", PHOTOS, size=PHOTO_PX)
    swaps = make_swaps(tmp_path, tiny_versions(tmp_path / "models"))
    try:
        drop_all(swaps.plant, 150, photos)
        swaps.run(before=25, during=125)
        found = record(swaps)
    finally:
        swaps.plant.stop()
    assert found["lost"] == []
    assert swaps.plant.deaths == [], "no worker was started again"
    assert found["frames"] == 600
    assert [change.name for change in swaps.changes] == CHANGES
    assert len(CHANGES) == 20
    assert CHANGES.count(TORN) == 1
    assert set(found["made_by"]) == {FIRST, SECOND, THIRD}, "and the damaged one none"
    # Whether that is less than a batch is what scripts/swaps measures, on a machine of its own.
    assert found["pause"] <= found["batch"]["most"] + 1.0
