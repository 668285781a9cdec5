"""From Celery to the line: the one task, and the worker that serves it. No logic here."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import Celery
from celery.platforms import SecurityWarning  # type: ignore[attr-defined]
from celery.signals import worker_shutting_down
from celery.worker.consumer import Consumer as CeleryConsumer

from worker.line.pipeline import Line
from worker.queue.app import QUEUE, TASK
from worker.queue.channel import tolerate_garbage

STOP_SECONDS = 45.0
"""What is in flight when a worker is told to stop has so long; supervisors wait for a minute."""
LAST_WORD_SECONDS = 5.0
RECONNECT_SECONDS = 5
"""While Redis is away it is looked for this often; Celery by itself would wait for half a minute
in the end."""


class Consumer(CeleryConsumer):
    """Takes up work again soon after Redis is back."""

    def ensure_connected(self, conn: Any) -> Any:
        conn.ensure_connection = partial(conn.ensure_connection, interval_max=RECONNECT_SECONDS)
        return super().ensure_connected(conn)


def serve(
    app: Celery, line: Line, *, jobs: int, name: str, code: Callable[[], int] = lambda: 0
) -> int:
    """Works until SIGTERM or SIGINT, finishes the frames in flight, gives unfinished shoots back,
    and returns ``code()``; Celery's exit code where it ended by itself. Where it takes too long the
    process ends with ``code()``."""

    def shoot(payload: Any) -> None:
        line.handle(payload)

    told = threading.Event()

    def stopping(**_: Any) -> None:
        told.set()
        line.hand_back()
        late = threading.Timer(STOP_SECONDS, leave)
        late.daemon = True
        late.start()

    def leave() -> None:
        # Nothing is lost by it: what a frame that does not end was to be is made by another.
        word = threading.Thread(target=line.leave, daemon=True)
        word.start()
        word.join(LAST_WORD_SECONDS)  # Redis may be away
        os._exit(code())

    app.task(name=TASK)(shoot)
    worker_shutting_down.connect(stopping, weak=False)
    # Celery warns root of pickled messages; only JSON is accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app.conf.worker_consumer = Consumer
    tolerate_garbage()
    worker = app.Worker(
        loglevel="INFO",
        pool="threads",
        concurrency=jobs,
        queues=[QUEUE],
        hostname=f"cyclorama@{name}",
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    worker.start()
    # Celery calls it a failure to be stopped by Ctrl-C.
    return code() if told.is_set() else int(worker.exitcode or code())
