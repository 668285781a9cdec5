"""The herald compares the outbox with what was heard, and tells what is missing.

Level-triggered like the watcher: it needs nothing but the outbox and its ledger, so that what
happens while it is down, or while the receiver is, is told later. It runs in a thread of its own
and holds up nobody.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.backoff import Backoff
from worker.errors import FolderError
from worker.outbox.places import Places
from worker.settings import Settings
from worker.webhook.events import Event, Outbox
from worker.webhook.ledger import Ledger
from worker.webhook.receiver import NotHeard, Receiver, receiver_of

log = logging.getLogger(__name__)

LEDGER = ".webhook.jsonl"
"""In the outbox, so that it lives as long as what it is about."""
LONGEST_REST_SECONDS = 300.0
OUTCOMES = ("heard", "refused", "away")
"""Of an attempt to tell."""


class Herald:
    """Tells one receiver of every edition of every shoot, at least once, oldest first."""

    def __init__(
        self,
        outbox: Outbox,
        ledger: Ledger,
        receiver: Receiver,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._outbox, self._ledger, self._receiver = outbox, ledger, receiver
        self._monotonic, self._clock = monotonic, clock
        self._away = Backoff(LONGEST_REST_SECONDS)
        self._refused: dict[str, Backoff] = {}
        self.deliveries: Counter[str] = Counter()
        """Attempts since the start, by outcome."""
        self.untold = 0
        """Events that are still to be told, as of the last look."""
        if ledger.is_new:  # a receiver that is new does not want to hear of years
            ledger.begin({event.place: event.id for event in outbox.events()})

    def tick(self, stop: threading.Event) -> None:
        """One look, and what is told after it; ``stop`` ends it early."""
        untold = [e for e in self._outbox.events() if not self._ledger.holds(e.place, e.id)]
        self.untold = len(untold)
        self._refused = {e.id: self._refused[e.id] for e in untold if e.id in self._refused}
        for event in untold:
            now = self._monotonic()
            if stop.is_set() or now < self._away.until:
                return
            if event.id not in self._refused or now >= self._refused[event.id].until:
                self._tell(event)

    def _tell(self, event: Event) -> None:
        try:
            self._receiver.tell(event, at=int(self._clock()))
        except NotHeard as error:
            self.deliveries["away" if error.away else "refused"] += 1
            fresh = Backoff(LONGEST_REST_SECONDS)
            backoff = self._away if error.away else self._refused.setdefault(event.id, fresh)
            log.warning(
                "%s (%s) was not heard: %s %s; it is told again in %.0f s",
                event.place,
                event.type,
                self._receiver.host,
                error,
                backoff.fail(self._monotonic()),
            )
            return
        self._away = Backoff(LONGEST_REST_SECONDS)
        self.deliveries["heard"] += 1
        self.untold -= 1
        log.info("%s is told of %s (%s)", self._receiver.host, event.place, event.type)
        try:
            self._ledger.add(event.place, event.id)
        except FolderError as error:
            log.error("a restart will tell of %s again: %s", event.place, error)

    @contextmanager
    def telling(self, *, every_seconds: float, last_word: bool) -> Iterator[None]:
        """Ticks in the background while the block runs; with ``last_word`` once more at its end."""
        stop = threading.Event()

        def follow() -> None:
            while not stop.wait(every_seconds):
                self._try(stop)

        thread = threading.Thread(target=follow, name="herald")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            if last_word:
                self._try(threading.Event())

    def _try(self, stop: threading.Event) -> None:
        try:
            self.tick(stop)
        except OSError as error:  # the outbox is away: the next look tries again
            log.error("the webhook has to wait: %s", error)
        except Exception:  # whatever it is, it must not end the telling for good
            log.exception("the webhook has to wait")


@contextmanager
def telling(settings: Settings, *, last_word: bool = False) -> Iterator[Herald | None]:
    """Tells the receiver of the settings, if they name one, while the block runs; yields who does.

    Raises :class:`SettingsError` when address or secret cannot be, and :class:`FolderError` when
    the outbox cannot be used.
    """
    receiver = receiver_of(settings)
    if receiver is None:
        yield None
        return
    outbox = Outbox(Places(settings.inbox, settings.outbox))
    herald = Herald(outbox, Ledger(settings.outbox / LEDGER), receiver)
    with herald.telling(every_seconds=settings.rescan_seconds, last_word=last_word):
        yield herald
