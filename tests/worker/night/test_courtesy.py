"""How a night gives way."""

from __future__ import annotations

import errno
import fcntl
import os
import time

import pytest

from tests.worker.night.nights import (
    TINY,
    shelve,
)
from worker.errors import FolderError
from worker.night.courtesy import Courtesy
from worker.night.retrain import retrain
from worker.settings import Settings


def test_two_are_never_at_it_on_one_store(settings: Settings) -> None:
    shelve(settings, range(8))
    with (settings.model_store / ".retraining.lock").open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert retrain(settings, TINY).outcome == "busy"


def test_a_store_without_locks_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(FolderError, match=r"has no locks.*CYCLORAMA_MODELS"):
        retrain(settings, TINY)


def test_it_waits_while_shoots_do() -> None:
    answers = iter([True, True, False])
    courtesy = Courtesy(lambda: next(answers), every_seconds=0.05)
    began = time.monotonic()
    courtesy()
    assert time.monotonic() - began >= 0.1
    courtesy()  # asked a moment ago: not asked again
    time.sleep(0.06)
    with pytest.raises(StopIteration):
        courtesy()
