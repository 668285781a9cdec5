"""Which workers are there, and what each was doing when it last said so."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from dataclasses import asdict, dataclass, field

from redis import Redis

BEAT_SECONDS = 3.0
GONE_AFTER_SECONDS = 15
REMEMBERED_SECONDS = 600
"""So long after its last sign of life a worker is still named as missing."""


@dataclass(frozen=True)
class WorkerBeat:
    """A sign of life. ``at`` and ``last_frame_at`` in seconds since the epoch."""

    name: str
    device: str
    checkpoint: str
    frames: int = 0
    last_frame_at: float = 0.0
    shoots: list[str] = field(default_factory=list)
    batches: dict[str, int] = field(default_factory=dict)
    """How many batches of each size went through the network."""
    shared_batches: int = 0
    """How many of them held frames of more than one job."""
    at: float = field(default_factory=time.time)
    trouble: str = ""
    """What is wrong with it, in words."""


def worker_name(pid: int | None = None) -> str:
    """``<host>-<process>``, of this process or another one here: unique among the workers of one
    Redis."""
    return f"{socket.gethostname()}-{pid or os.getpid()}"


def beat(redis: Redis, sign: WorkerBeat) -> None:
    """Leaves a sign of life; it vanishes by itself."""
    redis.set(f"cyclorama:worker:{sign.name}", json.dumps(asdict(sign)), ex=REMEMBERED_SECONDS)


def workers(redis: Redis) -> list[WorkerBeat]:
    """Every worker that gave a sign of life lately, by name."""
    return [sign for sign, silent in _signs(redis) if silent <= GONE_AFTER_SECONDS]


def missing_workers(redis: Redis) -> dict[str, float]:
    """Workers that went without a word, by name, and for how many seconds they are silent: they
    died, are frozen, or cannot reach Redis."""
    return {sign.name: silent for sign, silent in _signs(redis) if silent > GONE_AFTER_SECONDS}


def _signs(redis: Redis) -> list[tuple[WorkerBeat, float]]:
    """Every sign that is remembered, by name, with its age: told by Redis' own clock, because
    those of two machines may differ."""
    found = []
    for key in redis.scan_iter("cyclorama:worker:*"):
        value, left = redis.get(key), redis.pttl(key)
        with contextlib.suppress(ValueError, TypeError):  # of another version of the program
            if isinstance(value, bytes) and isinstance(left, int):
                found.append((WorkerBeat(**json.loads(value)), REMEMBERED_SECONDS - left / 1000))
    return sorted(found, key=lambda each: each[0].name)


def leave(redis: Redis, name: str) -> None:
    """Takes the worker off the roster at once."""
    redis.delete(f"cyclorama:worker:{name}")
