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


def test_two_schedulers_begin_one_night_and_the_next_one_too(settings: Settings) -> None:
    first, second = nights(settings), nights(settings)
    assert [n.begin(NOW) for n in (first, second, first)] == [True, False, False]
    deadline = time.monotonic() + 60
    while count(settings) < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert second.begin(NOW + timedelta(days=3)), "three nights were missed: one is made up"
    assert not second.begin(NOW + timedelta(days=3, minutes=1))
    while count(settings) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert count(settings) == 2
    for each in (first, second):
        each.stop()
