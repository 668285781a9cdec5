"""The watcher: each tick compares the inbox with the manifests and queues what is missing.

Level-triggered: a tick needs nothing but the folders and Redis, so that lost events, restarts
and an empty Redis do no harm. A file event only makes the next tick come sooner.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from redis.exceptions import RedisError
from watchdog.events import FileSystemEvent, FileSystemEventHandler

from worker.errors import CycloramaError
from worker.intake.inbox import View
from worker.intake.plan import Decision, Stage
from worker.logs import about
from worker.outbox.places import Places
from worker.outbox.sweep import Sweep
from worker.queue.leases import Leases, Standing, gave_up, queued
from worker.queue.messages import JobMessage
from worker.shoots import Shoot

log = logging.getLogger(__name__)

LOST_AFTER_SECONDS = 10.0
"""A job that is noted as queued for so long and is not in the queue was lost: queue it again."""
MOST_IN_A_TICK = 200
"""Shoots that are queued at once; the next tick goes on."""
ASKED_AT_ONCE = 500
"""Redis is asked for the notes of so many shoots in one message."""
LONGEST_REST_SECONDS = 60.0


class Queue(Protocol):
    """What the watcher needs of the queue."""

    def send(self, message: JobMessage, *, at: float) -> None: ...

    def oldest(self) -> float | None: ...


class Looks(Protocol):
    """What the watcher needs of :class:`worker.intake.inbox.Inbox`."""

    places: Places

    def view(self, now: float) -> View: ...

    def moved_on(self, shoot: str) -> bool: ...


class Watcher:
    """Queues what is ready and not in work.

    A shoot whose workers die again and again is given up after ``max_attempts``. One that fails
    for a reason of its surroundings, a full disk say, is tried until it goes; only a run that is
    to end (``once``) gives up on it too.
    """

    def __init__(
        self,
        inbox: Looks,
        leases: Leases,
        queue: Queue,
        *,
        max_attempts: int,
        once: bool = False,
    ) -> None:
        self._inbox, self._leases, self._queue = inbox, leases, queue
        self._max_attempts, self._once = max_attempts, once
        self._sweep = Sweep(inbox.places, rest_seconds=2 * leases.seconds)
        self._said: dict[str, str] = {}
        self._head: float | None = None
        """When the job at the queue's head was queued, once that was asked for in this tick."""
        self._asked: dict[str, bool] = {}
        """The shoots that people asked for: whether to retry."""

    def tick(self, now: float, clock: float) -> View:
        """One look and what follows from it. ``now`` in monotonic seconds, ``clock`` in seconds
        since the epoch (notes in Redis are shared with other machines). Raises
        :class:`FolderError` when inbox or outbox are gone."""
        self._inbox.places.require_outbox()
        view = self._inbox.view(now)
        self._head, self._asked = None, self._leases.asked()
        for name in self._asked.keys() & view.decisions.keys():
            decision = view.decisions[name]
            if decision.stage in (Stage.DONE, Stage.WAITING):
                view.decisions[name] = Decision(decision.shoot, Stage.READY, "asked for by hand")
        room = MOST_IN_A_TICK
        for shoot, standing in self._ready(view):
            room -= self._submit(shoot, standing, clock, view)
            if not room:
                break
        self._report(view.problems)
        wanted = {decision.shoot.name for decision in view.open}
        self._sweep.tick(now, wanted=wanted, in_work=self._leases.held)
        return view

    def _ready(self, view: View) -> Iterator[tuple[Shoot, Standing]]:
        """The shoots that are to be made, and where Redis says that they stand."""
        shoots = [d.shoot for d in view.decisions.values() if d.stage == Stage.READY]
        for start in range(0, len(shoots), ASKED_AT_ONCE):
            some = shoots[start : start + ASKED_AT_ONCE]
            yield from zip(some, self._leases.standings([s.name for s in some]), strict=True)

    def _submit(self, shoot: Shoot, standing: Standing, clock: float, view: View) -> bool:
        message = self._job(shoot, standing, clock)
        if message is None:
            return False
        if message.deaths >= self._max_attempts or (
            self._once and message.attempt > self._max_attempts
        ):
            view.given_up.add(shoot.name)
            view.problems[shoot.name] = gave_up(shoot.name, self._max_attempts)
            return False
        if self._asked.get(shoot.name):
            message = message.model_copy(update={"retry": True})
        self._leases.write(shoot.name, queued(message, at=clock))
        self._queue.send(message, at=clock)
        with about(shoot=shoot.name, job=message.job):
            frames, attempt = len(shoot.frames), message.attempt
            log.info("queued %s: %d frames, attempt %d", shoot.name, frames, attempt)
        return True

    def _job(self, shoot: Shoot, standing: Standing, clock: float) -> JobMessage | None:
        """The job to queue now; ``None`` if the shoot is queued or in work, or has to rest."""
        if standing.held:
            return None
        note = standing.note
        if note is None:  # nobody knows of it; or it was finished after we looked
            return None if self._inbox.moved_on(shoot.name) else JobMessage.of(shoot)
        same = {"attempt": note.attempt, "deaths": note.deaths}
        age = abs(clock - note.at)  # a clock that was set back must not make us wait for hours
        if note.state == "queued":
            lost = age > LOST_AFTER_SECONDS and self._is_past(note.at)
            return JobMessage.of(shoot).model_copy(update=same) if lost else None
        fresh = JobMessage.of(shoot)
        if note.photos != fresh.photos:
            return fresh  # somebody changed the photos since: they deserve a fresh start
        if note.state == "returned":
            return fresh.model_copy(update=same)
        again = {"attempt": note.attempt + 1}
        if note.state == "failed":
            given_up = self._once and note.attempt >= self._max_attempts
            rest = 0.0 if given_up else min(LONGEST_REST_SECONDS, 2.0 ** min(note.attempt, 10))
            return fresh.model_copy(update=same | again) if age > rest else None
        # It says working, and nobody holds the lease: the worker died.
        return fresh.model_copy(update=again | {"deaths": note.deaths_so_far})

    def _is_past(self, queued_at: float) -> bool:
        """Whether the queue has gone on beyond what was queued then."""
        if self._head is None:
            oldest = self._queue.oldest()
            self._head = float("inf") if oldest is None else oldest
        return self._head > queued_at

    def _report(self, problems: dict[str, str]) -> None:
        for path, sentence in problems.items():
            if self._said.get(path) != sentence:
                log.warning("%s: %s", path, sentence)
        self._said = dict(problems)


