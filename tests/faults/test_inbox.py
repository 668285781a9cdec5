"""An inbox that changes under the hands of the line, and mistakes of its operators."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

import pytest

from tests.faults.plant import Plant
from tests.parts import drop_photos, photo_bytes

pytestmark = [pytest.mark.line, pytest.mark.timeout(300)]
Drop = Callable[[], str]


def caught(plant: Plant, drop: Drop, stage: str = "encode") -> str:
    """A shoot of which one frame is at ``stage`` for a while."""
    plant.traps.set(stage, "slow")
    shoot = drop()
    plant.wait_for_trap(stage)
    return shoot


def test_a_photo_replaced_while_its_shoot_is_in_work_is_delivered_as_it_is_now(
    plant: Plant, drop: Drop
) -> None:
    shoot = caught(plant, drop)
    (plant.studio.inbox / shoot / "02.jpg").write_bytes(photo_bytes(99))
    manifest = plant.wait_for_shoot(shoot)
    plant.studio.assert_whole(shoot)
    assert (manifest.status, len(manifest.frames)) == ("complete", 4)


def test_a_photo_removed_while_its_shoot_is_in_work_is_missed_by_nobody(
    plant: Plant, drop: Drop
) -> None:
    shoot = caught(plant, drop)
    (plant.studio.inbox / shoot / "04.jpg").unlink()
    manifest = plant.wait_for_shoot(shoot)
    assert manifest.status == "complete"


def test_a_shoot_renamed_while_it_is_in_work_is_delivered_under_its_new_name_alone(
    plant: Plant, drop: Drop
) -> None:
    shoot = caught(plant, drop)
    (plant.studio.inbox / shoot).rename(plant.studio.inbox / f"{shoot}-new")
    assert plant.wait_for_shoot(f"{shoot}-new").status == "complete"
    time.sleep(3)
    assert not (plant.studio.outbox / shoot).exists()


def test_a_shoot_removed_while_its_worker_is_dead_leaves_nothing_behind(
    plant: Plant, drop: Drop
) -> None:
    plant.traps.set("assembled", "kill")
    shoot = drop()
    plant.wait_for_trap("assembled")
    shutil.rmtree(plant.studio.inbox / shoot)
    staging = plant.studio.outbox / ".staging"
    plant.wait_for(lambda: list(staging.iterdir()) == [])
    assert not (plant.studio.outbox / shoot).exists()


def test_a_shoot_dropped_again_over_itself_is_delivered_once_more_and_whole(
    plant: Plant, drop: Drop
) -> None:
    shoot = caught(plant, drop)
    drop_photos(plant.studio.inbox / shoot, 4)
    assert plant.wait_for_shoot(shoot).status == "complete"
    plant.studio.assert_whole(shoot)


def test_one_angle_replaced_after_publication_is_the_only_one_that_is_done_again(
    plant: Plant, drop: Drop
) -> None:
    shoot = drop()
    plant.wait_for_shoot(shoot)
    (plant.studio.inbox / shoot / "03.jpg").write_bytes(photo_bytes(99))
    plant.wait_for_shoot(shoot)
    opened = plant.traps.opened()
    assert [opened[f"{shoot}/0{number}.jpg"] for number in range(1, 5)] == [1, 1, 2, 1]


def test_two_watchers_by_mistake_do_no_harm(plant: Plant, drop: Drop) -> None:
    second, log = plant.spawn("watcher-2"), plant.studio.root / "watcher-2.log"
    try:
        for _ in range(60):
            assert plant.wait_for_shoot(drop()).attempts == 1
            if "queued" in log.read_text():
                break
        else:
            raise AssertionError("the second watcher never came first")
    finally:
        second.terminate()
        assert second.wait(30) == 0


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_jumps_costs_no_frame_and_no_time(
    plant: Plant, drop: Drop, hours: int
) -> None:
    plant.traps.set("assembled", "full")
    plant.traps.set("encode", "slow")
    shoots = [drop() for _ in range(2)]
    plant.wait_for_trap("encode")
    plant.traps.shift_clock(hours * 3600.0)
    for shoot in shoots:
        assert plant.wait_for_shoot(shoot, seconds=60).status == "complete"
