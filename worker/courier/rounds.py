"""The courier: a round on each route again and again, each in a thread of its own, so that a
bucket that is away holds up no other."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from worker.backoff import Backoff
from worker.courier.bucket import Bucket
from worker.courier.delivery import Delivery
from worker.courier.mirror import Mirror
from worker.courier.records import Records
from worker.courier.spool import Spool
from worker.courier.word import FOLDER, buckets, say
from worker.errors import BucketError, CycloramaError, FolderError, SettingsError
from worker.outbox.places import Places
from worker.queue.health import REPLACE_ME, Health, HealthFile
from worker.queue.roster import BEAT_SECONDS, worker_name
from worker.settings import Settings

log = logging.getLogger(__name__)

OUTBOX = "outbox"
"""Name of the route that leads away from here."""
PROBE = ".probe"
"""An object by which it is tried whether a bucket can be used."""
LONGEST_REST_SECONDS = 60.0
HANGS_SECONDS = 900.0
"""A bucket's call without a sign for longer will not come back: what the library tries takes
minutes."""
PATIENCE_SECONDS = 25.0
"""So long a new courier waits for an older one, which finishes its upload before it ends. After
half a minute without a word `status` says that nobody carries."""


@dataclass
class Route:
    """One direction between a bucket and a folder."""

    name: str
    bucket: Bucket
    round: Callable[[threading.Event], dict[str, str]]
    """Carries what is to be carried, until it is told to stop; what could not be, by path, with a
    sentence."""
    problems: dict[str, str] = field(default_factory=dict)
    _away: Backoff = field(default_factory=lambda: Backoff(LONGEST_REST_SECONDS))

    def tick(self, clock: Callable[[], float], stop: threading.Event) -> None:
        """A round, unless the bucket is given a rest. ``clock`` tells seconds, monotonic: a rest
        begins when a round has failed, which may take minutes."""
        if clock() < self._away.until:
            return
        before = self.problems
        try:
            self.problems = self.round(stop)
            self._away = Backoff(LONGEST_REST_SECONDS)
        except BucketError as error:
            self.problems = {self.bucket.url: str(error)}
            log.warning("the %s rests for %.0f s", self.name, self._away.fail(clock()))
        except (CycloramaError, OSError) as error:
            self.problems = {self.name: str(error)}
            self._away.fail(clock())
        except Exception as error:  # whatever it is, it must not end the carrying for good
            self.problems = {self.bucket.url: f"{type(error).__name__}: {error}"}
            log.exception("the %s rests for %.0f s", self.name, self._away.fail(clock()))
        for path, why in self.problems.items():
            if before.get(path) != why:
                log.warning("%s: %s", path, why)


class Courier:
    """All routes of a studio. To make one checks the settings.

    Raises :class:`SettingsError` when a bucket cannot be used with what is installed, or two lie
    one in the other.
    """

    def __init__(self, settings: Settings) -> None:
        named = buckets(settings)
        if not named:
            raise SettingsError(
                "no bucket is set, so there is nothing to carry",
                cure="Set CYCLORAMA_INBOX or CYCLORAMA_OUTBOX to one, like s3://name/folder",
            )
        _require_apart(named)
        self._settings = settings
        self.routes = _routes(settings, {name: Bucket(url) for name, url in named.items()})

    def once(self, *names: str) -> dict[str, str]:
        """One round on each of these routes that there is; what could not be carried.

        Raises :class:`BucketError` and :class:`FolderError`.
        """
        problems: dict[str, str] = {}
        stop = threading.Event()
        with _alone(self._settings.outbox, stop):
            for route in self.routes:
                if route.name in names:
                    problems |= route.round(stop)
        return problems

    def run(self, stop: threading.Event) -> None:
        """Carries until ``stop`` is set, as soon as no other courier does. Ends the process, with
        exit code 75, when a bucket's call hangs: then a fresh courier should take its place.

        Raises :class:`FolderError` when another courier goes on carrying.
        """
        try:
            with _alone(self._settings.outbox, stop, patience_seconds=PATIENCE_SECONDS):
                self._carry(stop)
        except FolderError:
            if not stop.is_set():
                raise

    def _carry(self, stop: threading.Event) -> None:
        file = HealthFile(self._settings.state, f"courier-{worker_name()}")
        threads = [
            threading.Thread(target=self._follow, args=(route, stop), name=route.name)
            for route in self.routes
        ]
        for thread in threads:
            thread.start()
        try:
            while True:
                if trouble := self._say(file):
                    log.critical("this courier ends, to be replaced: %s", trouble)
                    os._exit(REPLACE_ME)  # in good order it would wait for what hangs
                if stop.wait(BEAT_SECONDS):
                    return
        finally:
            stop.set()
            file.remove()
            for thread in threads:
                thread.join()

    def _follow(self, route: Route, stop: threading.Event) -> None:
        while not stop.is_set():
            route.tick(time.monotonic, stop)
            stop.wait(self._settings.rescan_seconds)

    def _say(self, file: HealthFile) -> str:
        """Leaves word of each route; returns why this courier has to be replaced, or nothing."""
        hanging = []
        for route in self.routes:
            problems = dict(route.problems)
            if route.bucket.silent_seconds > HANGS_SECONDS:
                hanging.append(route.bucket.url)
                problems[route.bucket.url] = "it does not answer; the courier is to start again"
            try:
                say(self._settings.outbox, route.name, problems)
            except OSError as error:
                log.error("nobody can be told how the %s's bucket is: %s", route.name, error)
        trouble = f"no answer from {', '.join(hanging)}" if hanging else ""
        file.write(Health(file.path.stem, ready=True, alive=not hanging, trouble=trouble))
        return trouble


def bring(settings: Settings) -> dict[str, str]:
    """Carries once what lies in the settings' buckets to this machine; what could not be, by path.

    Raises :class:`CycloramaError`, as does :func:`deliver`.
    """
    return Courier(settings).once("corrections", "inbox") if buckets(settings) else {}


def deliver(settings: Settings) -> dict[str, str]:
    """Carries once what is finished to the settings' bucket; what could not be, by shoot."""
    return Courier(settings).once(OUTBOX) if buckets(settings) else {}


