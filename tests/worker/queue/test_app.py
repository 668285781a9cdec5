from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Celery
from redis import Redis

from worker.errors import BrokerError
from worker.queue.app import TASK, JobQueue, connect, make_app, unreachable
from worker.queue.broker import EmbeddedRedis
from worker.queue.messages import JobMessage, parse
from worker.shoots import Source, group

SHOOT = group([Source("car/01.jpg", 10, 5)])[0]


@pytest.fixture
def app(redis_server: EmbeddedRedis) -> Iterator[Celery]:
    app = make_app(redis_server.url)
    yield app
    app.close()


def test_a_job_that_is_sent_lies_on_the_queue_as_json(
    app: Celery, redis: Redis, redis_server: EmbeddedRedis
) -> None:
    message, jobs = JobMessage.of(SHOOT), JobQueue(redis_server.url, redis)
    assert jobs.length() == 0
    assert jobs.oldest() is None
    jobs.send(message, at=5.0)
    jobs.send(JobMessage.of(SHOOT), at=6.0)
    assert (jobs.length(), jobs.oldest()) == (2, 5.0)
    with app.connection_for_read() as connection, connection.SimpleQueue("shoots") as queue:
        arrived = queue.get(timeout=5)
        assert arrived.content_type == "application/json"
        assert arrived.headers["task"] == TASK
        assert arrived.headers["id"] == message.job
        assert parse(arrived.payload[0][0]) == message
        arrived.ack()
    assert (jobs.length(), jobs.oldest()) == (1, 6.0)
    redis.rpush("shoots", b"garbage")
    assert jobs.oldest() == 0.0, "garbage tells nothing"


def test_nothing_but_json_is_accepted_and_nothing_is_acknowledged_before_its_work(
    app: Celery,
) -> None:
    assert app.conf.accept_content == ["json"]
    assert (app.conf.task_serializer, app.conf.task_acks_late) == ("json", True)
    assert (app.conf.worker_prefetch_multiplier, app.conf.worker_disable_prefetch) == (1, True)
    assert not app.conf.worker_enable_remote_control


def test_a_redis_that_is_away_or_hangs_costs_a_worker_neither_its_life_nor_its_work(
    app: Celery,
) -> None:
    assert app.conf.broker_connection_max_retries is None
    assert not app.conf.worker_cancel_long_running_tasks_on_connection_loss
    waits = app.conf.broker_transport_options
    assert all(waits[name] for name in ("socket_timeout", "socket_connect_timeout"))


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis+socket:///nowhere/redis.sock"])
def test_a_redis_that_does_not_answer_is_an_error_with_its_address_and_cure(url: str) -> None:
    with pytest.raises(BrokerError, match=r"(127\.0\.0\.1:1|nowhere).*CYCLORAMA_BROKER_URL"):
        connect(url)


def test_an_address_that_is_none_is_an_error_with_its_cure() -> None:
    with pytest.raises(BrokerError, match="CYCLORAMA_BROKER_URL"):
        connect("my-redis:6379")


def test_a_job_that_cannot_be_sent_is_an_error_with_its_cure(redis: Redis) -> None:
    jobs = JobQueue("redis+socket:///nowhere/redis.sock?virtual_host=0", redis)
    with pytest.raises(BrokerError, match=r"nowhere.*CYCLORAMA_BROKER_URL"):
        jobs.send(JobMessage.of(SHOOT), at=0.0)


def test_a_password_in_the_address_is_not_shown() -> None:
    error = unreachable("rediss://studio:s3cr@t@redis.example:6380/0", OSError("no route"))
    assert "s3cr" not in str(error)
    assert "rediss://redis.example:6380/0" in str(error)
    assert "s3cr" not in str(unreachable("redis://host:1/0?password=s3cr3t", OSError()))
