"""What a worker writes of a shoot for the next attempt, with and without Redis."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from worker.errors import LeaseLost
from worker.line.notes import Notes
from worker.queue.leases import Leases, Note, queued
from worker.queue.messages import FrameMessage, JobMessage


def job(*, size: int = 1, **more: Any) -> JobMessage:
    frame = FrameMessage(name="01", angle=1, path="car/01.jpg", size=size, mtime_ns=1)
    return JobMessage(shoot="car", frames=(frame,), **more)


@pytest.fixture
def notes(leases: Leases) -> Notes:
    return Notes(leases, "w-1")


def test_a_note_tells_all_that_the_next_attempt_goes_by(leases: Leases, notes: Notes) -> None:
    message = job(attempt=3, deaths=2)
    notes.note(message, "working", done=1, error="Oh")
    found = leases.note("car")
    assert found
    assert found == Note(
        "working",
        message.job,
        3,
        found.at,
        done=1,
        total=1,
        worker="w-1",
        error="Oh",
        photos=message.photos,
        began_with=1,
        deaths=2,
    )
    assert found.deaths_so_far == 3, "what was done before is not this attempt's work"
    notes.progress("car", 2)
    found = leases.note("car")
    assert found
    assert found.deaths_so_far == 1


@pytest.mark.parametrize(
    ("newer", "state", "overtaken"),
    [
        (job(), "queued", False),  # the same again, still to be done
        (job(), "working", True),
        (job(), "failed", True),
        (job(size=2), "queued", True),
        (job(deaths=1), "queued", True),  # a worker died on it since
    ],
)
def test_a_message_is_overtaken_by_a_newer_job_unless_that_is_the_same_still_to_be_done(
    leases: Leases, notes: Notes, newer: JobMessage, state: str, overtaken: bool
) -> None:
    message = job()
    assert not notes.is_overtaken(message)
    notes.note(newer, state)
    assert notes.is_overtaken(message) == overtaken
    assert not notes.is_overtaken(newer)


def test_a_message_whose_shoot_is_done_is_known_by_the_missing_note(
    leases: Leases, notes: Notes
) -> None:
    message = job()
    leases.write("car", queued(message, at=0.0))
    assert not notes.is_forgotten(message)
    notes.forget(message)
    assert notes.is_forgotten(message)


def test_a_retry_that_a_person_asked_for_meanwhile_outlives_a_job_that_was_none(
    leases: Leases, notes: Notes
) -> None:
    leases.ask("car", retry=True)
    notes.forget(job())
    assert leases.asked() == {"car": True}
    notes.forget(job(retry=True))
    assert leases.asked() == {}


def test_a_shoot_that_another_holds_is_not_ours_to_publish(leases: Leases, notes: Notes) -> None:
    lease = leases.acquire("car")
    assert lease
    notes.renew(lease)
    leases._redis.set("cyclorama:lease:car", "another worker's", ex=60)
    with pytest.raises(LeaseLost):
        notes.renew(lease)
    notes.release(lease)
    assert leases.held("car")


def test_a_redis_that_does_not_answer_keeps_no_shoot_from_being_made(
    leases: Leases, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise RedisConnectionError("Connection refused")

    lease, message = leases.acquire("car"), job()
    assert lease
    for name in ("execute_command", "pipeline"):
        monkeypatch.setattr(leases._redis, name, gone)
    assert not notes.is_forgotten(message)
    assert not notes.is_overtaken(message)
    notes.note(message, "working")
    notes.progress("car", 1)
    notes.renew(lease)
    lease.check()
    notes.forget(message)
    notes.release(lease)
