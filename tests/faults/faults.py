"""What a soak does to a plant: every fault with the stages in which it can strike."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.faults.plant import REDIS, WATCHER, Plant
from tests.faults.traps import WATCHER_STAGES, WORKER_STAGES, with_fate
from tests.parts import drop_photos, photo_bytes
from worker.queue.app import QUEUE

FROZEN_SECONDS = 3.0
"""As long as two of the plant's leases."""


@dataclass(frozen=True)
class Case:
    """One fault on one shoot."""

    plant: Plant
    shoot: Path
    """The shoot's folder in the inbox."""
    stage: str
    random: Random


@dataclass(frozen=True)
class Fault:
    """A harm, and where it strikes. ``strike`` acts when the trap of the stage has sprung, and
    returns the name under which the shoot goes on; nothing if it is gone."""

    name: str
    stages: tuple[str, ...]
    strike: Callable[[Case], str]
    action: str = "slow"
    """Of the trap that is set at the stage."""


def _nothing_more(case: Case) -> str:
    return case.shoot.name


def _wake_up_later(case: Case) -> str:
    frozen = [pid for at, pid, _ in case.plant.traps.sprung() if at == case.stage][-1]
    time.sleep(FROZEN_SECONDS)
    os.kill(frozen, signal.SIGCONT)
    return case.shoot.name


def _redis_killed(case: Case) -> str:
    case.plant.signal(REDIS, signal.SIGKILL)
    return case.shoot.name


def _redis_wiped(case: Case) -> str:
    case.plant.wipe_redis()
    return case.shoot.name


def _redis_emptied(case: Case) -> str:
    case.plant.redis().flushall()
    return case.shoot.name


def _redis_away(case: Case) -> str:
    plant = case.plant
    plant.away.add(REDIS)
    plant.signal(REDIS, signal.SIGKILL)
    time.sleep(case.random.uniform(1, 5))
    plant.away.clear()
    return case.shoot.name


def _redis_frozen(case: Case) -> str:
    plant, pid = case.plant, case.plant.pid(REDIS)
    plant.away.add(REDIS)
    plant.signal(REDIS, signal.SIGSTOP)
    time.sleep(FROZEN_SECONDS)
    os.kill(pid, signal.SIGCONT)
    plant.away.clear()
    return case.shoot.name


def _all_killed(case: Case) -> str:
    for name in [WATCHER, *case.plant.crew, REDIS]:
        case.plant.signal(name, signal.SIGKILL)
    return case.shoot.name


def _photo_replaced(case: Case) -> str:
    photo = case.random.choice(sorted(case.shoot.glob("*.jpg")))
    photo.write_bytes(photo_bytes(case.random.randrange(1000)))
    return case.shoot.name


def _photo_removed(case: Case) -> str:
    case.random.choice(sorted(case.shoot.glob("*.jpg"))).unlink()
    return case.shoot.name


def _shoot_renamed(case: Case) -> str:
    return case.shoot.rename(case.shoot.with_name(f"{case.shoot.name}-new")).name


def _shoot_removed(case: Case) -> str:
    shutil.rmtree(case.shoot)
    return ""


def _shoot_dropped_again(case: Case) -> str:
    drop_photos(case.shoot, 4)
    return case.shoot.name


def _photo_poisoned(case: Case) -> str:
    photo = case.random.choice(sorted(case.shoot.glob("*.jpg")))
    with_fate(photo, case.random.choice(["segv", "kill", "memory"]))
    return case.shoot.name


def _clock_jumped(case: Case) -> str:
    case.plant.traps.shift_clock(case.random.choice([-86400.0, -3600.0, 3600.0, 86400.0, 0.0]))
    return case.shoot.name


def _second_watcher(case: Case) -> str:
    second = case.plant.spawn("watcher-2")
    case.plant.wait_for(lambda: case.plant.published(case.shoot.name) is not None, seconds=120)
    second.terminate()
    second.wait(60)
    return case.shoot.name


def _garbage_queued(case: Case) -> str:
    redis = case.plant.redis()
    for garbage in (b"garbage", b"{}", b"[1]", b"\xff\xfe", b'{"body": "e30=", "headers": 1}'):
        redis.lpush(QUEUE, garbage)
    return case.shoot.name


IN_WORK = ("taken", "decode", "encode", "assembled")

FAULTS = (
    Fault("worker killed", WORKER_STAGES, _nothing_more, "kill"),
    Fault("worker told to stop", IN_WORK, _nothing_more, "term"),
    Fault("worker frozen beyond its lease", WORKER_STAGES, _wake_up_later, "stop"),
    Fault("watcher killed", WATCHER_STAGES, _nothing_more, "kill"),
    Fault("disk full", ("encode", "write", "row", "assembled", "sealed"), _nothing_more, "full"),
    Fault("disk slow", ("write", "sealed"), _nothing_more, "slow"),
    Fault("memory exhausted", ("decode", "encode"), _nothing_more, "memory"),
    Fault("Redis killed", IN_WORK, _redis_killed),
    Fault("Redis killed with its data", IN_WORK, _redis_wiped),
    Fault("Redis emptied", IN_WORK, _redis_emptied),
    Fault("Redis away for seconds", IN_WORK, _redis_away),
    Fault("Redis frozen beyond the lease", IN_WORK, _redis_frozen),
    Fault("everything killed at once", IN_WORK, _all_killed),
    Fault("photo replaced", IN_WORK, _photo_replaced),
    Fault("photo removed", IN_WORK, _photo_removed),
    Fault("shoot renamed", IN_WORK, _shoot_renamed),
    Fault("shoot removed", IN_WORK, _shoot_removed),
    Fault("shoot dropped again", IN_WORK, _shoot_dropped_again),
    Fault("photo that kills", ("taken",), _photo_poisoned),
    Fault("clock set", IN_WORK, _clock_jumped),
    Fault("two watchers", ("taken",), _second_watcher),
    Fault("garbage in the queue", ("taken",), _garbage_queued),
)
