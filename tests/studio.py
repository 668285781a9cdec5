"""A small studio for tests: an inbox, an outbox, and the program run on them as a person would."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.outbox.manifest import Manifest, read_manifest

COMMAND = [sys.executable, "-W", "ignore", "-m", "worker.cli"]


@dataclass(frozen=True)
class Studio:
    """Folders of one studio, and the environment that the program runs in there."""

    root: Path
    environment: dict[str, str]

    @property
    def inbox(self) -> Path:
        return self.root / "inbox"

    @property
    def outbox(self) -> Path:
        return self.root / "outbox"

    def cyclorama(
        self, *arguments: str, seconds: float = 110, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.root,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    @contextmanager
    def running(self, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command that runs until the block ends, then is told to stop and must exit with 0."""
        log = self.root / f"{arguments[0]}.{time.monotonic_ns()}.log"
        with log.open("wb") as handle:
            process = subprocess.Popen(
                [*COMMAND, *arguments],
                cwd=self.root,
                env=self.environment | environment,
                stdout=handle,
                stderr=handle,
            )
        try:
            yield process
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, log.read_text()[-2000:]
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def status(self, **environment: str) -> dict[str, Any]:
        """What ``cyclorama status --json`` says."""
        found: dict[str, Any] = json.loads(self.cyclorama("status", "--json", **environment).stdout)
        return found

    def beats(self, *, at_least: int, **environment: str) -> list[dict[str, Any]]:
        """The workers' signs of life, once they own to so many frames."""
        deadline = time.monotonic() + 15
        while True:
            workers: list[dict[str, Any]] = self.status(**environment)["workers"]
            if sum(w["frames"] for w in workers) >= at_least or time.monotonic() > deadline:
                return workers
            time.sleep(0.5)

    def manifest(self, shoot: str) -> Manifest | None:
        """The manifest of a published shoot, if it is there."""
        return read_manifest(self.outbox / shoot)

    def wait_for(self, what: Callable[[], bool], *, seconds: float = 100) -> None:
        """Waits until something holds; says where everything stood if it never does."""
        deadline = time.monotonic() + seconds
        while not what():
            if time.monotonic() > deadline:
                logs = "".join(log.read_text()[-1500:] for log in self.root.rglob("*.log"))
                raise AssertionError(f"it did not come to pass; {self.status()}\n{logs}")
            time.sleep(0.1)

    def assert_whole(self, shoot: str) -> Manifest:
        """Checks that a shoot is published with every file as its manifest says."""
        manifest = self.manifest(shoot)
        assert manifest is not None, f"{shoot} is not published"
        folder = self.outbox / shoot
        named = {"manifest.json", "contact-sheet.jpg"}
        named |= {"spin.html"} if any(row.outputs for row in manifest.frames) else set()
        for row in manifest.frames:
            if row.error:
                continue
            photo = self.inbox / row.source.path
            if photo.exists():
                assert row.source.sha256 == sha256(photo), f"{photo} was read too early"
            for output in row.outputs.values():
                assert sha256(folder / output.path) == output.sha256
                named.add(output.path)
        there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        assert there == named
        return manifest


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fingerprint(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file below a folder with its digest and time: equal only if nothing was touched."""
    return {
        path.relative_to(folder).as_posix(): (sha256(path), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def make_studio(root: Path, **settings: str) -> Studio:
    """An empty studio in ``root`` with quick waits."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("CYCLORAMA_")}
    quick = {
        "CYCLORAMA_SETTLE_SECONDS": "0.5",
        "CYCLORAMA_QUIET_SECONDS": "3",
        "CYCLORAMA_RESCAN_SECONDS": "1",
        "CYCLORAMA_LEASE_SECONDS": "3",
    }
    (root / "inbox").mkdir(parents=True)
    return Studio(root, plain | quick | settings)


def drop(shoot: Path, studio: Studio, *, name: str | None = None) -> Path:
    """Puts a copy of a shoot's folder into the inbox, whole at once."""
    target = studio.inbox / (name or shoot.name)
    part = studio.root / f"drop-{target.name}"
    shutil.copytree(shoot, part)
    for photo in part.iterdir():
        angle = photo.stem.rpartition("_")[2]
        photo.rename(part / f"{target.name}_{angle}{photo.suffix}")
    part.rename(target)
    return target


def copy_flat(shoot: Path, inbox: Path, *, name: str) -> None:
    """Copies a shoot's photos as loose files into the inbox."""
    for photo in sorted(shoot.iterdir()):
        angle = photo.stem.rpartition("_")[2]
        shutil.copy(photo, inbox / f"{name}_{angle}{photo.suffix}")


def copy_slowly(shoot: Path, target: Path) -> None:
    """Copies as a slow network does: a photo grows piece by piece, and at times nothing comes
    for longer than a file needs to settle."""
    target.mkdir()
    for number, photo in enumerate(sorted(shoot.iterdir())):
        data = photo.read_bytes()
        angle = photo.stem.rpartition("_")[2]
        with (target / f"{target.name}_{angle}{photo.suffix}").open("wb") as handle:
            for start in range(0, len(data), len(data) // 3):
                handle.write(data[start : start + len(data) // 3])
                handle.flush()
                time.sleep(1.2 if number == 3 else 0.05)
