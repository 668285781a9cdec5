"""The worker's pulse: every few seconds a sign of life, and a hard look at itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from redis import Redis
from redis.exceptions import RedisError

from worker.errors import CycloramaError
from worker.line.pipeline import Line
from worker.line.vigil import Watched
from worker.queue.app import QUEUE
from worker.queue.health import Health, HealthFile, resident_bytes
from worker.queue.roster import WorkerBeat, beat

log = logging.getLogger(__name__)

TELL_AFTER_SECONDS = 60.0
"""A frame that is in work for longer is told of, though it may come to an end yet."""
STARVED_SECONDS = 60.0
"""A worker that takes nothing for so long, with room to spare and jobs in the queue, is deaf."""


@dataclass(frozen=True)
class Limits:
    """What a worker may not exceed."""

    jobs: int
    frame_seconds: float
    memory_bytes: int = 0
    """0: no limit."""


@dataclass(frozen=True)
class Ending:
    """Why a worker has to be replaced."""

    reason: str
    at_once: bool
    """Whether what it has in work can never be finished."""


class Pulse:
    """Judges one worker from what its line has done since the last look."""

    def __init__(
        self,
        redis: Redis,
        line: Line,
        sign: Callable[[], WorkerBeat],
        *,
        file: HealthFile,
        limits: Limits,
    ) -> None:
        self._redis, self._line, self._sign = redis, line, sign
        self._file, self._limits = file, limits
        self._steps = 0
        self._still = 0.0
        """Seconds without a step, with a shoot in work."""
        self._starved = 0.0
        """Seconds without a step, with jobs in the queue and room for one."""
        self._longest: Watched | None = None
        self._ending: Ending | None = None

    def tick(self, seconds: float) -> Ending | None:
        """One look, ``seconds`` after the last; an ending if this worker must be replaced."""
        waiting = self._waiting()
        moved, self._steps = self._line.steps != self._steps, self._line.steps
        in_work = len(self._line.shoots)
        self._still = 0.0 if moved or not in_work else self._still + seconds
        has_room = bool(waiting) and in_work < self._limits.jobs
        self._starved = 0.0 if moved or not has_room else self._starved + seconds
        ending = self._ending = (
            self._loss() or self._hang(seconds) or self._deafness() or self._fatness()
        )
        trouble = ending.reason if ending else self._trouble(waiting)
        ready = waiting is not None
        self._file.write(Health(self._sign().name, ready, alive=ending is None, trouble=trouble))
        try:
            beat(self._redis, replace(self._sign(), trouble=trouble))
        except RedisError as error:
            log.warning("no sign of life could be left: %s", error)
        return ending

    def complaint(self) -> str:
        """Why this worker should be replaced, as far as the last look told; or nothing."""
        return self._ending.reason if self._ending else ""

    def _waiting(self) -> int | None:
        """Jobs in the queue; ``None`` when Redis does not answer."""
        try:
            return int(self._redis.llen(QUEUE))
        except RedisError:
            return None

    def _loss(self) -> Ending | None:
        if not self._line.device_lost:
            return None
        return Ending("its device computes nothing any more", at_once=True)

    def _hang(self, seconds: float) -> Ending | None:
        self._longest = longest = self._line.vigil.tick(seconds)
        if longest and longest.seconds > self._limits.frame_seconds:
            _blame(longest)
            return Ending(f"a frame hangs: {longest}", at_once=True)
        if self._still > 2 * (
            self._limits.frame_seconds + TELL_AFTER_SECONDS
        ):  # as two trials last
            return Ending(f"nothing was finished for {self._still:.0f} s", at_once=True)
        return None

    def _deafness(self) -> Ending | None:
        if self._starved <= STARVED_SECONDS:
            return None
        return Ending(f"jobs wait for {self._starved:.0f} s and none is taken", at_once=False)

    def _fatness(self) -> Ending | None:
        limit, held = self._limits.memory_bytes, resident_bytes()
        if not limit or held <= limit:
            return None
        return Ending(f"it holds {held >> 20} MB of memory, more than {limit >> 20}", at_once=False)

    def _trouble(self, waiting: int | None) -> str:
        if waiting is None:
            return "Redis does not answer"
        if self._longest and self._longest.seconds > TELL_AFTER_SECONDS:
            return str(self._longest)
        if self._starved > STARVED_SECONDS / 2:
            return f"jobs wait for {self._starved:.0f} s and none is taken"
        return ""


def _blame(frame: Watched) -> None:
    """Notes that a frame hangs, as far as that can be noted: the worker has to end either way."""
    try:
        frame.blame()
    except (CycloramaError, OSError) as error:
        log.warning("it could not be noted that %s hangs: %s", frame.photo, error)
