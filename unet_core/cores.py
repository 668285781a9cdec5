"""How many cores there are for us."""

from __future__ import annotations

import os
from pathlib import Path


def usable_cores(system: Path = Path("/")) -> int:
    """Cores that this process may use: by its affinity, and by the quota that a container or a
    service manager gave it (cgroup v2); not what the machine has. ``system`` is where ``proc``
    and ``sys`` are found."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(there or 1, _quota(system) or there or 1))


def _quota(system: Path) -> int | None:
    """Whole cores of the quota; ``None`` where there is none."""
    try:
        group = (system / "proc/self/cgroup").read_text().strip().rpartition("::/")[2]
        limit = (system / "sys/fs/cgroup" / group / "cpu.max").read_text()
        quota, period = map(int, limit.split())
    except (OSError, ValueError):  # no cgroup v2 here, or "max": no limit
        return None
    return max(1, quota // period)
