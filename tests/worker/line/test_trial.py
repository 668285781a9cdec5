from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.parts import drop_photos
from worker.line.trial import Trial


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    trial = Trial(tmp_path, max_pixels=10**6, seconds=60)
    yield trial
    trial.close()


def test_good_photos_and_bad_ones_come_through_in_one_process(tmp_path: Path, trial: Trial) -> None:
    good, other = drop_photos(tmp_path / "car", 2)
    bad = tmp_path / "car" / "03.jpg"
    bad.write_bytes(b"\xff\xd8\xff nothing")
    assert trial.verdict(good) is None
    process = trial._process
    assert [trial.verdict(path) for path in (bad, other, tmp_path / "gone.jpg")] == [None] * 3
    assert process and trial._process is process, "a process was started for each"


def test_a_process_that_died_by_itself_blames_no_photo(tmp_path: Path, trial: Trial) -> None:
    (photo,) = drop_photos(tmp_path / "car", 1)
    assert trial.verdict(photo) is None
    assert trial._process
    os.kill(trial._process.pid, signal.SIGKILL)
    trial._process.wait()
    assert trial.verdict(photo) is None


def test_a_photo_that_is_not_opened_in_time_hangs(tmp_path: Path) -> None:
    (photo,) = drop_photos(tmp_path / "car", 1)
    trial = Trial(tmp_path, max_pixels=10**6, seconds=1e-6)  # nobody is so fast
    assert trial.verdict(photo) == "was not opened within 1e-06 seconds"
    assert trial._process is None, "its answer would be taken for the next photo's"


@pytest.mark.parametrize(
    ("deaths", "verdict"), [(1, None), (2, "ended the program that opened it (exit code 3)")]
)
def test_only_a_photo_that_ends_the_process_every_time_is_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: int, verdict: str | None
) -> None:
    (photo,) = drop_photos(tmp_path / "car", 1)
    program, starts = tmp_path / "program", tmp_path / "starts"
    program.write_text(
        f"#!/bin/sh\necho x >> {starts}\necho\nread photo\n"
        f"[ $(wc -l < {starts}) -gt {deaths} ] || exit 3\necho\nread photo\n"
    )
    program.chmod(0o700)
    monkeypatch.setattr("worker.line.trial.sys", SimpleNamespace(executable=str(program)))
    trial = Trial(tmp_path, max_pixels=10**6, seconds=60)
    assert trial.verdict(photo) == verdict
    trial.close()
    assert starts.read_text() == "x\n" * 2


def test_nobody_is_left_when_the_worker_is_gone(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "worker.line.trial"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    child.communicate(timeout=60)
    assert child.returncode == 0
