from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
from redis import Redis

from tests.parts import drop_photos
from tests.worker.intake.desk import Desk, note, publish
from worker.errors import FolderError
from worker.intake.plan import Stage
from worker.intake.watcher import LOST_AFTER_SECONDS
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.queue.leases import Leases, Standing


@pytest.mark.usefixtures("car")
def test_a_ready_shoot_is_queued_once_however_often_the_watcher_looks(desk: Desk) -> None:
    assert desk.tick().decisions["car"].stage == Stage.ARRIVING
    assert not desk.queue
    desk.tick(31)
    for _ in range(20):
        desk.tick(5)
    (message,) = desk.queue
    assert (message.shoot, message.attempt, len(message.frames)) == ("car", 1, 2)


@pytest.mark.usefixtures("car")
def test_a_job_that_vanished_from_the_queue_is_queued_again(desk: Desk) -> None:
    desk.settled()
    desk.queue.clear()
    desk.tick(LOST_AFTER_SECONDS)
    assert not desk.queue
    desk.tick(0.1)
    assert [message.attempt for message in desk.queue] == [1]


@pytest.mark.usefixtures("car")
def test_a_job_that_vanished_is_queued_again_with_the_deaths_before_it(
    desk: Desk, leases: Leases
) -> None:
    note(desk, leases, "working", attempt=1, at=desk.began, deaths=1)
    desk.settled()
    assert [(m.attempt, m.deaths) for m in desk.queue] == [(2, 2)]
    desk.queue.clear()
    desk.tick(LOST_AFTER_SECONDS + 1)
    assert [(m.attempt, m.deaths) for m in desk.queue] == [(2, 2)]


@pytest.mark.usefixtures("car")
def test_workers_that_die_of_the_same_frame_are_counted_however_many_frames_were_done_before(
    desk: Desk, leases: Leases
) -> None:
    note(desk, leases, "working", attempt=3, at=desk.began, deaths=2, done=1, began_with=1)
    assert desk.settled().given_up == {"car"}


@pytest.mark.usefixtures("car")
def test_a_job_that_waits_in_a_long_queue_is_not_lost(desk: Desk) -> None:
    desk.settled()
    desk.tick(10 * LOST_AFTER_SECONDS)
    assert len(desk.queue) == 1


@pytest.mark.usefixtures("car")
def test_a_shoot_is_not_queued_while_somebody_holds_its_lease(desk: Desk, leases: Leases) -> None:
    lease = leases.acquire("car")
    assert lease
    desk.settled()
    desk.tick(100)
    assert not desk.queue
    lease.release()
    desk.tick(1)
    assert len(desk.queue) == 1


