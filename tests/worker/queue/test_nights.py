from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from worker.errors import SettingsError
from worker.queue.nights import last_due, next_due, parse_cron

NOON = datetime(2026, 11, 25, 12, 0, 30, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("cron", "due"),
    [
        ("30 3 * * *", NOON.replace(hour=3, minute=30, second=0)),
        ("* * * * *", NOON.replace(second=0)),
        ("0 23 * * *", NOON.replace(day=24, hour=23, second=0)),
        ("0 4 * * sun", NOON.replace(day=22, hour=4, second=0)),
        ("0 4 1 1 *", NOON.replace(month=1, day=1, hour=4, second=0)),
    ],
)
def test_the_last_night_that_was_due_is_the_same_whenever_one_asks(
    cron: str, due: datetime
) -> None:
    assert last_due(cron, NOON) == due
    assert last_due(cron, NOON + timedelta(seconds=20)) == due


def test_the_next_night_comes_after_now() -> None:
    assert next_due("30 3 * * *", NOON) == NOON.replace(day=26, hour=3, minute=30, second=0)


@pytest.mark.parametrize("cron", ["nightly", "30 3 * *", "61 3 * * *"])
def test_what_is_no_schedule_is_refused_with_an_example(cron: str) -> None:
    with pytest.raises(SettingsError, match=r"CYCLORAMA_RETRAIN_CRON.*30 3 \* \* \*"):
        parse_cron(cron)
