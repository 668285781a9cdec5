"""When a night is due: Celery beat, on a queue of its own, which no worker of shoots listens to.

Beat remembers when it last sent a night (``schedule`` in its folder), so that nights that were
missed are sent once, when it is back. Several schedulers may run: each sends, and whoever takes a
message claims its night by the time at which it was due.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from celery.beat import EmbeddedService
from celery.platforms import SecurityWarning  # type: ignore[attr-defined]
from celery.schedules import ParseException, crontab
from celery.signals import worker_ready, worker_shutting_down
from tzlocal import get_localzone_name

from worker.errors import SettingsError
from worker.queue.app import make_app
from worker.queue.health import REPLACE_ME

log = logging.getLogger(__name__)
TRAINING = "training"
NIGHT = "cyclorama.night"
UNTIL_REDIS_IS_BACK = {
    "max_retries": 600,
    "interval_start": 0,
    "interval_step": 0.5,
    "interval_max": 1,
}
"""Ten minutes: beat counts a night as sent before it is, and does not come back to it."""
STOP_SECONDS = 5.0
LOOKED_BACK = (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=1500))


def parse_cron(text: str) -> crontab:
    """The schedule in ``minute hour day month weekday``, in the machine's own time.

    Raises :class:`SettingsError` when it is none.
    """
    try:
        return crontab.from_string(text)
    except (ParseException, ValueError, TypeError) as error:
        raise SettingsError(
            f"CYCLORAMA_RETRAIN_CRON is {text!r}, which is no schedule ({error})",
            cure='Give minute, hour, day, month and weekday: "30 3 * * *" is at 3:30 every night',
        ) from error


def last_due(text: str, now: datetime) -> datetime | None:
    """When a night was last due at ``now`` (with its time zone); ``None`` if not in years."""
    schedule = parse_cron(text)
    for back in LOOKED_BACK:
        due, at = None, now - back
        while (at := _next(schedule, at)) <= now:
            due = at
        if due:
            return due
    return None


def next_due(text: str, now: datetime) -> datetime:
    """When a night is due next at ``now`` (with its time zone); raises :class:`SettingsError`
    when ``text`` is no schedule."""
    return _next(parse_cron(text), now)


def _next(schedule: crontab, after: datetime) -> datetime:
    start, wait, _ = schedule.remaining_delta(after, tz=after.tzinfo)
    found: datetime = start + wait
    return found


def entry(cron: str) -> dict[str, Any]:
    """What beat is told of nights."""
    options = {"queue": TRAINING, "retry_policy": UNTIL_REDIS_IS_BACK}
    return {"task": NIGHT, "schedule": parse_cron(cron), "options": options}


def stop(beat: Any) -> None:
    """Ends the thread of beat, or leaves it alone where it waits for Redis: it goes with the
    process, and what it did not send is due when it is back."""
    beat.service.stop()
    beat.join(STOP_SECONDS)


def serve_nights(
    broker_url: str, cron: str, *, folder: Path, on_night: Callable[[], object], name: str
) -> int:
    """Sends nights when they are due and takes them, until SIGTERM or SIGINT; an exit code.

    ``on_night`` must return at once.
    """
    app = make_app(broker_url)
    app.conf.update(
        timezone=get_localzone_name() or "UTC",
        beat_schedule={"night": entry(cron)},
        beat_max_loop_interval=10,
    )

    def night() -> None:
        on_night()

    app.task(name=NIGHT)(night)
    folder.mkdir(parents=True, exist_ok=True)
    beat: Any = EmbeddedService(app, thread=True, schedule_filename=str(folder / "schedule"))
    beat.start()
    # Celery warns root of pickled messages; only JSON is accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    worker = app.Worker(
        loglevel="INFO",
        pool="threads",
        concurrency=1,
        queues=[TRAINING],
        hostname=f"nights@{name}",
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    told, dead, ready = (threading.Event() for _ in range(3))
    worker_ready.connect(lambda **_: ready.set(), weak=False)
    worker_shutting_down.connect(lambda **_: told.set(), weak=False)

    def look_after_beat() -> None:
        beat.join()
        ready.wait()  # before that, Celery would not hear a signal
        if not told.is_set():  # a full disk, say: what it remembers could not be written
            dead.set()
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=look_after_beat, name="after beat", daemon=True).start()
    try:
        worker.start()
    finally:
        told_by_celery = told.is_set()
        told.set()
        stop(beat)
    if dead.is_set():
        log.error("the schedule ended by itself; another process is to keep it")
        return REPLACE_ME
    # Celery calls it a failure to be stopped by Ctrl-C.
    return 0 if told_by_celery else int(worker.exitcode or 0)
