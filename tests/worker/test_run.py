"""The worker processes of `cyclorama run`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from worker import run
from worker.run import Crew, WorkerRefused
from worker.settings import Settings


class ShortLived(Crew):
    """A crew whose workers say a word and die."""

    code = 1

    def _spawn(self, place: int) -> subprocess.Popen[bytes]:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as handle:
            return subprocess.Popen(
                [sys.executable, "-c", f"print('error: no such device'); exit({self.code})"],
                stdout=handle,
            )


@pytest.fixture
def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ShortLived:
    monkeypatch.setattr(run, "MAX_EARLY_DEATHS", 2)
    return ShortLived("redis://nowhere", Settings(state=tmp_path), count=1)


def tend_until_refused(crew: Crew) -> WorkerRefused:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            crew.tend()
        except WorkerRefused as error:
            return error
        time.sleep(0.05)
    raise AssertionError("the crew never gave up")


def test_a_worker_that_refuses_its_settings_is_not_replaced(crew: ShortLived) -> None:
    crew.code = 2
    crew.start()
    assert str(tend_until_refused(crew)) == "no such device"


def test_workers_that_die_again_and_again_end_the_program_with_their_last_error(
    crew: ShortLived,
) -> None:
    crew.start()
    assert str(tend_until_refused(crew)) == "workers die again and again: no such device"
