"""A day of a large studio, event by event, on a clock of its own.

Watcher, leases, notes, queue and messages are the program's own, on a real Redis; the inbox's
files, and what a worker computes, are not there. A lease lapses when the simulated clock says so.
"""

from __future__ import annotations

import base64
import heapq
import itertools
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from endure import TURN
from redis import Redis
from scale_costs import a_shoot

from worker.errors import CycloramaError
from worker.intake.inbox import View
from worker.intake.plan import Decision, Stage
from worker.intake.watcher import Watcher, rest_seconds
from worker.outbox.places import Places
from worker.queue.app import QUEUE, JobQueue
from worker.queue.leases import Lease, Leases, Note
from worker.queue.messages import JobMessage, parse
from worker.shoots import Shoot

EPOCH = 1_700_000_000.0
DAY_SECONDS = 86_400.0
RESCAN_SECONDS = 5.0
"""The setting's default."""
HOURS = (0, 0, 0, 0, 0, 0, 0, 2, 6, 9, 10, 10, 7, 9, 10, 10, 9, 7, 6, 4, 1, 0, 0, 0)
"""Parts of the day's shoots that arrive in each hour."""
RESTART_SECONDS = 30.0
"""A supervisor has a dead worker back by then."""
LAST_SECOND = 3 * DAY_SECONDS
NEVER_SECONDS = 7 * DAY_SECONDS
"""Leases do not lapse by Redis' own clock, which runs far too slowly here."""


@dataclass(frozen=True)
class DayOptions:
    """A day's figures."""

    shoots: int
    """In a whole day."""
    hours: tuple[int, int]
    """From when to when it is played."""
    workers: int
    jobs: int
    """At once in a worker."""
    frame_seconds: float
    """That a worker with nothing else to do takes for a frame."""
    deaths: int
    """Workers that are killed in mid-work in the hours that are played."""
    lease_seconds: float
    look_seconds: float
    """Of a tick, without what Redis is asked: as long as the inbox makes it."""
    seed: int


@dataclass
class DayRecord:
    """What the day brought; times in seconds."""

    ready: dict[str, float] = field(default_factory=dict)
    taken: dict[str, float] = field(default_factory=dict)
    done: dict[str, float] = field(default_factory=dict)
    taken_over: list[float] = field(default_factory=list)
    """From a worker's death until another had its shoot."""
    renewals: int = 0
    expiries: int = 0
    standings: int = 0
    """How often Redis was asked where a shoot stands."""
    ticks: int = 0
    most_held: int = 0
    """Leases at once."""
    redis_bytes: int = 0
    """At most."""
    twice: int = 0
    """Shoots that were made although they were done."""
    queued: dict[int, int] = field(default_factory=dict)
    """The queue's greatest length in each hour."""


@dataclass
class _Job:
    message: JobMessage
    lease: Lease
    worker: int
    began: float
    rest: int
    """Frames that are still to be made."""
    seconds: float


class _OpenShoots:
    """The inbox as the watcher sees it: what is ready and not done."""

    def __init__(self, folder: Path) -> None:
        self.places = Places(folder / "inbox", folder / "outbox")
        self.places.inbox.mkdir(parents=True)
        self.places.check()
        self.open: dict[str, Shoot] = {}

    def view(self, now: float) -> View:
        return View({n: Decision(s, Stage.READY, "") for n, s in self.open.items()})

    def moved_on(self, shoot: str) -> bool:
        return shoot not in self.open


class SimulationError(CycloramaError):
    """The day has no end."""


