"""What a worker says of its shoots in Redis: watcher, status and the next attempt go by it.

A Redis that does not answer keeps no shoot from being made.
"""

from __future__ import annotations

import logging
import time

from redis.exceptions import RedisError

from worker.queue.leases import Lease, Leases, Note
from worker.queue.messages import JobMessage

log = logging.getLogger(__name__)


class Notes:
    """The notes of one worker."""

    def __init__(self, leases: Leases, worker: str) -> None:
        self._leases, self._worker = leases, worker

    def note(self, message: JobMessage, state: str, *, done: int = 0, error: str = "") -> None:
        """Where the shoot of ``message`` stands now."""
        note = Note(
            state=state,  # type: ignore[arg-type]
            job=message.job,
            attempt=message.attempt,
            at=time.time(),
            done=done,
            total=len(message.frames),
            worker=self._worker,
            error=error,
            photos=message.photos,
            began_with=done,
            deaths=message.deaths,
        )
        try:
            self._leases.write(message.shoot, note)
        except RedisError as cause:
            log.warning("no note on %s: %s", message.shoot, cause)

    def is_forgotten(self, message: JobMessage) -> bool:
        """Whether there is no note on the shoot: it is done, and the message came again."""
        try:
            return self._leases.note(message.shoot) is None
        except RedisError:
            return False

    def is_overtaken(self, message: JobMessage) -> bool:
        """Whether the note is about a newer job that is not the same again, still to be done."""
        try:
            note = self._leases.note(message.shoot)
        except RedisError:
            return False
        if note is None or note.job == message.job:
            return False
        same = (note.photos, note.deaths) == (message.photos, message.deaths)
        return note.state != "queued" or not same

    def progress(self, shoot: str, done: int) -> None:
        """How many of its frames are done."""
        try:
            self._leases.progress(shoot, done)
        except RedisError as cause:
            log.warning("no progress on %s: %s", shoot, cause)

    def forget(self, message: JobMessage) -> None:
        """Takes the note away: the manifest tells all from now on."""
        try:
            self._leases.forget(message.shoot, retried=message.retry)
        except RedisError as cause:
            log.warning("the note on %s stays: %s", message.shoot, cause)

    def renew(self, lease: Lease) -> None:
        """Asks Redis whether the shoot is still ours to publish. One that does not answer is no
        reason to wait: whoever took the shoot over has taken its staging folder too."""
        try:
            lease.renew()
        except RedisError as error:
            log.warning("%s is published without a word of Redis: %s", lease.shoot, error)

    def release(self, lease: Lease) -> None:
        """Lets the next attempt, or another worker, have the shoot."""
        try:
            lease.release()
        except RedisError as error:
            log.warning("the lease on %s lapses by itself: %s", lease.shoot, error)
