from __future__ import annotations

import os

import pytest
from redis import Redis

from worker.queue.roster import (
    GONE_AFTER_SECONDS,
    REMEMBERED_SECONDS,
    WorkerBeat,
    beat,
    leave,
    missing_workers,
    worker_name,
    workers,
)


def test_workers_that_gave_a_sign_of_life_are_listed_by_name(redis: Redis) -> None:
    signs = [
        WorkerBeat("b-1", "cpu", "v1", frames=3, shoots=["car"], batches={"4": 2}, at=2.0),
        WorkerBeat("a-1", "cuda", "v2", shared_batches=1, last_frame_at=9.5, at=1.0),
    ]
    for sign in signs:
        beat(redis, sign)
    assert workers(redis) == [signs[1], signs[0]]


def test_a_new_sign_replaces_the_one_before(redis: Redis) -> None:
    beat(redis, WorkerBeat("a-1", "cpu", "v1", frames=3))
    beat(redis, WorkerBeat("a-1", "cpu", "v2", frames=4))
    assert [(sign.checkpoint, sign.frames) for sign in workers(redis)] == [("v2", 4)]


def test_a_sign_vanishes_by_itself(redis: Redis) -> None:
    beat(redis, WorkerBeat("a-1", "cpu", "v1"))
    assert 0 < redis.ttl("cyclorama:worker:a-1") <= REMEMBERED_SECONDS


def test_a_worker_that_went_without_a_word_is_named_as_missing_and_for_how_long(
    redis: Redis,
) -> None:
    beat(redis, WorkerBeat("a-1", "cpu", "v1"))
    beat(redis, WorkerBeat("b-1", "cpu", "v1"))
    redis.expire("cyclorama:worker:b-1", REMEMBERED_SECONDS - GONE_AFTER_SECONDS - 20)
    assert [sign.name for sign in workers(redis)] == ["a-1"]
    assert {name: round(s) for name, s in missing_workers(redis).items()} == {"b-1": 35}


@pytest.mark.parametrize("sign", ["garbage", "5", '{"name": "b-1"}', '{"of": "a newer program"}'])
def test_a_sign_that_cannot_be_read_hides_no_other(redis: Redis, sign: str) -> None:
    beat(redis, WorkerBeat("a-1", "cpu", "v1"))
    redis.set("cyclorama:worker:b-1", sign, ex=REMEMBERED_SECONDS)
    assert [sign.name for sign in workers(redis)] == ["a-1"]
    assert missing_workers(redis) == {}


def test_a_worker_that_leaves_is_off_the_roster_at_once(redis: Redis) -> None:
    beat(redis, WorkerBeat("a-1", "cpu", "v1"))
    beat(redis, WorkerBeat("b-1", "cpu", "v1"))
    leave(redis, "a-1")
    assert [sign.name for sign in workers(redis)] == ["b-1"]


def test_a_workers_name_tells_its_process() -> None:
    assert worker_name().endswith(f"-{os.getpid()}")