class Day:
    """One run of the model."""

    def __init__(self, options: DayOptions, redis: Redis, url: str, folder: Path) -> None:
        self._options, self._redis = options, redis
        self._random = Random(options.seed)
        self._inbox = _OpenShoots(folder)
        self._leases = Leases(redis, seconds=NEVER_SECONDS)
        self._queue = JobQueue(url, redis)
        self._watcher = Watcher(self._inbox, self._leases, self._queue, max_attempts=5)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._count = itertools.count()
        self._free = deque(w for w in range(options.workers) for _ in range(options.jobs))
        self._jobs: dict[int, list[_Job]] = {}
        self._dead: set[int] = set()
        self._left: dict[str, tuple[float, int]] = {}
        """Shoots whose worker died: when, and how many frames were missing."""
        self.record = DayRecord()

    def run(self) -> DayRecord:
        """Plays the hours, and then on until all is done."""
        options, uniform = self._options, self._random.uniform
        first, last = options.hours
        count = round(options.shoots * sum(HOURS[first:last]) / sum(HOURS))
        hours = self._random.choices(range(first, last), HOURS[first:last], k=count)
        for number, hour in enumerate(hours):
            at = (hour + uniform(0, 1)) * 3600
            self._at(at, lambda now, number=number: self._arrive(now, f"car-{number:07}"))  # type: ignore[misc]
        for _ in range(options.deaths):
            self._at(uniform(first, last) * 3600, self._die)
        self._at(first * 3600.0, self._tick)
        while len(self.record.done) < count:
            now, _, event = heapq.heappop(self._events)
            if now > LAST_SECOND:
                raise SimulationError(f"{len(self.record.done)} shoots were done in three days")
            event(now)
        return self.record

    def _at(self, when: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._count), event))

    def _arrive(self, now: float, name: str) -> None:
        self._inbox.open[name] = a_shoot(name)
        self.record.ready[name] = now

    def _tick(self, now: float) -> None:
        """A look at the inbox and what the real watcher does after it; the next one follows."""
        record = self.record
        view = self._watcher.tick(now, EPOCH + now)
        record.ticks += 1
        record.standings += len(view.open)
        hour, length = int(now // 3600), self._queue.length()
        record.queued[hour] = max(record.queued.get(hour, 0), length)
        self._hand_out(now)
        record.most_held = max(record.most_held, sum(map(len, self._jobs.values())))
        if record.ticks % 50 == 0:
            record.redis_bytes = max(record.redis_bytes, _memory(self._redis))
        look_seconds = self._options.look_seconds
        next_one = now + look_seconds + rest_seconds(look_seconds, RESCAN_SECONDS)
        if not view.open and self._events:
            next_one = max(next_one, self._events[0][0])  # until then there is nothing to see
        self._at(next_one, self._tick)

    def _hand_out(self, now: float) -> None:
        """Whoever is free takes what has waited longest, as Celery does."""
        while self._free:
            if self._free[0] in self._dead:
                self._free.popleft()
                continue
            raw = self._redis.rpop(QUEUE)
            if raw is None:
                return
            self._take(now, parse(_argument(raw)))  # type: ignore[arg-type]

    def _take(self, now: float, message: JobMessage) -> None:
        shoot, record = message.shoot, self.record
        lease = self._leases.acquire(shoot)
        if lease is None:
            return
        if shoot in record.done:
            record.twice += 1
            lease.release()
            return
        worker = self._free.popleft()
        record.taken.setdefault(shoot, now)
        died, rest = self._left.pop(shoot, (None, TURN))
        if died is not None:
            record.taken_over.append(now - died)
        options = self._options
        seconds = rest * options.frame_seconds * options.jobs * self._random.uniform(0.7, 1.3)
        job = _Job(message, lease, worker, now, rest, seconds)
        self._jobs.setdefault(worker, []).append(job)
        self._note(job, now)
        self._at(now + seconds, lambda at: self._finish(at, job))

    def _finish(self, now: float, job: _Job) -> None:
        if job not in self._jobs.get(job.worker, []):
            return  # its worker died meanwhile
        self._jobs[job.worker].remove(job)
        shoot = job.message.shoot
        self.record.done[shoot] = now
        self.record.renewals += self._renewals(job, now)
        del self._inbox.open[shoot]
        self._leases.forget(shoot)
        job.lease.release()
        self._free.append(job.worker)
        self._hand_out(now)

    def _die(self, now: float) -> None:
        busy = [worker for worker, jobs in self._jobs.items() if jobs]
        if not busy:
            return
        worker = self._random.choice(busy)
        self._dead.add(worker)
        for job in self._jobs.pop(worker):
            renewals = self._renewals(job, now)
            self.record.renewals += renewals
            made = int(job.rest * (now - job.began) / job.seconds)
            self._leases.progress(job.message.shoot, TURN - job.rest + made)
            self._left[job.message.shoot] = now, job.rest - made
            lapse = job.began + renewals * self._every + self._options.lease_seconds
            self._at(lapse, lambda _, job=job: self._lapse(job))  # type: ignore[misc]
        self._at(now + RESTART_SECONDS, lambda at: self._come_back(at, worker))

    def _lapse(self, job: _Job) -> None:
        job.lease.release()
        self.record.expiries += 1

    def _come_back(self, now: float, worker: int) -> None:
        self._dead.discard(worker)
        self._free = deque(each for each in self._free if each != worker)
        self._free.extend([worker] * self._options.jobs)
        self._hand_out(now)

    def _note(self, job: _Job, now: float) -> None:
        message, done = job.message, TURN - job.rest
        self._leases.write(
            message.shoot,
            Note(
                "working",
                message.job,
                message.attempt,
                EPOCH + now,
                done=done,
                total=TURN,
                worker=f"host-{job.worker}-1",
                photos=message.photos,
                began_with=done,
                deaths=message.deaths,
            ),
        )

    @property
    def _every(self) -> float:
        """Seconds from one renewal to the next, as the line has it."""
        return self._options.lease_seconds / 3

    def _renewals(self, job: _Job, now: float) -> int:
        return int((now - job.began) / self._every)


def _argument(raw: bytes) -> Any:
    """The task's argument, out of Celery's envelope."""
    body = json.loads(base64.b64decode(json.loads(raw)["body"]))
    return body[0][0]


def _memory(redis: Redis) -> int:
    info: dict[str, Any] = redis.info("memory")
    return int(info["used_memory"])
