"""The traps of a studio under test, from the side that sets them."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

from worker.finish.golden import GOLDEN

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

WORKER_STAGES = (
    "taken", "decode", "batch", "encode", "write", "row", "assembled", "sealed", "rename",
    "published",
)  # fmt: skip
"""Where a worker can be caught, in the order in which a shoot passes through."""
WATCHER_STAGES = ("look", "send")


class Traps:
    """Sets traps in a folder, and tells which have sprung."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "sprung").mkdir(parents=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to step into our traps."""
        paths = [str(HERE / "trap"), str(ROOT), os.environ.get("PYTHONPATH", "")]
        path = os.pathsep.join(filter(None, paths))
        return {"FAULT_TRAPS": str(self.folder), "PYTHONPATH": path}

    def set(self, stage: str, action: str) -> None:
        """Whoever comes to ``stage`` next suffers ``action``."""
        part = self.folder / f".{stage}"
        part.write_text(action)
        part.rename(self.folder / stage)

    def clear(self) -> None:
        """Takes away what has not sprung."""
        for trap in self.folder.iterdir():
            if trap.is_file() and trap.name != "opened.log":
                trap.unlink(missing_ok=True)

    def sprung(self) -> list[tuple[str, int, str]]:
        """Stage, process and action of every trap that has sprung, in order."""
        found = []
        for path in (self.folder / "sprung").iterdir():
            stage, pid, at = path.name.split(".")
            found.append((int(at), stage, int(pid), path.read_text()))
        return [each[1:] for each in sorted(found)]

    def shift_clock(self, seconds: float) -> None:
        """Sets the clock of every process forward, or back."""
        (self.folder / "clock").write_text(str(seconds))

    def opened(self) -> Counter[str]:
        """How often each photo was opened, by name with its folder."""
        return Counter(photo for _, photo in self._opened())

    def openers(self) -> dict[str, int]:
        """The process that opened each photo last, by name with its folder."""
        return {photo: process for process, photo in self._opened()}

    def _opened(self) -> list[tuple[int, str]]:
        log = self.folder / "opened.log"
        lines = log.read_text().splitlines() if log.exists() else []
        rows = [(int(process), Path(path)) for process, path in map(json.loads, lines)]
        return [
            (process, f"{path.parent.name}/{path.name}")
            for process, path in rows
            if path.parent != GOLDEN.image.parent  # which a worker looks at when it starts
        ]


def with_fate(photo: Path, action: str) -> None:
    """Makes a photo do ``action`` to whoever opens it."""
    photo.write_bytes(photo.read_bytes() + b"FATE:" + action.encode())
