"""The watcher: each tick compares the inbox with the manifests and queues what is missing.

Level-triggered: a tick needs nothing but the folders and Redis, so that lost events, restarts
and an empty Redis do no harm. A file event only makes the next tick come sooner.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from redis.exceptions import RedisError
from watchdog.events import FileSystemEvent, FileSystemEventHandler

from unet_core.images import check_complete
from worker.errors import CycloramaError, PresetError
from worker.finish.presets import Preset, load_preset, read_preset
from worker.intake.plan import Decision, Rules, Stage, decide, missing, withdrawn
from worker.intake.scan import Rest, Snapshot, look
from worker.logs import about
from worker.outbox.manifest import MANIFEST, Manifest, read_manifest
from worker.outbox.places import Places
from worker.queue.leases import Leases, queued
from worker.queue.messages import JobMessage
from worker.shoots import PRESET, Shoot, Source, group

log = logging.getLogger(__name__)

LOST_AFTER_SECONDS = 15.0
"""A job that is noted as queued for so long while the queue is empty was lost: queue it again."""


class Queue(Protocol):
    """What the watcher needs of the queue."""

    def send(self, message: JobMessage) -> None: ...

    def length(self) -> int: ...


@dataclass
class View:
    """What one look found: where each shoot stands, and what is wrong."""

    decisions: dict[str, Decision] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)
    """Shoots that are not queued any more until a person asks for it."""

    @property
    def open(self) -> list[Decision]:
        """The decisions on shoots that are not done."""
        return [d for d in self.decisions.values() if d.stage != Stage.DONE]


class Inbox:
    """The inbox held against the outbox. Reads folders only: no queue, nothing written."""

    def __init__(
        self, places: Places, *, preset: str, presets: Path, rules: Rules, rest: Rest | None = None
    ) -> None:
        self._places, self._rules = places, rules
        self._default = load_preset(preset, folders=[presets])
        self._rest = rest or Rest()
        self._whole: dict[Source, bool] = {}
        self._manifests: dict[Path, tuple[tuple[int, int], Manifest | None]] = {}

    def view(self, now: float) -> View:
        """Looks at the inbox at ``now`` (seconds, monotonic)."""
        snapshot = look(self._places.inbox)
        self._rest.update(snapshot.sources, now)
        view = View(problems=dict(snapshot.problems))
        for shoot in group(snapshot.sources.values()):
            try:
                expected = self._preset(shoot.name, snapshot).frames
            except PresetError as error:
                view.problems[f"{shoot.name}/{PRESET}"] = str(error)
                continue
            manifest = self.manifest(shoot.name)
            view.decisions[shoot.name] = decide(
                shoot,
                missing=missing(shoot, manifest),
                withdrawn=withdrawn(shoot, manifest),
                expected=expected,
                marked_ready=shoot.name in snapshot.ready,
                rest=self._rest,
                whole=self._is_whole,
                rules=self._rules,
                now=now,
            )
        self._whole = {s: w for s, w in self._whole.items() if s.path in snapshot.sources}
        return view

    def _preset(self, shoot: str, snapshot: Snapshot) -> Preset:
        if shoot in snapshot.presets:
            return read_preset(self._places.inbox / shoot / PRESET)
        return self._default

    def manifest(self, shoot: str) -> Manifest | None:
        """The manifest of a shoot, the held edition before the published one, because it is the
        newer; read again only when it changed."""
        for folder in (self._places.held(shoot), self._places.published(shoot)):
            try:
                stat = (folder / MANIFEST).stat()
            except OSError:
                continue
            state = (stat.st_mtime_ns, stat.st_ino)
            known = self._manifests.get(folder)
            if known is None or known[0] != state:
                known = self._manifests[folder] = (state, read_manifest(folder))
            return known[1]
        return None

    def _is_whole(self, source: Source) -> bool:
        if not self._whole.get(source):
            try:
                self._whole[source] = check_complete(self._places.inbox / source.path)
            except OSError:
                return False  # it went away, or the disk failed: the next look tells
        return self._whole[source]


class Watcher:
    """Queues what is ready and not in work."""

    def __init__(self, inbox: Inbox, leases: Leases, queue: Queue, *, max_attempts: int) -> None:
        self._inbox, self._leases, self._queue = inbox, leases, queue
        self._max_attempts = max_attempts
        self._said: dict[str, str] = {}

    def tick(self, now: float, clock: float) -> View:
        """One look and what follows from it. ``now`` in monotonic seconds, ``clock`` in seconds
        since the epoch (notes in Redis are shared with other machines)."""
        view = self._inbox.view(now)
        for decision in view.decisions.values():
            if decision.stage == Stage.READY:
                self._submit(decision.shoot, clock, view)
        self._report(view.problems)
        return view

    def _submit(self, shoot: Shoot, clock: float, view: View) -> None:
        fresh = JobMessage.of(shoot)
        attempt = self._attempt(fresh, clock)
        if attempt is None:
            return
        if attempt > self._max_attempts:
            view.given_up.add(shoot.name)
            view.problems[shoot.name] = (
                f"gave up after {self._max_attempts} attempts; look at the worker's log, then "
                f"run: cyclorama retry {shoot.name}"
            )
            return
        message = fresh.model_copy(update={"attempt": attempt})
        self._leases.write(shoot.name, queued(message, at=clock))
        self._queue.send(message)
        with about(shoot=shoot.name, job=message.job):
            log.info("queued %s: %d frames, attempt %d", shoot.name, len(shoot.frames), attempt)

    def _attempt(self, message: JobMessage, clock: float) -> int | None:
        """Which attempt this job would be; ``None`` if the shoot is queued or in work."""
        if self._leases.held(message.shoot):
            return None
        note = self._leases.note(message.shoot)
        if note is None:
            return 1
        if note.state == "queued":
            lost = clock - note.at > LOST_AFTER_SECONDS and self._queue.length() == 0
            return note.attempt if lost else None
        if note.photos != message.photos:
            return 1  # somebody changed the photos since: they deserve a fresh start
        if note.state == "failed":
            # Rests longer after every failure: 2, 4, 8 … seconds, a minute at most.
            rest = 0.0 if note.attempt >= self._max_attempts else min(60.0, 2.0**note.attempt)
            return note.attempt + 1 if clock - note.at > rest else None
        return note.attempt + 1  # it says working, and nobody holds the lease: the worker died

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
) -> None:
    """Ticks every ``rescan_seconds``, soon after each file event, and every second while a shoot
    is arriving, until ``stop`` is set. A tick that fails is logged, and the next one is tried."""
    from watchdog.observers import Observer
    from watchdog.observers.polling import PollingObserver

    wake = _Wake()
    observer = PollingObserver(timeout=rescan_seconds) if polling else Observer()
    observer.schedule(wake, str(inbox), recursive=True)
    try:
        observer.start()
    except OSError as error:  # the system has no more watches to give, or the inbox went away
        log.warning("no file events for %s (%s); it is looked at all the same", inbox, error)
    try:
        while not stop.is_set():
            wake.woken.clear()
            pause = rescan_seconds
            try:
                if tick().open:
                    pause = min(1.0, rescan_seconds)
            except (CycloramaError, RedisError, OSError) as error:
                log.error("%s", error)
            _wait(wake.woken, stop, pause)
    finally:
        if observer.is_alive():
            observer.stop()
            observer.join()


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
