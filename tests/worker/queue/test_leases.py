from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.lock import Lock

from worker.errors import LeaseLost
from worker.queue.leases import ASKED, NOTE_SECONDS, Lease, Leases, Note, kept, queued
from worker.queue.messages import FrameMessage, JobMessage


def job(*, attempt: int = 1) -> JobMessage:
    frame = FrameMessage(name="01", angle=1, path="car/01.jpg", size=1, mtime_ns=1)
    return JobMessage(job="a" * 32, shoot="car", attempt=attempt, frames=(frame,))


@pytest.fixture
def short(redis: Redis) -> Leases:
    """Leases that lapse soon."""
    return Leases(redis, seconds=0.3)


def test_a_shoot_is_held_by_one_at_a_time(leases: Leases) -> None:
    lease = leases.acquire("car")
    assert lease
    assert leases.held("car")
    assert leases.acquire("car") is None
    other = leases.acquire("van")
    assert other
    lease.release()
    assert not leases.held("car")
    assert leases.held("van")
    assert leases.acquire("car")


def test_many_shoots_are_asked_after_at_once(leases: Leases) -> None:
    assert leases.acquire("car")
    leases.write("car", queued(job(attempt=2), at=5.0))
    leases.write("van", queued(job(), at=6.0))
    car, van, nobody = leases.standings(["car", "van", "nobody"])
    assert (car.held, van.held, nobody.held) == (True, False, False)
    assert (car.note, van.note, nobody.note) == (leases.note("car"), leases.note("van"), None)
    assert leases.standings([]) == []


def test_a_lease_that_is_renewed_outlives_its_time(short: Leases) -> None:
    lease = short.acquire("car")
    assert lease
    for _ in range(4):
        time.sleep(0.15)
        lease.renew()
    assert short.held("car")
    lease.check()


def test_a_lease_that_nobody_renews_lapses(short: Leases) -> None:
    assert short.acquire("car")
    time.sleep(0.4)
    assert not short.held("car")
    assert short.acquire("car")


def test_who_was_too_late_learns_that_another_has_taken_over(short: Leases) -> None:
    late = short.acquire("car")
    assert late
    time.sleep(0.4)
    heir = short.acquire("car")
    assert heir
    with pytest.raises(LeaseLost, match="car"):
        late.renew()
    with pytest.raises(LeaseLost, match="car"):
        late.check()
    late.release()
    assert short.held("car"), "who lost a lease cannot give it free"
    heir.check()


def test_two_threads_that_take_a_vanished_lease_again_do_not_lose_it_to_each_other(
    leases: Leases, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = leases.acquire("car")
    assert lease
    redis.flushall()
    reacquire = Lock.reacquire

    def slowly(lock: Lock) -> bool:
        try:
            return reacquire(lock)
        finally:
            time.sleep(0.1)  # so that the other finds it vanished, too

    monkeypatch.setattr(Lock, "reacquire", slowly)
    with ThreadPoolExecutor(2) as pool:
        for renewed in [pool.submit(lease.renew) for _ in range(2)]:
            renewed.result()
    assert not lease.lost


def test_a_lease_that_vanished_with_redis_memory_is_taken_again(
    leases: Leases, redis: Redis
) -> None:
    lease = leases.acquire("car")
    assert lease
    redis.flushall()
    lease.renew()
    lease.check()
    assert leases.held("car")
    assert leases.acquire("car") is None
    lease.release()
    assert not leases.held("car")


def test_a_lease_that_is_gone_is_released_without_an_error(leases: Leases, redis: Redis) -> None:
    lease = leases.acquire("car")
    assert lease
    redis.flushall()
    lease.release()
    assert not leases.held("car")


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([RedisConnectionError("Connection refused"), None, LeaseLost("another has it")], 3),
        ([LeaseLost("another has it"), None], 1),
    ],
)
def test_a_lease_is_renewed_again_when_redis_was_away_and_never_once_another_holds_it(
    leases: Leases, monkeypatch: pytest.MonkeyPatch, answers: list[Exception | None], asked: int
) -> None:
    lease = leases.acquire("car")
    assert lease
    left = list(answers)

    def renew(_: Lease) -> None:
        if answer := left.pop(0):
            raise answer

    monkeypatch.setattr(Lease, "renew", renew)
    with kept(lease, 0.01):
        (thread,) = (t for t in threading.enumerate() if t.name == "lease car")
        thread.join(30)
        assert not thread.is_alive()
    assert len(answers) - len(left) == asked


