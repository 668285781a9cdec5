"""Processes that are killed in every stage, stopped and frozen."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.plant import WATCHER, Plant, make_plant
from tests.faults.traps import WATCHER_STAGES
from tests.parts import drop_photos
from unet_core.store import ModelStore
from worker.settings import Settings

pytestmark = [pytest.mark.line, pytest.mark.timeout(300)]
Drop = Callable[[], str]


# The soak does the same in every stage.
@pytest.mark.parametrize("stage", ["decode", "write", "assembled", "rename", "published"])
def test_a_worker_killed_in_any_stage_costs_no_frame(plant: Plant, drop: Drop, stage: str) -> None:
    plant.traps.set(stage, "kill")
    shoot = drop()
    plant.wait_for_trap(stage)
    manifest = plant.wait_for_shoot(shoot)
    assert [row.error for row in manifest.frames] == [None] * 4


@pytest.mark.parametrize("stage", WATCHER_STAGES)
def test_a_watcher_killed_before_it_looks_or_queues_costs_no_shoot(
    plant: Plant, drop: Drop, stage: str
) -> None:
    plant.traps.set(stage, "kill")
    manifest = plant.wait_for_shoot(drop())
    assert manifest.status == "complete"
    assert (WATCHER, -signal.SIGKILL) in plant.deaths


def test_a_worker_killed_between_the_two_renames_of_a_new_edition_costs_no_frame(
    plant: Plant, drop: Drop
) -> None:
    shoot = drop()
    before = {row.name: row for row in plant.wait_for_shoot(shoot).frames}
    opened = plant.traps.opened()
    plant.traps.set("rename", "kill")
    drop_photos(plant.studio.inbox / shoot, 1, size=(64, 40))
    after = {row.name: row for row in plant.wait_for_shoot(shoot).frames}
    assert {name for name in after if after[name] != before[name]} == {"01"}
    assert plant.traps.opened() - opened == {f"{shoot}/01.jpg": 1}, "only that frame is done again"


def test_only_frames_that_were_not_finished_are_made_again(plant: Plant, drop: Drop) -> None:
    plant.traps.set("assembled", "kill")
    shoot = drop()
    plant.wait_for_shoot(shoot)
    opened = plant.traps.opened()
    assert [opened[f"{shoot}/0{number}.jpg"] for number in range(1, 5)] == [1, 1, 1, 1]


def test_everything_killed_at_once_costs_no_frame(plant: Plant, drop: Drop) -> None:
    plant.traps.set("encode", "slow")
    shoots = [drop() for _ in range(3)]
    plant.wait_for_trap("encode")
    for name in [WATCHER, *plant.crew, "redis"]:
        plant.signal(name, signal.SIGKILL)
    for shoot in shoots:
        assert plant.wait_for_shoot(shoot).status == "complete"


def test_a_worker_told_to_stop_gives_its_shoot_back_and_ends_in_good_order(
    plant: Plant, drop: Drop
) -> None:
    plant.traps.set("decode", "term")
    shoot = drop()
    began = time.monotonic()
    plant.wait_for(lambda: any(code == 0 for _, code in plant.deaths), seconds=50)
    assert time.monotonic() - began < 50
    assert plant.wait_for_shoot(shoot).status == "complete"
    assert plant.traps.opened()[f"{shoot}/01.jpg"] == 1, "finished frames are kept"


@pytest.mark.parametrize("stage", ["write", "sealed"])
def test_a_worker_frozen_beyond_its_lease_spoils_nothing_when_it_wakes_up(
    plant: Plant, drop: Drop, stage: str
) -> None:
    plant.traps.set(stage, "stop")
    shoot = drop()
    frozen = plant.wait_for_trap(stage)
    manifest = plant.wait_for_shoot(shoot)
    plant.signal(next(n for n in plant.crew if plant.pid(n) == frozen), signal.SIGCONT)
    time.sleep(1)
    assert plant.wait_for_shoot(shoot) == manifest


def test_with_default_waits_a_killed_workers_shoot_is_in_work_again_within_15_seconds(
    tmp_path: Path, tiny_store: ModelStore
) -> None:
    waits = {
        f"CYCLORAMA_{name.upper()}": str(Settings.model_fields[name].default)
        for name in ("lease_seconds", "rescan_seconds", "settle_seconds")
    }
    plant = make_plant(tmp_path / "studio", tiny_store.folder, **waits)
    plant.start()
    try:
        plant.traps.set("assembled", "kill")
        drop_photos(plant.studio.inbox / "car", 4)
        plant.wait_for_trap("assembled")
        plant.traps.set("taken", "slow")
        began = time.monotonic()
        plant.wait_for_trap("taken")
        assert time.monotonic() - began < 15
        assert plant.wait_for_shoot("car").status == "complete"
        assert set(plant.traps.opened().values()) == {1}, "no frame was done again"
    finally:
        plant.stop()
