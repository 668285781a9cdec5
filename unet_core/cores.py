"""How many cores there are for us."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def usable_cores(system: Path = Path("/")) -> int:
    """Cores that this process may use: by its affinity, and by the quotas that container, pod or
    service manager gave it or a group around it (cgroup v1 and v2); not what the machine has.
    ``system`` is where ``proc`` and ``sys`` are found."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(there or 1, _quota(system) or there or 1))


def _quota(system: Path) -> int | None:
    """Whole cores of the smallest quota; ``None`` where there is none."""
    quotas = [
        quota / period
        for group in _groups(system)
        for quota, period in [_limit(group)]
        if quota > 0 and period > 0
    ]
    return max(1, int(min(quotas))) if quotas else None


def _groups(system: Path) -> Iterator[Path]:
    """The folders of this process's control group and of all around it, as far as they are seen."""
    root = system / "sys/fs/cgroup"
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        for top in [root / "cpu", root / controllers] if controllers else [root]:
            group = top / path.lstrip("/")
            yield from (each for each in (group, *group.parents) if each.is_relative_to(top))


def _limit(group: Path) -> tuple[int, int]:
    """Quota and period in microseconds; no quota: 0 or less."""
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        with contextlib.suppress(OSError, ValueError):  # not of this version, or "max": no limit
            quota, period = " ".join((group / name).read_text() for name in names).split()
            return int(quota), int(period)
    return 0, 1
