"""The image, compose.yaml and the systemd units, really built and run, on a Debian without Docker.

    sudo .venv/bin/python scripts/containers.py [--torch-index URL] [--volume HOST:PATH]…

As root, with these of Debian's packages: aardvark-dns buildah catatonit debootstrap iptables
netavark podman runc. The Dockerfile's steps run in order on a bare Debian whose Python stands in
for the image that it names; Redis and Prometheus are Debian's too. Compose (podman-compose) starts
Redis, watcher, worker, trainer and Prometheus; a shoot is made, a second worker started, all of it
stopped and started again. Then the page of systemd is followed in a container that systemd runs in.
What came of it is printed; a line of JSON comes last. Not run: Grafana, and a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from container_engine import DEPLOY, TOOLS, Engine, err, make_images, wait_for, write_turn
from container_host import followed

from worker.outbox.manifest import MANIFEST, read_manifest

PROJECT = "cyclorama-trial"
"""A name of its own: what a real plant of this machine keeps is not touched."""
SERVICES = ("redis", "watcher", "worker", "trainer", "prometheus")
PROFILES = ("cpu", "training", "monitoring")
OWNER = 1000
FRAMES = 8
TARGETS = "http://127.0.0.1:9090/api/v1/targets?state=active"


class Plant:
    """What compose.yaml starts, with folders of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.folder = engine, engine.folder / "plant"
        self.inbox, self.outbox = self.folder / "inbox", self.folder / "outbox"
        shutil.copytree(DEPLOY, self.folder / "deploy")
        own = {name: self.folder / name.lower() for name in ("INBOX", "OUTBOX", "CORRECTIONS")}
        for place in own.values():
            place.mkdir()
            os.chown(place, OWNER, OWNER)
        words = {name: secrets.token_hex(24) for name in ("REDIS_PASSWORD", "GRAFANA_PASSWORD")}
        given = own | words | {"PHOTOS_UID": OWNER, "PHOTOS_GID": OWNER}
        lines = [f"{name}={value}\n" for name, value in given.items()]
        (self.folder / "deploy/.env").write_text("".join(lines))

    def compose(self, *words: str) -> str:
        """A command of Compose."""
        program = Path(sys.executable).with_name("podman-compose")
        profiles = [f"--profile={name}" for name in PROFILES]
        options = [f"--project-name={PROJECT}", *profiles]
        return self.engine.call(program, *options, *words, folder=self.folder / "deploy")

    def containers(self) -> dict[str, dict[str, Any]]:
        """What podman says of each container, by name."""
        return {each["Name"]: each for each in self.engine.containers(PROJECT)}

    def podman(self, *words: str) -> None:
        """Has podman do something with all containers: its Compose knows of one a service only."""
        self.engine.call("podman", *words, *self.containers())

    def well(self, count: int) -> bool:
        """Whether so many containers run, and whoever has a health check passes it."""
        found = self.containers()
        checks = {name: each["Config"].get("Healthcheck") for name, each in found.items()}
        checked = [name for name, check in checks.items() if check and check["Test"] != ["NONE"]]
        running = [each for each in found.values() if each["State"]["Running"]]
        return len(running) == count and all(map(self.engine.passes, checked))

    def make(self, name: str) -> dict[str, Any]:
        """Drops a rendered shoot, and waits for it."""
        shoot = self.folder / name
        write_turn(shoot, FRAMES)
        for path in (shoot, *shoot.iterdir()):
            os.chown(path, OWNER, OWNER)
        shoot.rename(self.inbox / name)
        seconds = wait_for(name, (self.outbox / name / MANIFEST).exists)
        manifest = read_manifest(self.outbox / name)
        return {"status": manifest.status if manifest else "unreadable", "seconds": seconds}


@contextmanager
def started(engine: Engine) -> Iterator[Plant]:
    """What Compose starts; ended, with its volumes, when the block does."""
    plant = Plant(engine)
    try:
        plant.compose("up", "--detach", "--no-build", *SERVICES)
        yield plant
    finally:
        if plant.containers():
            plant.podman("rm", "--force")
        plant.compose("down", "--volumes")


def first_day(plant: Plant) -> dict[str, Any]:
    """What a studio does on its first day."""
    healthy = wait_for("health", lambda: plant.well(len(SERVICES)))
    report: dict[str, Any] = {"seconds_until_healthy": healthy, "shoot": plant.make("4711-golf")}
    told = plant.compose("exec", "-T", "watcher", "cyclorama", "status", "--json")
    report["workers"] = [len(json.loads(told)["workers"])]
    plant.compose("up", "--detach", "--no-build", "--scale", "worker=2", *SERVICES)
    wait_for("a second worker", lambda: plant.well(len(SERVICES) + 1))
    wait_for("Prometheus", lambda: list(targets().values()) == ["up"] * 3)
    report["scraped"] = targets()
    report["shoot_of_two_workers"] = plant.make("4712-polo")
    began = time.monotonic()
    plant.podman("stop", "--time=90")
    report["seconds_until_stopped"] = round(time.monotonic() - began, 1)
    ended = plant.containers()
    report["exit_codes"] = {name: each["State"]["ExitCode"] for name, each in ended.items()}
    plant.podman("start")
    wait_for("health", lambda: plant.well(len(ended)))
    report["shoot_after_a_new_start"] = plant.make("4713-up")
    return report


def targets() -> dict[str, str]:
    """Whom Prometheus asks, and how each of them is."""
    try:
        with urllib.request.urlopen(TARGETS, timeout=10) as answer:
            found = json.load(answer)["data"]["activeTargets"]
    except OSError:
        return {}
    return {each["labels"]["instance"]: each["health"] for each in found}


def main() -> int:
    """Exit code 0: all of it did; 1: something did not; 2: something is missing here."""
    parser = argparse.ArgumentParser(prog="containers.py", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--torch-index", default="", metavar="URL", help="where pip finds PyTorch")
    add("--volume", action="append", default=[], metavar="HOST:PATH", help="there in the builds")
    options = parser.parse_args()
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        err.print(f"needs root, and these programs: {' '.join(TOOLS)}; see --help")
        return 2
    with tempfile.TemporaryDirectory(prefix="cyclorama-") as folder:
        engine = Engine(Path(folder), options.volume)
        try:
            make_images(engine, options.torch_index)
            with started(engine) as plant:
                report = {"compose": first_day(plant)}
            report["systemd"] = followed(engine)
        except (subprocess.CalledProcessError, TimeoutError) as error:
            err.print(str(error), style="red", markup=False, soft_wrap=True)
            return 1
    for part, figures in report.items():
        for name, value in figures.items():
            err.print(f"{part}: {name.replace('_', ' ')}: {value}", markup=False, soft_wrap=True)
    print(json.dumps(report))
    return 0 if _is_well(report) else 1


def _is_well(report: dict[str, dict[str, Any]]) -> bool:
    """Whether every shoot is whole, and everything ended in good order."""
    day = report["compose"]
    shoots = [value for name, value in day.items() if name.startswith("shoot")]
    return (
        all(shoot["status"] == "complete" for shoot in shoots)
        and not any(day["exit_codes"].values())
        and set(report["systemd"]["ended"]) == {"Result=success"}
    )


if __name__ == "__main__":
    sys.exit(main())
