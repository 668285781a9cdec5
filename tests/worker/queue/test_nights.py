from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from celery.beat import EmbeddedService, Scheduler

from worker.errors import SettingsError
from worker.queue import nights
from worker.queue.app import connect, make_app
from worker.queue.broker import EmbeddedRedis
from worker.queue.health import REPLACE_ME
from worker.queue.nights import TRAINING, entry, last_due, next_due, parse_cron, stop

NOON = datetime(2026, 11, 25, 12, 0, 30, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("cron", "due"),
    [
        ("30 3 * * *", NOON.replace(hour=3, minute=30, second=0)),
        ("* * * * *", NOON.replace(second=0)),
        ("0 23 * * *", NOON.replace(day=24, hour=23, second=0)),
        ("0 4 * * sun", NOON.replace(day=22, hour=4, second=0)),
        ("0 4 1 1 *", NOON.replace(month=1, day=1, hour=4, second=0)),
    ],
)
def test_the_last_night_that_was_due_is_the_same_whenever_one_asks(
    cron: str, due: datetime
) -> None:
    assert last_due(cron, NOON) == due
    assert last_due(cron, NOON + timedelta(seconds=20)) == due


def test_the_next_night_comes_after_now() -> None:
    assert next_due("30 3 * * *", NOON) == NOON.replace(day=26, hour=3, minute=30, second=0)


@pytest.mark.parametrize("cron", ["nightly", "30 3 * *", "61 3 * * *"])
def test_what_is_no_schedule_is_refused_with_an_example(cron: str) -> None:
    with pytest.raises(SettingsError, match=r"CYCLORAMA_RETRAIN_CRON.*30 3 \* \* \*"):
        parse_cron(cron)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis that a test may stop and start."""
    server = EmbeddedRedis(tmp_path)
    server.start()
    yield server
    server.stop()


def test_a_night_that_is_due_while_redis_is_away_is_sent_when_it_is_back(
    server: EmbeddedRedis,
) -> None:
    app = make_app(server.url)
    app.conf.beat_schedule = {"night": entry("30 3 * * *")}
    scheduler: Any = Scheduler(app)
    night, producer = scheduler.schedule["night"], scheduler.producer
    scheduler.apply_entry(night, producer=producer)
    server.stop()
    back = Timer(2.5, server.start)
    back.start()
    scheduler.apply_entry(night, producer=producer)
    back.join()
    with connect(server.url) as redis:
        assert redis.llen(TRAINING) == 2


KEPT = """
import sys
from pathlib import Path
from celery.beat import PersistentScheduler
from worker.queue.nights import serve_nights

def full(*_):
    raise OSError(28, "No space left on device")

PersistentScheduler.tick = full
url, folder = sys.argv[1:]
sys.exit(serve_nights(url, "30 3 * * *", folder=Path(folder), on_night=print, name="one"))
"""


def test_a_scheduler_whose_beat_has_ended_is_to_be_replaced(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KEPT, redis_server.url, str(tmp_path / "beat")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == REPLACE_ME, done.stderr[-1000:]
    assert "the schedule ended by itself" in done.stderr


def test_a_scheduler_that_waits_for_redis_can_be_stopped(
    server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nights, "STOP_SECONDS", 0.2)
    app = make_app(server.url)
    often = entry("* * * * *") | {"schedule": timedelta(seconds=1)}
    app.conf.beat_schedule = {"night": often}
    server.stop()
    beat: Any = EmbeddedService(app, thread=True, schedule_filename=str(tmp_path / "schedule"))
    beat.start()
    time.sleep(2)
    began = time.monotonic()
    stop(beat)
    assert time.monotonic() - began < 1
    assert beat.is_alive(), "it waits for Redis"
    server.start()
    beat.join(20)
    assert not beat.is_alive()
