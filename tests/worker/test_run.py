"""``run``, in one process: how it ends when it cannot begin."""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from worker import run
from worker.progress import Reporter
from worker.settings import read_settings


@pytest.fixture
def _signals() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
def test_a_run_that_cannot_begin_ends_with_all_its_threads(
    no_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (no_settings / "inbox").mkdir()
    settings = read_settings(inbox_bucket="s3://studio/inbox")
    monkeypatch.setattr(run, "expect", full)
    before = set(threading.enumerate())
    with pytest.raises(OSError, match="No space left"):
        run.run_all(settings, once=False, workers=1, reporter=Reporter(Console(quiet=True)))
    assert {thread for thread in threading.enumerate() if not thread.daemon} <= before
