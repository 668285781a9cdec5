"""Redis stopped, killed, wiped and cut off; and what others may put into it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.faults.plant import REDIS, Plant
from worker.queue.app import QUEUE

pytestmark = [pytest.mark.line, pytest.mark.timeout(300)]
Drop = Callable[[], str]


def in_work(plant: Plant, drop: Drop) -> str:
    """A shoot that a worker takes its time for."""
    plant.traps.set("encode", "slow")
    shoot = drop()
    plant.wait_for_trap("encode")
    return shoot


@pytest.mark.parametrize("harm", ["killed", "wiped"])
def test_redis_lost_in_the_middle_of_a_shoot_costs_no_frame_and_nothing_is_seen_twice(
    plant: Plant, drop: Drop, harm: str
) -> None:
    waiting = [in_work(plant, drop), drop(), drop()]
    if harm == "killed":
        plant.signal(REDIS, signal.SIGKILL)
    else:
        plant.wipe_redis()
    first = [plant.wait_for_shoot(shoot) for shoot in waiting]
    assert {manifest.status for manifest in first} == {"complete"}
    time.sleep(2)
    assert [plant.wait_for_shoot(shoot) for shoot in waiting] == first, "it was published again"


def test_workers_go_on_by_themselves_when_redis_was_away_for_a_while(
    plant: Plant, drop: Drop
) -> None:
    shoot = in_work(plant, drop)
    plant.away.add(REDIS)
    plant.signal(REDIS, signal.SIGKILL)
    time.sleep(8)
    later = drop()
    deaths = len(plant.deaths)
    plant.away.clear()
    for name in (shoot, later):
        assert plant.wait_for_shoot(name).status == "complete"
    assert plant.deaths[deaths:] == [], "no worker had to be replaced for it"


def test_a_shoot_that_is_made_while_redis_is_away_is_delivered_without_it(
    plant: Plant, drop: Drop
) -> None:
    shoot = in_work(plant, drop)
    plant.away.add(REDIS)
    plant.signal(REDIS, signal.SIGKILL)
    plant.wait_for(lambda: plant.published(shoot) is not None)
    assert not plant.answers()


def test_redis_that_hangs_for_longer_than_a_lease_costs_no_frame(plant: Plant, drop: Drop) -> None:
    shoot = in_work(plant, drop)
    plant.away.add(REDIS)  # nobody is to start another one
    pid = plant.pid(REDIS)
    plant.signal(REDIS, signal.SIGSTOP)
    time.sleep(4)
    os.kill(pid, signal.SIGCONT)
    assert plant.wait_for_shoot(shoot).status == "complete"


def test_garbage_in_the_queue_stops_no_worker(plant: Plant, drop: Drop) -> None:
    redis, deaths = plant.redis(), len(plant.deaths)
    envelope = b'{"body": "%%%", "headers": {}, "properties": {}}'
    for garbage in (b"garbage", b"{}", envelope, b"\xff\xfe", b"[1]", b"null"):
        redis.lpush(QUEUE, *[garbage] * 3)
    assert plant.wait_for_shoot(drop()).status == "complete"
    plant.tend()
    assert plant.deaths[deaths:] == []
