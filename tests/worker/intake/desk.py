"""A watcher at an inbox, and what its tests lay there."""

from __future__ import annotations

import time

from tests.parts import ListQueue, manifest_with, row_of, shoot_in
from worker.intake.inbox import Inbox, View
from worker.intake.plan import Rules
from worker.intake.watcher import Watcher
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.queue.leases import Leases, Note
from worker.queue.messages import JobMessage

RULES = Rules(settle_seconds=2, quiet_seconds=30)


class Desk:
    """A watcher whose clock a test moves by hand."""

    def __init__(
        self, places: Places, leases: Leases, *, max_attempts: int = 3, once: bool = False
    ) -> None:
        self.queue, self.seconds, self.began = ListQueue(), 0.0, time.time()
        self.places = places
        inbox = Inbox(places, preset="studio-grey", presets=places.inbox.parent, rules=RULES)
        self.watcher = Watcher(inbox, leases, self.queue, max_attempts=max_attempts, once=once)

    def tick(self, after: float = 0.0) -> View:
        self.seconds += after
        return self.watcher.tick(self.seconds, self.began + self.seconds)

    def settled(self) -> View:
        """A first look, and one after the quiet time."""
        self.tick()
        return self.tick(31)


def note(desk: Desk, leases: Leases, state: str, *, attempt: int, at: float, **more: int) -> None:
    photos = JobMessage.of(shoot_in(desk.places.inbox, "car")).photos
    leases.write("car", Note(state, "0" * 32, attempt, at, photos=photos, **more))  # type: ignore[arg-type]


def publish(places: Places, shoot: str, *, status: str = "complete") -> None:
    """A finished edition of what lies in the inbox now."""
    frames = shoot_in(places.inbox, shoot).frames
    manifest = manifest_with(
        shoot, [row_of(frame.source, frame.name) for frame in frames], status=status
    )
    Staging(places, shoot).publish(manifest)
