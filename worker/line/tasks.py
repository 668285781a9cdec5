"""From Celery to the line: the one task, and the worker that serves it. No logic here."""

from __future__ import annotations

import warnings
from typing import Any

from celery import Celery
from celery.platforms import SecurityWarning  # type: ignore[attr-defined]

from worker.line.pipeline import Line
from worker.queue.app import QUEUE, TASK


def serve(app: Celery, line: Line, *, jobs: int, name: str) -> int:
    """Works until SIGTERM or SIGINT, finishes what is in flight, and returns an exit code."""

    def shoot(payload: Any) -> None:
        line.handle(payload)

    app.task(name=TASK)(shoot)
    # Celery warns root of pickled messages; only JSON is accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
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
    return int(worker.exitcode or 0)
