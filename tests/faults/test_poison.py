"""Photos that kill or hold up whoever opens them, and workers that are worn out."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.losses import losses
from tests.faults.plant import Plant, make_plant, resident_mb
from tests.faults.traps import with_fate
from tests.parts import drop_photos
from tests.studio import COMMAND
from unet_core.store import ModelStore
from worker.queue.health import REPLACE_ME

pytestmark = [pytest.mark.line, pytest.mark.timeout(300)]
Drop = Callable[[], str]


def drop_poisoned(plant: Plant, name: str, fates: dict[str, str]) -> None:
    """A shoot of four photos, some of which have a fate."""
    part = plant.studio.root / f"part-{name}"
    drop_photos(part, 4)
    for photo, fate in fates.items():
        with_fate(part / f"{photo}.jpg", fate)
    part.rename(plant.studio.inbox / name)


@pytest.mark.parametrize(("fate", "reason"), [("segv", "Segmentation fault"), ("kill", "Killed")])
def test_a_photo_that_kills_is_set_aside_with_its_reason_after_one_worker(
    plant: Plant, fate: str, reason: str
) -> None:
    deaths = len(plant.deaths)
    drop_poisoned(plant, f"deadly-{fate}", {"02": fate})
    manifest = plant.wait_for_shoot(f"deadly-{fate}")
    (row,) = manifest.failed()
    assert row.error
    assert (row.name, row.error.code) == ("02", "crashed")
    assert reason in row.error.message
    assert len(plant.deaths) == deaths + 1


def test_a_shoot_of_killers_is_delivered_with_its_one_good_photo(plant: Plant) -> None:
    drop_poisoned(plant, "murderers", {"01": "segv", "02": "kill", "04": "segv"})
    manifest = plant.wait_for_shoot("murderers")
    assert [row.name for row in manifest.frames if row.outputs] == ["03"]


def test_a_photo_that_takes_all_memory_costs_neither_the_worker_nor_the_other_photos(
    plant: Plant,
) -> None:
    deaths = len(plant.deaths)
    drop_poisoned(plant, "greedy", {"03": "memory"})
    manifest = plant.wait_for_shoot("greedy", seconds=120)
    assert [row.name for row in manifest.failed()] == ["03"]
    assert plant.deaths[deaths:] == []


@pytest.fixture
def strict(tmp_path: Path, tiny_store: ModelStore) -> Iterator[Plant]:
    """A plant in which a frame may take five seconds."""
    plant = make_plant(
        tmp_path / "studio", tiny_store.folder, workers=1, CYCLORAMA_FRAME_SECONDS="5"
    )
    plant.start()
    yield plant
    plant.stop()


def test_a_photo_that_hangs_is_set_aside_and_a_device_that_hangs_blames_no_photo(
    strict: Plant,
) -> None:
    drop_poisoned(strict, "hanging", {"02": "hang"})
    manifest = strict.wait_for_shoot("hanging", seconds=120)
    (row,) = manifest.failed()
    assert row.error
    assert row.name == "02"
    assert "was not opened within 5 seconds" in row.error.message
    assert strict.deaths == [("worker-1", REPLACE_ME)]
    strict.traps.set("batch", "hang")
    drop_poisoned(strict, "fine", {})
    assert strict.wait_for_shoot("fine", seconds=120).status == "complete"
    assert strict.deaths == [("worker-1", REPLACE_ME)] * 2
    strict.wait_for(lambda: losses(strict.studio, strict.redis()) == [])


def test_a_worker_above_its_memory_ceiling_finishes_and_is_replaced(
    tmp_path: Path, tiny_store: ModelStore
) -> None:
    plant = make_plant(tmp_path / "studio", tiny_store.folder, workers=1)
    plant.start()
    try:
        held = resident_mb(plant.pid("worker-1"))
        plant.studio.environment["CYCLORAMA_MEMORY_MB"] = str(int(held) + 60)
        plant.signal("worker-1", signal.SIGTERM)
        plant.wait_for(lambda: len(plant.deaths) == 1)
        part = plant.studio.root / "part-large"
        drop_photos(part, 6, size=(3000, 2000))
        part.rename(plant.studio.inbox / "large")
        plant.wait_for(lambda: ("worker-1", REPLACE_ME) in plant.deaths, seconds=120)
        plant.studio.environment["CYCLORAMA_MEMORY_MB"] = "0"
        assert plant.wait_for_shoot("large", seconds=200).status == "complete"
    finally:
        plant.stop()


def test_run_outlives_a_night_of_killers_and_replaces_its_workers_itself(
    tmp_path: Path, tiny_store: ModelStore
) -> None:
    """More killers than a run forgives workers that never come to work."""
    plant = make_plant(tmp_path / "studio", tiny_store.folder)
    environment = plant.studio.environment | plant.traps.environment
    environment["CYCLORAMA_BROKER_URL"] = ""
    for number in range(3):
        drop_poisoned(plant, f"night-{number}", {"01": "segv", "03": "kill"})
    done = subprocess.run(
        [*COMMAND, "run", "--once"],
        cwd=plant.studio.root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    shutil.rmtree(plant.state)
    assert done.returncode == 1, done.stderr
    for number in range(3):
        manifest = plant.studio.assert_whole(f"night-{number}")
        assert [row.name for row in manifest.frames if row.outputs] == ["02", "04"]
