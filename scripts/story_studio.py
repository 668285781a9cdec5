"""The studio of the story: a watcher and a worker that run all the while, and what they deliver."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from unet_core.data import Pair
from unet_core.images import encode_mask, read_mask
from worker.corrections_cli import list_corrections
from worker.crew import environment
from worker.errors import CycloramaError
from worker.outbox.manifest import Manifest, read_manifest
from worker.queue.app import connect
from worker.queue.broker import EmbeddedRedis
from worker.queue.roster import workers
from worker.settings import Settings

PATIENCE_SECONDS, LATE_SECONDS = 600.0, 60.0
STOP_SECONDS = 90.0


class StoryError(CycloramaError):
    """The studio did not do what the story tells of."""


class RunningStudio:
    """``cyclorama run`` on the settings' folders, from the beginning of the block to its end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __enter__(self) -> RunningStudio:
        settings = self._settings
        for folder in (settings.inbox, settings.outbox, settings.state):
            folder.mkdir(parents=True, exist_ok=True)
        with (settings.state / "run.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker.cli", "run"],
                env=os.environ | environment(settings, ""),
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()

    def drop(self, car: str, frames: Sequence[Pair]) -> None:
        """Copies a shoot into the inbox, whole at once, unless it lies there."""
        target = self._settings.inbox / car
        if target.exists():
            return
        part = self._settings.state / f"drop-{car}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for pair in frames:
            shutil.copyfile(pair.image, part / pair.image.name)
        (part / ".ready").touch()
        part.rename(target)

    def correct(self, car: str, frames: Sequence[Pair]) -> None:
        """Drops the true masks of these frames as their corrections."""
        folder = self._settings.corrections_folder / car
        folder.mkdir(parents=True, exist_ok=True)
        for pair in frames:
            (folder / f"{pair.image.stem}.png").write_bytes(encode_mask(read_mask(pair.mask)))

    def wait_for(self, what: Callable[[], bool], words: str) -> float:
        """Waits until something holds; for how many seconds. Raises :class:`StoryError` with
        ``words`` if it never does."""
        began = time.monotonic()
        while not what():
            ended = self._process.poll() is not None
            if ended or time.monotonic() - began > PATIENCE_SECONDS:
                raise StoryError(f"{words}, see run.log and worker.log in {self._settings.state}")
            time.sleep(0.2)
        return time.monotonic() - began

    def delivered(self, car: str) -> Manifest | None:
        """The manifest of a shoot that is there."""
        return read_manifest(self._settings.outbox / car)

    def wait_for_corrections(self, count: int) -> float:
        """Waits until so many frames have a person's mask, or no correction waits any more, because
        the rest is refused; for how many seconds."""
        began = time.monotonic()

        def answered() -> bool:
            late = time.monotonic() - began > LATE_SECONDS  # asking for refusals reads every photo
            return self._corrected() == count or (late and "waiting" not in self.corrections())

        return self.wait_for(answered, "the corrections are not taken up")

    def _corrected(self) -> int:
        manifests = [read_manifest(path) for path in self._settings.outbox.iterdir()]
        rows = [row for manifest in manifests if manifest for row in manifest.frames]
        return sum(row.mask == "corrected" for row in rows)

    def corrections(self) -> dict[str, int]:
        """How many corrections are in which state."""
        states = [row.state for row in list_corrections(self._settings)]
        return {state: states.count(state) for state in sorted(set(states))}

    def crew(self) -> dict[str, str]:
        """The checkpoint of each worker by the worker's name, which its process is part of."""
        signs = workers(connect(EmbeddedRedis(self._settings.state).url))
        return {sign.name: sign.checkpoint for sign in signs}
