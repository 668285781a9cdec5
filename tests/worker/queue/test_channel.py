"""Garbage in the queue is dropped; a Redis that is away is not garbage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from kombu.transport.redis import Channel, Transport
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from worker.queue.app import QUEUE, JobQueue, make_app
from worker.queue.broker import EmbeddedRedis
from worker.queue.channel import tolerate_garbage
from worker.queue.messages import JobMessage, parse


@pytest.fixture
def app(redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """The application of a worker, whose channels tolerate garbage."""
    monkeypatch.setattr(Transport, "Channel", Transport.Channel)  # put back in the end
    tolerate_garbage()
    app = make_app(redis_server.url)
    yield app
    app.close()


NO_TAG = b'{"headers": {}, "properties": {"delivery_tag": null, "delivery_info": %s}}' % (
    b'{"exchange": "", "routing_key": "shoots"}'
)
GARBAGE = {
    "no-json": b"garbage",
    "no-text": b"\xff\xfe",
    "null": b"null",
    "list": b"[1]",
    "empty": b"{}",
    "no-properties": b'{"headers": {}}',
    "odd-properties": b'{"body": "x", "properties": [1]}',
    "no-tag": NO_TAG,
    "too-deep": b"[" * 200_000,
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_message_is_dropped_and_told_and_the_job_behind_it_arrives(
    app: Celery, redis: Redis, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    message = JobMessage(shoot="car", frames=())
    redis.lpush(QUEUE, garbage)
    JobQueue(app.conf.broker_url, redis).send(message, at=0.0)
    with app.connection_for_read() as connection, connection.SimpleQueue(QUEUE) as queue:
        arrived = queue.get(timeout=20)
        assert parse(arrived.payload[0][0]) == message
        arrived.ack()
    assert redis.llen(QUEUE) == 0
    assert caplog.text.count("was dropped") == 1


def test_a_redis_that_goes_away_is_not_taken_for_garbage(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise RedisConnectionError("Connection refused")

    monkeypatch.setattr(Channel, "_brpop_read", gone)
    with app.connection_for_read() as connection, pytest.raises(RedisConnectionError):
        connection.default_channel._brpop_read()