@pytest.mark.usefixtures("car")
def test_a_shoot_that_is_published_while_the_watcher_looks_is_not_queued_again(
    desk: Desk, leases: Leases, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = leases.standings

    def finished_first(shoots: Sequence[str]) -> list[Standing]:
        publish(places, "car")
        leases.forget("car")
        return ask(shoots)

    desk.tick()
    monkeypatch.setattr(leases, "standings", finished_first)
    assert desk.tick(31).decisions["car"].stage == Stage.READY, "it had looked before"
    assert not desk.queue
    monkeypatch.setattr(leases, "standings", ask)
    assert desk.tick(1).decisions["car"].stage == Stage.DONE
    assert not desk.queue


@pytest.mark.usefixtures("car")
def test_a_shoot_whose_worker_died_is_queued_again_as_the_next_attempt(
    desk: Desk, leases: Leases
) -> None:
    note(desk, leases, "working", attempt=1, at=desk.began)
    desk.settled()
    assert [message.attempt for message in desk.queue] == [2]


@pytest.mark.usefixtures("car")
def test_a_shoot_is_queued_again_when_redis_has_lost_its_memory(desk: Desk, redis: Redis) -> None:
    desk.settled()
    redis.flushall()
    desk.tick(1)
    assert [message.attempt for message in desk.queue] == [1, 1]


@pytest.mark.usefixtures("car")
def test_a_shoot_rests_longer_after_every_failure(desk: Desk, leases: Leases) -> None:
    desk.settled()
    desk.queue.clear()
    for attempt, rest in [(1, 2), (2, 4)]:
        note(desk, leases, "failed", attempt=attempt, at=desk.began + desk.seconds)
        desk.tick(rest)
        assert not desk.queue
        desk.tick(0.1)
        assert [message.attempt for message in desk.queue] == [attempt + 1]
        desk.queue.clear()


def test_a_shoot_that_was_given_up_starts_afresh_when_a_photo_is_replaced(
    desk: Desk, leases: Leases, car: Path
) -> None:
    note(desk, leases, "working", attempt=3, at=desk.began, deaths=2)
    assert desk.settled().given_up == {"car"}
    drop_photos(car, 1, size=(50, 40))
    desk.tick(1)
    desk.tick(31)
    assert [message.attempt for message in desk.queue] == [1]


@pytest.mark.usefixtures("car")
def test_a_job_that_was_lost_from_a_queue_that_never_empties_is_queued_again(
    desk: Desk, places: Places
) -> None:
    desk.settled()
    drop_photos(places.inbox / "van", 2)
    desk.tick(1)
    desk.tick(31)
    assert [message.shoot for message in desk.queue] == ["car", "van"]
    del desk.queue[0]  # a worker took it, and died before it could say so
    desk.tick(LOST_AFTER_SECONDS)
    assert [message.shoot for message in desk.queue] == ["van", "car"]
    desk.tick(LOST_AFTER_SECONDS)
    assert len(desk.queue) == 2


@pytest.mark.usefixtures("car")
def test_a_shoot_that_fails_for_reasons_of_its_surroundings_is_never_given_up(
    desk: Desk, leases: Leases
) -> None:
    note(desk, leases, "failed", attempt=70, at=desk.began)
    assert desk.settled().given_up == set()
    desk.tick(30)
    assert [message.attempt for message in desk.queue] == [71], "it rests for a minute at most"


@pytest.mark.usefixtures("car")
def test_a_run_that_is_to_end_gives_a_shoot_up_that_fails_again_and_again(
    places: Places, leases: Leases
) -> None:
    desk = Desk(places, leases, once=True)
    note(desk, leases, "failed", attempt=3, at=desk.began)
    assert desk.settled().given_up == {"car"}


@pytest.mark.usefixtures("car")
def test_a_shoot_that_was_given_back_is_queued_at_once_as_the_same_attempt(
    desk: Desk, leases: Leases
) -> None:
    note(desk, leases, "returned", attempt=2, at=desk.began, deaths=1)
    desk.settled()
    assert [(m.attempt, m.deaths) for m in desk.queue] == [(2, 1)]


@pytest.mark.usefixtures("car")
@pytest.mark.parametrize("retry", [True, False])
@pytest.mark.parametrize("state", ["returned", "failed", "working"])
def test_a_finished_shoot_that_a_person_asked_for_is_queued_until_it_is_done(
    desk: Desk, leases: Leases, places: Places, state: str, retry: bool
) -> None:
    publish(places, "car", status="incomplete")
    leases.ask("car", retry=retry)
    note(desk, leases, state, attempt=1, at=desk.began)
    assert desk.settled().open
    assert [message.retry for message in desk.queue] == [retry]
    desk.queue.clear()
    leases.forget("car")
    assert not desk.tick(100).open
    assert not desk.queue


@pytest.mark.usefixtures("car")
def test_a_shoot_that_a_person_started_early_goes_on_though_it_is_short_of_frames(
    desk: Desk, leases: Leases
) -> None:
    leases.ask("car", retry=False)
    note(desk, leases, "returned", attempt=1, at=desk.began)
    desk.tick()
    assert not desk.queue, "it still settles"
    desk.tick(3)
    assert len(desk.queue) == 1


@pytest.mark.usefixtures("car")
def test_a_worker_that_got_on_with_the_shoot_before_it_died_begins_the_count_anew(
    desk: Desk, leases: Leases
) -> None:
    note(desk, leases, "working", attempt=9, at=desk.began, deaths=2, done=2, began_with=1)
    desk.settled()
    assert [(m.attempt, m.deaths) for m in desk.queue] == [(10, 1)]


@pytest.mark.usefixtures("car")
@pytest.mark.parametrize("state", ["queued", "failed"])
def test_a_clock_that_was_set_back_makes_no_shoot_wait(
    desk: Desk, leases: Leases, state: str
) -> None:
    note(desk, leases, state, attempt=1, at=desk.began + 5 * 3600)
    desk.settled()
    assert len(desk.queue) == 1


@pytest.mark.usefixtures("car")
def test_a_shoot_whose_workers_die_is_given_up_and_says_how_to_go_on(
    desk: Desk, leases: Leases, caplog: pytest.LogCaptureFixture
) -> None:
    note(desk, leases, "working", attempt=3, at=desk.began, deaths=2)
    with caplog.at_level(logging.WARNING):
        view = desk.settled()
        desk.tick(100)
    assert not desk.queue
    assert view.given_up == {"car"}
    assert "cyclorama retry car" in view.problems["car"]
    assert caplog.text.count("gave up after 3 attempts") == 1


@pytest.mark.usefixtures("car")
def test_an_outbox_whose_share_is_gone_is_not_taken_for_one_without_shoots(
    desk: Desk, places: Places
) -> None:
    (places.outbox / ".staging").rmdir()  # the bare folder on which it was mounted
    with pytest.raises(FolderError, match="has become an empty folder"):
        desk.settled()
    assert not desk.queue
    places.check()
    desk.settled()
    assert len(desk.queue) == 1


@pytest.mark.usefixtures("car")
def test_a_finished_shoot_that_somebody_makes_anew_keeps_its_staging(
    desk: Desk, places: Places, leases: Leases
) -> None:
    publish(places, "car")
    lease = leases.acquire("car")
    assert lease
    staging = Staging(places, "car")
    desk.tick()
    desk.tick(2 * leases.seconds)
    assert staging.folder.exists()
    lease.release()
    desk.tick(1)
    assert not staging.folder.exists()
