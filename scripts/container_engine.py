"""Images without Docker: what buildah and podman are told, and what stands in for the images that
only a registry has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from unet_core.booth import Booth, write_shoot

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
TOOLS = ("buildah", "podman", "debootstrap", "runc", "iptables", "catatonit")
BASE, IMAGE = "localhost/debian-with-python:bookworm", "localhost/cyclorama:cpu"
BARE = "--include=ca-certificates,python3,python3-venv"
APT = "RUN apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends"
STAND_INS = {
    "docker.io/library/redis:7.4.5-bookworm": f"""FROM {BASE}
{APT} redis-server
RUN install -d -o redis -g redis /data
WORKDIR /data
VOLUME /data
""",
    "docker.io/prom/prometheus:v3.5.0": f"""FROM {BASE}
{APT} prometheus
RUN install -d -o nobody -g nogroup /prometheus
USER nobody
WORKDIR /prometheus
VOLUME /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
""",
}
SETTINGS = """[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
[network]
network_backend = "netavark"
"""
"""Limits below those of this process: not every root may raise them."""
PATIENCE_SECONDS = 300.0

err = Console(stderr=True)


class Engine:
    """Calls of buildah and podman. Each raises ``CalledProcessError`` when it fails."""

    def __init__(self, folder: Path, volumes: list[str]) -> None:
        """``folder`` is for files that are needed for a while; ``volumes`` (HOST:PATH) are there
        while an image is built."""
        self.folder, self.volumes = folder, volumes
        settings = folder / "containers.conf"
        settings.write_text(SETTINGS)
        self.environment = {**os.environ, "CONTAINERS_CONF": str(settings)}

    def call(self, *words: str | Path, folder: Path = ROOT) -> str:
        """What a command prints to its output; what it says beside that is shown."""
        done = subprocess.run(
            [str(word) for word in words],
            cwd=folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout

    def build(self, image: str, dockerfile: Path, context: Path, **arguments: str) -> None:
        """Runs a Dockerfile's steps, in order."""
        options = [f"--volume={volume}" for volume in self.volumes]
        options += [f"--build-arg={name}={value}" for name, value in arguments.items()]
        command = ["buildah", "bud", "--layers", "--format=docker", "--isolation=chroot", *options]
        subprocess.run(
            [*command, "--file", str(dockerfile), "--tag", image, str(context)],
            env=self.environment,
            stdout=sys.stderr,
            check=True,
        )

    def build_text(self, image: str, dockerfile: str) -> None:
        """Runs the steps of a Dockerfile that copies nothing."""
        path = self.folder / "Dockerfile"
        path.write_text(dockerfile)
        self.build(image, path, self.folder)

    def containers(self, project: str) -> list[dict[str, Any]]:
        """What podman says of each container of a project of Compose's."""
        ours = f"label=io.podman.compose.project={project}"
        names = self.call("podman", "ps", "--all", "--quiet", "--filter", ours).split()
        found: list[dict[str, Any]] = []
        if names:
            found = json.loads(self.call("podman", "inspect", "--type=container", *names))
        return found

    def passes(self, container: str) -> bool:
        """Runs a container's health check; systemd does that for podman where it runs."""
        command = ["podman", "healthcheck", "run", container]
        done = subprocess.run(command, env=self.environment, capture_output=True, check=False)
        return done.returncode == 0


def make_images(engine: Engine, torch_index: str) -> None:
    """The images that Compose asks for: ours from the Dockerfile, the others once."""

    make_base(engine)
    for image, text in STAND_INS.items():
        if not _is_there(engine, image):
            engine.build_text(image, text)
    index = {"TORCH_INDEX": torch_index} if torch_index else {}
    engine.build(IMAGE, DEPLOY / "Dockerfile", ROOT, PYTHON=BASE, **index)


def make_base(engine: Engine) -> None:
    """A bare Debian with Python, as an image; made once."""
    if _is_there(engine, BASE):
        return
    root = engine.folder / "root"
    command = ["debootstrap", "--variant=minbase", BARE, "bookworm", str(root)]
    subprocess.run(command, stdout=sys.stderr, check=True)
    (root / "usr/bin/python").symlink_to("python3")
    box = engine.call("buildah", "from", "scratch").strip()
    engine.call("buildah", "add", "--quiet", box, root, "/")
    engine.call("buildah", "commit", "--quiet", "--rm", box, BASE)
    shutil.rmtree(root)


def _is_there(engine: Engine, image: str) -> bool:
    return bool(engine.call("podman", "images", "--quiet", image).strip())


def write_turn(folder: Path, frames: int) -> None:
    """A rendered shoot, with the number of frames that it says itself."""
    write_shoot(Booth(seed=7, angles=frames, width=960, height=640), folder)
    (folder / "preset.toml").write_text(f"frames = {frames}\n")


def wait_for(what: str, is_so: Callable[[], object]) -> float:
    """Seconds until it is so. Raises ``TimeoutError``."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise TimeoutError(f"{what}: not within {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.5)
    return round(time.monotonic() - began, 1)