def watch(
    tick: Callable[[], View],
    inbox: Path,
    stop: threading.Event,
    *,
    rescan_seconds: float,
    polling: bool,
    also: Sequence[Path] = (),
) -> None:
    """Ticks every ``rescan_seconds``, soon after each file event in the inbox and in ``also``, and
    every second or few (:func:`rest_seconds`) while shoots are not done, until ``stop`` is set. A
    tick that fails is logged, and the next one is tried."""
    from watchdog.observers import Observer
    from watchdog.observers.polling import PollingObserver

    # It says so of a folder that it finds twice, by its own look and by an event; both are one.
    warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
    wake = _Wake()
    observer = PollingObserver(timeout=rescan_seconds) if polling else Observer()
    for folder in (inbox, *also):
        observer.schedule(wake, str(folder), recursive=True)
    try:
        observer.start()
    except OSError as error:  # the system has no more watches to give, or a folder went away
        log.warning("no file events for %s (%s); it is looked at all the same", inbox, error)
    try:
        while not stop.is_set():
            wake.woken.clear()
            pause, began = rescan_seconds, time.monotonic()
            try:
                if tick().open:
                    pause = rest_seconds(time.monotonic() - began, rescan_seconds)
            except (CycloramaError, RedisError, OSError) as error:
                log.error("%s", error)
            _wait(wake.woken, stop, pause)
    finally:
        if observer.is_alive():
            observer.stop()
            observer.join()


def rest_seconds(tick_seconds: float, rescan_seconds: float) -> float:
    """Between two ticks while shoots are not done: a second, or longer after a long look, because
    thousands of shoots take seconds of a processor that workers need."""
    return max(min(1.0, rescan_seconds), min(4 * tick_seconds, 10.0))


class _Wake(FileSystemEventHandler):
    """Sets a flag at every change below the inbox."""

    def __init__(self) -> None:
        self.woken = threading.Event()

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in ("opened", "closed_no_write"):
            self.woken.set()


def _wait(woken: threading.Event, stop: threading.Event, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not stop.is_set():
        if woken.wait(min(0.2, seconds)):
            stop.wait(0.2)  # a copy sends many events: look once for all of them
            return
