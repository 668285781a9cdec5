"""Which workers are there, and what each was doing when it last said so."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict, dataclass, field

from redis import Redis

BEAT_SECONDS = 3.0
GONE_AFTER_SECONDS = 15


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


def worker_name() -> str:
    """``<host>-<process>``: unique among the workers of one Redis."""
    return f"{socket.gethostname()}-{os.getpid()}"


def beat(redis: Redis, sign: WorkerBeat) -> None:
    """Leaves a sign of life; it vanishes by itself."""
    redis.set(f"cyclorama:worker:{sign.name}", json.dumps(asdict(sign)), ex=GONE_AFTER_SECONDS)


def workers(redis: Redis) -> list[WorkerBeat]:
    """Every worker that gave a sign of life lately, by name."""
    raw = [redis.get(key) for key in redis.scan_iter("cyclorama:worker:*")]
    signs = [WorkerBeat(**json.loads(value)) for value in raw if isinstance(value, bytes)]
    return sorted(signs, key=lambda sign: sign.name)


def leave(redis: Redis, name: str) -> None:
    """Takes the worker off the roster at once."""
    redis.delete(f"cyclorama:worker:{name}")
