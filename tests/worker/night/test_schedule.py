"""A night is begun once, whoever begins it."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from worker.night.schedule import Nights, claim
from worker.settings import Settings

NOW = datetime(2026, 11, 25, 12, 0, 30).astimezone()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state=tmp_path, retrain_cron="30 3 * * *")


def nights(settings: Settings) -> Nights:
    """A scheduler whose nights leave a line each."""
    line = f"open({str(settings.state / 'nights')!r}, 'a').write('x')"
    return Nights(settings, "redis://nowhere", command=[sys.executable, "-c", line])


def count(settings: Settings) -> int:
    path = settings.state / "nights"
    return len(path.read_text()) if path.exists() else 0


def test_of_many_that_claim_a_night_one_gets_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: claim(tmp_path, NOW), range(40)))
    assert sum(claims) == 1
    assert claim(tmp_path, NOW + timedelta(days=1))


def wait_for(settings: Settings, nights: int) -> None:
    deadline = time.monotonic() + 60
    while count(settings) < nights and time.monotonic() < deadline:
        time.sleep(0.05)
    assert count(settings) == nights


def test_two_schedulers_begin_one_night_and_the_next_one_too(settings: Settings) -> None:
    first, second = nights(settings), nights(settings)
    claim(settings.model_store, NOW - timedelta(days=1))
    assert [n.look(NOW) for n in (first, second, first)] == [True, False, False]
    wait_for(settings, 1)
    assert second.look(NOW + timedelta(days=3)), "three nights were missed: one is made up"
    assert not second.look(NOW + timedelta(days=3, minutes=1))
    wait_for(settings, 2)
    for each in (first, second):
        each.stop()


def test_a_new_schedule_begins_with_the_next_night_and_not_with_one_that_was(
    settings: Settings,
) -> None:
    first, second = nights(settings), nights(settings)
    assert [n.look(NOW) for n in (first, second)] == [False, False]
    assert second.look(NOW + timedelta(days=1))
    wait_for(settings, 1)
    second.stop()
    assert not nights(settings).look(NOW + timedelta(days=1)), "nor after a restart"


def test_a_night_that_cannot_begin_is_tried_again(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    claim(settings.model_store, NOW - timedelta(days=1))
    log = settings.state / "retraining.log"
    log.mkdir()
    kept = nights(settings)
    assert not kept.look(NOW)
    assert "cannot begin yet" in caplog.text
    log.rmdir()
    assert kept.look(NOW)
    wait_for(settings, 1)
    kept.stop()
