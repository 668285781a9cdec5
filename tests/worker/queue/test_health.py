from __future__ import annotations

import errno
import mmap
import os
import socket
import time
from pathlib import Path

import pytest

from worker.queue.health import (
    Health,
    HealthFile,
    ending,
    healths,
    resident_bytes,
    was_ready,
)
from worker.queue.roster import GONE_AFTER_SECONDS

GOOD = Health("a-7", ready=True, alive=True)


def test_what_a_worker_writes_is_what_a_probe_reads(tmp_path: Path) -> None:
    HealthFile(tmp_path, "a-7").write(GOOD)
    assert healths(tmp_path) == [GOOD]
    HealthFile(tmp_path, "a-7").remove()
    assert healths(tmp_path) == []


@pytest.mark.parametrize("direction", [-1, 1])
def test_a_worker_that_says_nothing_any_more_is_neither_ready_nor_alive(
    tmp_path: Path, direction: int
) -> None:
    file = HealthFile(tmp_path, "a-7")
    file.write(GOOD)
    then = time.time() + direction * (GONE_AFTER_SECONDS + 5)
    os.utime(file.path, (then, then))
    (health,) = healths(tmp_path)
    assert (health.ready, health.alive) == (False, False)
    assert "no sign of life" in health.trouble


def test_half_a_file_is_passed_over(tmp_path: Path) -> None:
    HealthFile(tmp_path, "a-7").write(GOOD)
    (tmp_path / "health" / "b-1.json").write_text('{"worker": ')
    assert healths(tmp_path) == [GOOD]


def test_a_disk_that_is_full_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(path: Path, text: str) -> None:
        path.write_bytes(text[:9].encode())
        raise OSError(errno.ENOSPC, "No space left on device")

    HealthFile(tmp_path, "a-7").write(GOOD)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half)
        HealthFile(tmp_path, "a-7").write(GOOD)
    assert healths(tmp_path) == [GOOD]


def test_a_worker_of_another_user_is_not_taken_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    file = HealthFile(tmp_path, f"{socket.gethostname()}-{os.getpid()}")
    file.write(GOOD)
    long_ago = time.time() - GONE_AFTER_SECONDS - 5
    os.utime(file.path, (long_ago, long_ago))
    monkeypatch.setattr(os, "kill", refused)
    HealthFile(tmp_path, "new").write(GOOD)
    assert file.path.exists()


def test_a_folder_that_cannot_be_written_costs_no_work(tmp_path: Path) -> None:
    (tmp_path / "health").write_text("a file")
    HealthFile(tmp_path, "a-7").write(GOOD)
    assert healths(tmp_path) == []


def test_a_folder_that_cannot_be_listed_costs_no_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(*_: object) -> None:
        raise OSError("Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "glob", stale)
        HealthFile(tmp_path, "a-7").write(GOOD)
    assert healths(tmp_path) == [GOOD]


def test_whether_a_dead_worker_ever_came_to_work_is_asked_once(tmp_path: Path) -> None:
    HealthFile(tmp_path, "a-7").write(GOOD)
    HealthFile(tmp_path, "a-27").write(GOOD)
    assert not was_ready(tmp_path, 17)
    assert was_ready(tmp_path, 7)
    assert not was_ready(tmp_path, 7)
    assert was_ready(tmp_path, 27)


def test_whoever_runs_takes_away_what_the_dead_of_its_host_left(tmp_path: Path) -> None:
    host, nobody = socket.gethostname(), 2**22  # above the highest process there can be
    names = {
        "dead": f"{host}-{nobody}",
        "dead courier": f"courier-{host}-{nobody}",
        "just dead": f"{host}-{nobody + 1}",
        "frozen": f"{host}-{os.getpid()}",
        "of another host": f"else-{host}-{nobody}",
        "of a host that is gone": f"gone-{host}-{nobody}",
    }
    long_ago = time.time() - GONE_AFTER_SECONDS - 5
    for what, name in names.items():
        file = HealthFile(tmp_path, name)
        file.write(GOOD)
        if what != "just dead":
            os.utime(file.path, (long_ago, long_ago))
        if what == "of a host that is gone":
            yesterday = time.time() - 86400
            os.utime(file.path, (yesterday, yesterday))
    HealthFile(tmp_path, "new").write(GOOD)
    left = {path.stem for path in (tmp_path / "health").iterdir()}
    assert left == {names[what] for what in ("just dead", "frozen", "of another host")} | {"new"}


def test_how_a_process_ended_is_told_in_words() -> None:
    assert [ending(-11), ending(3), ending(-200)] == [
        "Segmentation fault", "exit code 3", "signal 200"
    ]  # fmt: skip


def test_memory_that_is_taken_is_seen() -> None:
    before = resident_bytes()
    with mmap.mmap(-1, 64 << 20) as block:  # the allocator might hand out memory it has kept
        block.write(os.urandom(1 << 20) * 64)
        assert resident_bytes() - before > 32 << 20
