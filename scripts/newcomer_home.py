"""A home of a newcomer's own, on this machine."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unet_core.booth import Booth, write_shoot
from worker.queue.broker import redis_binary

ROOT = Path(__file__).parent.parent
SHOOT = "4711-golf"
NAMES = {"show NAME": "show studio-7"}
STUDIO = "queue.studio:6379"
"""Where the pages' Redis is."""
INSTALL = "pip install --no-deps --no-build-isolation --quiet --disable-pip-version-check ."
OTHERS = shutil.ignore_patterns(
    ".*_cache", ".venv", ".git", "__pycache__", "*.egg-info", ".demo", "runs", "build"
)
"""What is in a checkout and not in a repository."""
PAGE_SECONDS = 600


@dataclass
class Home:
    """A shell with an empty home, beside a Redis."""

    folder: Path
    redis: str
    environment: dict[str, str]
    stand_ins: dict[str, str]
    after: dict[str, str]
    not_run: tuple[tuple[re.Pattern[str], str], ...] = (
        (re.compile(r"^scripts/(demo|setup)\b"), "sets up an environment of several GB"),
        (
            re.compile(r"^(apt-get|useradd|systemctl|journalctl)\b|/(etc|srv|opt)/"),
            "is for root, on a host of its own",
        ),
    )

    def bash(self, page: str, text: str) -> str:
        """What a shell prints that is told ``text``, for a page."""
        shared = {} if page == "README.md" else {"CYCLORAMA_BROKER_URL": f"redis://{self.redis}/0"}
        done = subprocess.run(
            ["bash", "-c", text],
            stdin=subprocess.DEVNULL,
            cwd=self.folder / "cyclorama",
            env=self.environment | shared,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PAGE_SECONDS,
            check=False,
        )
        return done.stdout


@contextlib.contextmanager
def home_of_its_own() -> Iterator[Home]:
    """A home with a copy of the repository, an inbox and the program; gone after the block."""
    with tempfile.TemporaryDirectory(prefix="cy") as folder, _redis(Path(folder)) as redis:
        home = Path(folder) / "home"
        furnish(home)
        environment = {
            "HOME": str(home),
            "PYTHONWARNINGS": "ignore",
            "PATH": f"{_install(home)}:{os.environ['PATH']}",
            **variables(home),
        }
        stand_ins = {"SHOOT": SHOOT, **NAMES, STUDIO: redis, "pip install .": INSTALL}
        yield Home(home, redis, environment, stand_ins, {})


def variables(home: Path) -> dict[str, str]:
    """What a newcomer sets who has an inbox at home, and not half a minute for a shoot to rest."""
    return {
        "CYCLORAMA_INBOX": str(home / "inbox"),
        "CYCLORAMA_OUTBOX": str(home / "outbox"),
        "CYCLORAMA_STATE": str(home / ".cyclorama"),
        "CYCLORAMA_DEVICE": "cpu",
        "CYCLORAMA_QUIET_SECONDS": "4",
    }


def furnish(home: Path) -> None:
    """A copy of the repository, photos, and an inbox with a shoot that is held for its second
    photo, which is broken."""
    shutil.copytree(ROOT, home / "cyclorama", ignore=OTHERS)
    photos, shoot = home / "photos", home / "inbox" / SHOOT
    write_shoot(Booth(seed=7, angles=4, width=480, height=320), photos)
    shutil.copytree(photos, shoot)
    (photos / "preset.toml").write_text("frames = 4\n")
    photo = sorted(shoot.glob("*.jpg"))[1]
    photo.write_bytes(photo.read_bytes()[:2000])
    (shoot / "preset.toml").write_text('frames = 4\non_failed_frame = "hold"\n')


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[str]:
    """Host and port of a Redis, as on another machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    server = subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def _install(home: Path) -> Path:
    """The programs of a new virtual environment, with the program installed from the copy."""
    place = home / "venv"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    (packages,) = place.glob("lib/*/site-packages")
    for old in packages.glob("setuptools*"):
        shutil.rmtree(old)  # what some Pythons bring along is too old to build us
    theirs = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "of-the-parent.pth").write_text("\n".join(theirs) + "\n")
    pip = [str(place / "bin/python"), "-m", "pip", *INSTALL.split()[1:]]
    subprocess.run(pip, cwd=home / "cyclorama", check=True)
    return place / "bin"