def _routes(settings: Settings, there: dict[str, Bucket]) -> list[Route]:
    places = Places(settings.inbox, settings.outbox)
    records = Records(places.outbox / FOLDER / "delivered")
    routes = []
    if "corrections" in there:
        mirror = Mirror(there["corrections"], settings.corrections_folder)
        routes.append(Route("corrections", there["corrections"], mirror.round))
    if "inbox" in there:
        spool = Spool(
            places,
            settings.corrections_folder,
            outbox=there.get("outbox"),
            delivered=records,
            keep_seconds=settings.spool_hours * 3600,
        )
        mirror = Mirror(there["inbox"], places.inbox, spool)
        routes.append(Route("inbox", there["inbox"], mirror.round))
    if "outbox" in there:
        delivery = Delivery(places, there["outbox"], records)
        routes.append(Route("outbox", there["outbox"], delivery.round))
    return routes


def _require_apart(named: dict[str, str]) -> None:
    for name, url in named.items():
        for other, outer in named.items():
            if name != other and f"{url}/".startswith(f"{outer}/"):
                raise SettingsError(
                    f"the {name} {url} lies in the {other} {outer}", cure="Use separate folders"
                )


@contextmanager
def _alone(outbox: Path, stop: threading.Event, *, patience_seconds: float = 0.0) -> Iterator[None]:
    """Holds the outbox for this courier: two would overtake each other. Another one that holds it
    is waited for, unless ``stop`` is set."""
    folder = outbox / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a")
    except OSError as error:
        raise FolderError(
            f"the outbox {outbox} cannot be written ({error.strerror})",
            cure="Give the program the right to",
        ) from error
    with lock:
        try:
            _take(lock, stop, time.monotonic() + patience_seconds)
        except BlockingIOError as error:
            raise FolderError(
                f"a courier runs already on {outbox}", cure="One carries for the whole studio"
            ) from error
        except OSError as error:
            raise FolderError(
                f"the file system of {outbox} has no locks ({error.strerror})",
                cure="Set CYCLORAMA_OUTBOX to a folder on another one",
            ) from error
        yield


def _take(lock: IO[str], stop: threading.Event, until: float) -> None:
    """Takes a lock. Raises :class:`BlockingIOError` when another courier still holds it at
    ``until``, in seconds, monotonic, or when ``stop`` is set."""
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until or stop.wait(0.5):
                raise
