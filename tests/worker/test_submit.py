from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis import Redis

from tests.parts import drop_photos
from worker.errors import BrokerError, FolderError, ShootError
from worker.outbox.places import Places
from worker.queue.app import QUEUE
from worker.queue.broker import EmbeddedRedis
from worker.queue.leases import Leases, Note
from worker.settings import Settings, read_settings
from worker.submit import submit


@pytest.fixture
def settings(
    no_settings: Path, places: Places, redis: Redis, redis_server: EmbeddedRedis
) -> Settings:
    drop_photos(places.inbox / "car", 2)
    drop_photos(places.inbox / "van", 1)
    return read_settings(inbox=places.inbox, outbox=places.outbox, broker_url=redis_server.url)


def queued_jobs(redis: Redis) -> list[str]:
    """The raw messages on the queue."""
    return [raw.decode() for raw in redis.lrange(QUEUE, 0, -1)]  # type: ignore[union-attr]


def test_the_named_shoots_are_queued_without_waiting_for_more(
    settings: Settings, redis: Redis, leases: Leases
) -> None:
    lines = list(submit(settings, ["van", "car"], retry=False))
    assert lines == ["van is queued: 1 frame", "car is queued: 2 frames"]
    assert redis.llen(QUEUE) == 2
    note = leases.note("car")
    assert note
    assert (note.state, note.attempt, note.total) == ("queued", 1, 2)
    ids = {json.loads(raw)["headers"]["id"] for raw in queued_jobs(redis)}
    assert note.job in ids


@pytest.mark.parametrize("retry", [True, False])
def test_the_message_says_whether_failed_frames_are_tried_again(
    settings: Settings, redis: Redis, retry: bool
) -> None:
    list(submit(settings, ["car"], retry=retry))
    (raw,) = queued_jobs(redis)
    assert json.loads(raw)["headers"]["argsrepr"].count(f"'retry': {retry}") == 1


def test_an_unknown_shoot_is_refused_before_anything_is_queued(
    settings: Settings, redis: Redis
) -> None:
    with pytest.raises(ShootError, match=r"no shoot 'ghost'.*car, van"):
        list(submit(settings, ["car", "ghost"], retry=False))
    assert redis.llen(QUEUE) == 0


def test_a_shoot_in_work_is_not_queued_again(
    settings: Settings, redis: Redis, leases: Leases
) -> None:
    assert leases.acquire("car")
    assert list(submit(settings, ["car"], retry=False)) == ["car is in work already"]
    assert redis.llen(QUEUE) == 0


def test_failed_frames_of_a_shoot_in_work_are_tried_again_when_it_is_done(
    settings: Settings, redis: Redis, leases: Leases
) -> None:
    assert leases.acquire("car")
    (line,) = submit(settings, ["car"], retry=True)
    assert line == "car is in work; then its failed frames are tried again"
    leases.forget("car", retried=False)  # the attempt that was in work ends
    assert leases.asked() == {"car": True}
    assert redis.llen(QUEUE) == 0


def test_a_shoot_that_was_given_up_begins_again_with_its_first_attempt(
    settings: Settings, leases: Leases
) -> None:
    leases.write("car", Note("failed", "0" * 32, 5, 0.0, total=2, error="disk full"))
    list(submit(settings, ["car"], retry=True))
    note = leases.note("car")
    assert note
    assert (note.state, note.attempt, note.error) == ("queued", 1, "")


def test_without_redis_nothing_can_be_queued(settings: Settings, tmp_path: Path) -> None:
    alone = settings.model_copy(update={"broker_url": "", "state": tmp_path / "state"})
    with pytest.raises(BrokerError, match="cannot be reached"):
        list(submit(alone, ["car"], retry=False))


def test_without_an_inbox_nothing_can_be_queued(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="gone"):
        list(submit(settings.model_copy(update={"inbox": tmp_path / "gone"}), ["car"], retry=False))
