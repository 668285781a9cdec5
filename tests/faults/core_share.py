"""A part of a core for some processes, as the kernel's control groups give it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

PERIOD_US = 100_000
ROOT = Path("/sys/fs/cgroup")


class CoreShare:
    """Whoever is held has so much of a core together, and no more."""

    def __init__(self, name: str, cores: float) -> None:
        """Raises ``OSError`` where this system lets us make none."""
        old = (ROOT / "cpu").is_dir()  # version 1: a tree for each resource
        self._folder = (ROOT / "cpu" if old else ROOT) / f"{name}-{os.getpid()}"
        self._folder.mkdir()
        quota = int(cores * PERIOD_US)
        if old:
            (self._folder / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (self._folder / "cpu.max").write_text(f"{quota} {PERIOD_US}")

    def hold(self, pid: int) -> None:
        """Takes in a process, and the children that it starts from now on."""
        (self._folder / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        """Lets them go."""
        for pid in (self._folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (self._folder.parent / "cgroup.procs").write_text(pid)
        with contextlib.suppress(OSError):
            self._folder.rmdir()
