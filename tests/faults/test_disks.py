"""Disks that are full, cannot be written, are slow, or stand still."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.losses import losses
from tests.faults.plant import Plant, make_plant
from tests.parts import drop_photos
from unet_core.store import ModelStore

pytestmark = [pytest.mark.line, pytest.mark.timeout(300)]
Drop = Callable[[], str]


@pytest.mark.parametrize("stage", ["write", "sealed"])
def test_a_disk_that_is_full_for_a_moment_blames_no_photo(
    plant: Plant, drop: Drop, stage: str
) -> None:
    plant.traps.set(stage, "full")
    manifest = plant.wait_for_shoot(drop())
    assert manifest.status == "complete"
    assert manifest.attempts > 1


def test_a_disk_that_stays_full_for_longer_than_all_attempts_gives_no_shoot_up(
    plant: Plant, drop: Drop
) -> None:
    shoot = drop()
    for _ in range(3):
        plant.traps.set("sealed", "full")
        plant.wait_for_trap("sealed")
    (told,) = (s for s in plant.studio.status()["shoots"] if s["shoot"] == shoot)
    assert told["state"] in ("failed", "queued", "working"), told
    assert plant.wait_for_shoot(shoot).status == "complete"


def test_a_slow_disk_costs_time_and_nothing_else(plant: Plant, drop: Drop) -> None:
    plant.traps.set("write", "slow")
    manifest = plant.wait_for_shoot(drop())
    assert (manifest.status, manifest.attempts) == ("complete", 1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB that is a studio's outbox."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_real_disk_full_and_read_only_is_told_and_the_shoot_comes_when_it_is_mended(
    tmp_path: Path, small_disk: Path, tiny_store: ModelStore
) -> None:
    outbox = {"CYCLORAMA_OUTBOX": str(small_disk)}
    plant = make_plant(tmp_path / "studio", tiny_store.folder, workers=1, **outbox)
    (plant.studio.root / "outbox").symlink_to(small_disk)
    plant.start()
    try:
        ballast = small_disk / ".ballast"
        free = os.statvfs(small_disk)
        ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - 8192))
        drop_photos(plant.studio.inbox / "car", 4)
        plant.wait_for(lambda: "No space left" in told(plant), seconds=60)
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        plant.wait_for(lambda: "Read-only" in told(plant), seconds=60)
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        assert plant.wait_for_shoot("car").status == "complete"
        plant.wait_for(lambda: losses(plant.studio, plant.redis()) == [])
        assert plant.deaths == []
    finally:
        plant.stop()


def told(plant: Plant) -> str:
    """What a person is told of the shoots."""
    return " ".join(note for s in plant.studio.status()["shoots"] for note in s["notes"])
