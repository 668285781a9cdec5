from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from redis import Redis

from tests.parts import ListQueue, drop_photos, manifest_with, row_of, shoot_in
from tests.worker.booth.days import manifest, publish, redder
from worker.booth.history import TOLD, BoothHealth, BoothHistory
from worker.intake.inbox import Inbox, View
from worker.intake.metrics import WatcherMetrics
from worker.intake.plan import Rules
from worker.intake.watcher import Watcher
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.queue.app import QUEUE
from worker.queue.leases import Leases
from worker.queue.roster import WorkerBeat, beat


class Studio:
    """A watcher whose clock the test turns."""

    def __init__(self, places: Places, redis: Redis, presets: Path) -> None:
        self.places, self.clock = places, 1000.0
        self.metrics = WatcherMetrics(
            places, redis, BoothHistory(places.outbox), lambda: self.clock
        )
        inbox = Inbox(places, preset="studio-grey", presets=presets, rules=Rules(0, 0))
        watcher = Watcher(inbox, Leases(redis, seconds=5), ListQueue(), max_attempts=5)
        self.tick = self.metrics.around(lambda: watcher.tick(self.clock, self.clock))

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def studio(places: Places, redis: Redis, tmp_path: Path) -> Studio:
    return Studio(places, redis, tmp_path / "presets")


def test_shoots_and_frames_are_counted_by_stage(studio: Studio) -> None:
    drop_photos(studio.places.inbox / "one", 2)
    drop_photos(studio.places.inbox / "two", 3)
    rows = [row_of(f.source, f.name) for f in shoot_in(studio.places.inbox, "two").frames]
    Staging(studio.places, "two").publish(manifest_with("two", rows))
    studio.tick()
    studio.clock += 1
    studio.tick()
    assert studio.value("cyclorama_inbox_shoots", stage="ready") == 1
    assert studio.value("cyclorama_inbox_frames", stage="ready") == 2
    assert studio.value("cyclorama_inbox_shoots", stage="done") == 1
    assert studio.value("cyclorama_inbox_frames", stage="done") == 3
    assert studio.value("cyclorama_inbox_shoots", stage="arriving") == 0


def test_the_oldest_shoot_ages_from_when_it_was_ready_until_it_is_done(studio: Studio) -> None:
    assert studio.value("cyclorama_oldest_shoot_seconds") == 0
    drop_photos(studio.places.inbox / "one", 2)
    studio.tick()
    studio.clock += 1
    studio.tick()
    studio.clock += 50
    assert studio.value("cyclorama_oldest_shoot_seconds") == pytest.approx(50, abs=1.1)
    rows = [row_of(f.source, f.name) for f in shoot_in(studio.places.inbox, "one").frames]
    Staging(studio.places, "one").publish(manifest_with("one", rows))
    studio.tick()
    assert studio.value("cyclorama_oldest_shoot_seconds") == 0


def test_queue_and_workers_are_read_when_asked(studio: Studio, redis: Redis) -> None:
    assert studio.value("cyclorama_queue_shoots") == 0
    redis.rpush(QUEUE, "a", "b")
    beat(redis, WorkerBeat("studio-7", "cpu", "v1"))
    assert studio.value("cyclorama_queue_shoots") == 2
    assert studio.value("cyclorama_workers") == 1
    assert studio.value("cyclorama_redis_up") == 1


def test_without_redis_the_queue_is_unknown_and_the_rest_is_told(places: Places) -> None:
    away = Redis(host="127.0.0.1", port=1)
    metrics = WatcherMetrics(places, away, BoothHistory(places.outbox))
    assert metrics.registry.get_sample_value("cyclorama_redis_up") == 0
    assert metrics.registry.get_sample_value("cyclorama_queue_shoots") is None
    assert metrics.registry.get_sample_value("cyclorama_problems") == 0


def test_what_needs_a_person_is_counted(studio: Studio) -> None:
    (studio.places.inbox / "empty").mkdir()
    held = studio.places.held("car")
    held.mkdir(parents=True)
    studio.tick()
    assert studio.value("cyclorama_problems") == 1
    assert studio.value("cyclorama_held_shoots") == 1


def test_a_watcher_that_no_longer_looks_is_not_well(studio: Studio) -> None:
    studio.tick()
    studio.clock += 299
    assert studio.metrics.complaint() == ""
    studio.clock += 2
    assert "not looked at for 301 s" in studio.metrics.complaint()
    studio.tick()
    assert studio.metrics.complaint() == ""


def test_a_look_that_fails_is_still_a_look(places: Places, redis: Redis) -> None:
    clock = [0.0]
    metrics = WatcherMetrics(places, redis, BoothHistory(places.outbox), lambda: clock[0])

    def fails() -> View:
        raise OSError("the share is away")

    clock[0] = 1000.0
    with pytest.raises(OSError, match="away"):
        metrics.around(fails)()
    assert metrics.complaint() == ""


def test_where_the_outbox_is_slow_the_booth_is_looked_at_less_often(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def slow(_: BoothHistory) -> BoothHealth:
        looks.append(studio.clock)
        studio.clock += 10
        return BoothHealth(0)

    monkeypatch.setattr(BoothHistory, "tell", slow)
    for _ in range(20):
        studio.tick()
        studio.clock += 60
    assert [round(b - a) for a, b in pairwise(looks)] == [550, 550]


def test_a_booth_that_changed_is_told_once_a_minute(studio: Studio) -> None:
    outbox = studio.places.outbox
    publish(outbox, [manifest(number) for number in range(1, 15)], first=1)
    studio.tick()
    publish(outbox, [manifest(number, redder) for number in range(15, 18)], first=15)
    studio.tick()
    assert studio.value("cyclorama_booth_changed", kind="white-balance") == 0
    studio.clock += 60
    studio.tick()
    assert (outbox / TOLD).exists()
    assert studio.value("cyclorama_booth_changed", kind="white-balance") == 1
    assert studio.value("cyclorama_booth_changed", kind="lamp") == 0
