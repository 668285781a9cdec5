"""When a night is due, by a schedule in cron's form."""

from __future__ import annotations

from datetime import datetime, timedelta

from celery.schedules import ParseException, crontab

from worker.errors import SettingsError

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
