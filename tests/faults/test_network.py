"""A worker on another machine, and a cable that is pulled: nothing is closed, nothing comes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.losses import losses
from tests.faults.plant import Plant, make_plant
from tests.parts import drop_photos
from tests.studio import COMMAND
from unet_core.store import ModelStore
from worker.queue.app import connect
from worker.queue.broker import redis_binary

pytestmark = [pytest.mark.line, pytest.mark.timeout(300)]
HOST, GUEST, PORT = "10.213.77.1", "10.213.77.2", 16379


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Island:
    """A network of its own, with one cable to ours."""

    def __init__(self, name: str) -> None:
        self.name, self.cable = name, f"v{name}"
        ip("netns", "add", name)
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", f"{HOST}/30", "dev", self.cable)
        ip("link", "set", self.cable, "up")
        self._inside("addr", "add", f"{GUEST}/30", "dev", "eth0")
        self._inside("link", "set", "eth0", "up")
        self._inside("link", "set", "lo", "up")

    def _inside(self, *arguments: str) -> None:
        ip("netns", "exec", self.name, "ip", *arguments)

    def pull_the_cable(self) -> None:
        ip("link", "set", self.cable, "down")

    def plug_it_in(self) -> None:
        ip("link", "set", self.cable, "up")

    def close(self) -> None:
        ip("netns", "del", self.name)


@pytest.fixture
def island() -> Iterator[Island]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("only root can make a network")
    try:
        island = Island(f"cy{os.getpid() % 10**6}")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this system gives us no network of our own ({error.stderr.decode().strip()})")
    yield island
    island.close()


@pytest.fixture
def redis_url(island: Island, tmp_path: Path) -> Iterator[str]:
    """A Redis on our end of the cable."""
    server = subprocess.Popen(
        [redis_binary(), "--port", str(PORT), "--bind", HOST, "--protected-mode", "no",
         "--dir", str(tmp_path), "--save", ""],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    yield f"redis://{HOST}:{PORT}/0"
    server.terminate()
    server.wait(30)


def test_a_worker_that_was_cut_off_for_longer_than_its_lease_costs_no_frame_and_works_again(
    tmp_path: Path, tiny_store: ModelStore, island: Island, redis_url: str
) -> None:
    plant = make_plant(tmp_path / "studio", tiny_store.folder, workers=1)
    plant.studio.environment["CYCLORAMA_BROKER_URL"] = redis_url
    plant.tend()
    with (plant.studio.root / "island.log").open("wb") as log:
        remote = subprocess.Popen(
            ["ip", "netns", "exec", island.name, *COMMAND, "worker"],
            cwd=plant.studio.root,
            env=plant.studio.environment | plant.traps.environment,
            stdout=log,
            stderr=log,
        )
    try:
        plant.wait_for(lambda: len(plant.studio.status()["workers"]) == 2, seconds=120)
        names = cut_in_the_middle(plant, island, remote.pid)
        for name in names:
            assert plant.wait_for_shoot(name).status == "complete"
        island.plug_it_in()
        plant.away.add("worker-1")
        plant.signal("worker-1", signal.SIGTERM)
        drop_photos(plant.studio.inbox / "after", 4)
        assert plant.wait_for_shoot("after", seconds=90).status == "complete"
        plant.wait_for(lambda: losses(plant.studio, connect(redis_url)) == [])
        assert remote.poll() is None, "the worker itself took up work again"
    finally:
        remote.terminate()
        remote.wait(60)
        plant.stop()


def cut_in_the_middle(plant: Plant, island: Island, pid: int) -> list[str]:
    """Drops shoots until the worker on the island has one in work, and pulls the cable then."""
    names: list[str] = []
    while True:
        names.append(f"shoot-{len(names)}")
        plant.traps.set("encode", "slow")
        drop_photos(plant.studio.inbox / names[-1], 4)
        if plant.wait_for_trap("encode") == pid:
            island.pull_the_cable()
            return names
        plant.wait_for_shoot(names[-1])
