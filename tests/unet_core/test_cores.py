from __future__ import annotations

import os
from pathlib import Path

import pytest

from unet_core.cores import available_bytes, usable_cores


def test_usable_cores_follow_the_affinity_of_the_process() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity")
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert usable_cores() == len(before)


@pytest.mark.parametrize(
    ("limit", "cores"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None)]
)
def test_usable_cores_follow_the_quota_of_the_container(
    tmp_path: Path, limit: str, cores: int | None
) -> None:
    group = tmp_path / "sys/fs/cgroup/system.slice/x.service"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text(f"{limit}\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/system.slice/x.service\n")
    without_quota = usable_cores(tmp_path / "nothing here")
    assert usable_cores(tmp_path) == (cores or without_quota)


def test_the_quota_of_a_group_around_ours_counts_too(tmp_path: Path) -> None:
    pod = tmp_path / "sys/fs/cgroup/kubepods/pod-1"
    (pod / "ours").mkdir(parents=True)
    (pod / "cpu.max").write_text("100000 100000\n")
    (pod / "ours/cpu.max").write_text("max 100000\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/kubepods/pod-1/ours\n")
    assert usable_cores(tmp_path) == 1


@pytest.mark.parametrize(("quota", "cores"), [(150000, 1), (-1, None)])
def test_the_quota_of_an_older_kernel_counts_too(
    tmp_path: Path, quota: int, cores: int | None
) -> None:
    group = tmp_path / "sys/fs/cgroup/cpu/docker/4711"
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (group / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(
        "5:memory:/docker/4711\n4:cpu,cpuacct:/docker/4711\n"
    )
    assert usable_cores(tmp_path) == (cores or usable_cores(tmp_path / "nothing here"))


def test_a_quota_never_gives_more_cores_than_there_are(tmp_path: Path) -> None:
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("6400000 100000\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    assert usable_cores(tmp_path) == usable_cores(tmp_path / "nothing here")


@pytest.mark.parametrize(
    ("limits", "groups", "line"),
    [
        ({"memory.max": "max", "../memory.max": "2000"}, "system.slice/x", "0::/system.slice/x"),
        ({"memory.max": "2000", "memory.high": "max"}, "x", "0::/x"),
        ({"memory.max": "3000", "memory.high": "2000"}, "x", "0::/x"),
        ({"memory.limit_in_bytes": "2000"}, "memory/docker/x", "5:memory:/docker/x"),
        ({"memory.limit_in_bytes": "2000"}, "memory", "5:memory:/of-the-host"),
    ],
)
def test_memory_is_what_the_group_or_one_around_it_may_have(
    tmp_path: Path, limits: dict[str, str], groups: str, line: str
) -> None:
    group = tmp_path / "sys/fs/cgroup" / groups
    group.mkdir(parents=True)
    for name, limit in limits.items():
        (group / name).write_text(f"{limit}\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"{line}\n")
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:  8000 kB\n")
    assert available_bytes(tmp_path) == 2000
    assert available_bytes(tmp_path / "nothing here") > 2000


def test_memory_without_a_limit_is_what_is_available(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:  80 kB\n")
    assert available_bytes(tmp_path) == 80 * 1024
