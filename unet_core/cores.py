"""How many cores and how much memory there are for us."""

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


def available_bytes(system: Path = Path("/")) -> int:
    """Memory that is free or can be freed, or what container, pod or service manager lets this
    process or a group around it have, where that is less. ``system`` as above."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with contextlib.suppress(OSError, KeyError, ValueError):  # Linux alone has it
        text = (system / "proc/meminfo").read_text()
        lines = dict(line.split(":") for line in text.splitlines())
        found.append(1024 * int(lines["MemAvailable"].removesuffix("kB")))
    for group in _groups(system, "memory"):
        for limit in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            with contextlib.suppress(OSError, ValueError):  # not of this version, or no limit
                found.append(int((group / limit).read_text()))
    return min(found)


def _quota(system: Path) -> int | None:
    """Whole cores of the smallest quota; ``None`` where there is none."""
    quotas = [
        quota / period
        for group in _groups(system, "cpu")
        for quota, period in [_limit(group)]
        if quota > 0 and period > 0
    ]
    return max(1, int(min(quotas))) if quotas else None


def _groups(system: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's control group and of all around it, as far as they are seen."""
    root = system / "sys/fs/cgroup"
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        for top in [root / controller, root / controllers] if controllers else [root]:
            group = top / path.lstrip("/")
            yield from (each for each in (group, *group.parents) if each.is_relative_to(top))


def _limit(group: Path) -> tuple[int, int]:
    """Quota and period in microseconds; no quota: 0 or less."""
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        with contextlib.suppress(OSError, ValueError):  # not of this version, or "max": no limit
            quota, period = " ".join((group / name).read_text() for name in names).split()
            return int(quota), int(period)
    return 0, 1
