"""Queueing shoots by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from worker.errors import ShootError
from worker.intake.scan import look
from worker.queue.app import JobQueue, connect
from worker.queue.broker import broker_of
from worker.queue.leases import Leases, queued
from worker.queue.messages import JobMessage
from worker.settings import Settings
from worker.shoots import counted, group


def submit(settings: Settings, names: Sequence[str], *, retry: bool) -> Iterator[str]:
    """Puts the named shoots on the queue and yields a line for each.

    Raises :class:`ShootError` for a name that is not in the inbox, before anything is queued,
    and :class:`BrokerError` when Redis does not answer (``cyclorama run`` starts the embedded one).
    """
    shoots = {shoot.name: shoot for shoot in group(look(settings.inbox).sources.values())}
    if unknown := [name for name in names if name not in shoots]:
        known = ", ".join(list(shoots)[:10]) or "none"
        raise ShootError(
            f"the inbox {settings.inbox} has no shoot {unknown[0]!r}", cure=f"It has: {known}"
        )
    url = broker_of(settings)
    redis = connect(url)
    leases, queue = Leases(redis, seconds=settings.lease_seconds), JobQueue(url, redis)
    for name in names:
        if leases.held(name):
            if retry:
                leases.ask(name, retry=True)
            later = "; then its failed frames are tried again" if retry else " already"
            yield f"{name} is in work{later}"
            continue
        message = JobMessage.of(shoots[name], retry=retry)
        at = time.time()
        leases.ask(name, retry=retry)
        leases.write(name, queued(message, at=at))
        queue.send(message, at=at)
        yield f"{name} is queued: {counted(len(message.frames), 'frame')}"