def test_whoever_gives_a_lease_free_waits_for_the_renewal_that_is_on_its_way(
    leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = leases.acquire("car")
    assert lease
    renew, begun = Lease.renew, threading.Event()

    def slowly(lease: Lease) -> None:
        begun.set()
        time.sleep(0.2)
        renew(lease)  # after the release it would take the lease again, for nobody

    monkeypatch.setattr(Lease, "renew", slowly)
    with kept(lease, 0.01):
        assert begun.wait(30)
    lease.release()
    time.sleep(0.3)
    assert not leases.held("car")


def test_a_note_comes_back_as_it_was_written(leases: Leases) -> None:
    note = Note(
        "failed",
        "f" * 32,
        2,
        1234.5,
        done=3,
        total=16,
        worker="w-1",
        error="No ünits",
        photos="0123",
        began_with=2,
        deaths=1,
    )
    leases.write("red car", note)
    assert leases.note("red car") == note
    assert leases.note("car") is None


def test_a_note_replaces_the_one_before(leases: Leases) -> None:
    leases.write("car", Note("failed", "f" * 32, 2, 1.0, error="disk full"))
    leases.write("car", queued(job(attempt=3), at=2.0))
    assert leases.note("car") == Note("queued", "a" * 32, 3, 2.0, total=1, photos=job().photos)


@pytest.mark.parametrize("rubbish", [{"attempt": "many"}, {"at": ""}, {"deaths": "x"}])
def test_a_note_that_cannot_be_read_is_none_and_spoils_no_other(
    leases: Leases, redis: Redis, rubbish: dict[str, str]
) -> None:
    leases.write("car", queued(job(), at=1.0))
    leases.write("van", queued(job(), at=1.0))
    redis.hset("cyclorama:shoot:car", mapping=rubbish)
    assert leases.note("car") is None
    car, van = leases.standings(["car", "van"])
    assert (car.note, van.note) == (None, leases.note("van"))


def test_progress_shows_in_the_note(leases: Leases) -> None:
    leases.write("car", queued(job(), at=1.0))
    leases.progress("car", 5)
    note = leases.note("car")
    assert note
    assert (note.done, note.total) == (5, 1)


def test_progress_of_a_shoot_whose_note_is_lost_makes_no_note(leases: Leases) -> None:
    leases.progress("car", 5)
    assert leases.note("car") is None


def test_a_retry_that_was_asked_for_while_the_shoot_was_in_work_is_still_to_be_made(
    leases: Leases,
) -> None:
    leases.ask("car", retry=True)
    leases.forget("car", retried=False)
    assert leases.asked() == {"car": True}
    leases.forget("car", retried=True)
    assert leases.asked() == {}
    leases.ask("car", retry=False)
    leases.forget("car", retried=False)
    assert leases.asked() == {}


def test_what_was_asked_for_is_kept_as_long_as_notes_are(leases: Leases, redis: Redis) -> None:
    leases.ask("car", retry=True)
    leases.ask("van", retry=False)
    assert leases.asked() == {"car": True, "van": False}
    assert 0 < redis.ttl(ASKED) <= NOTE_SECONDS


def test_a_note_is_forgotten_when_asked_and_vanishes_by_itself_some_day(
    leases: Leases, redis: Redis
) -> None:
    leases.write("car", queued(job(), at=1.0))
    (key,) = redis.keys("*car*")
    assert 0 < redis.ttl(key) <= 7 * 24 * 3600
    leases.forget("car")
    assert leases.note("car") is None
