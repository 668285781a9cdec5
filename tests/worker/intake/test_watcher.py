from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from watchdog.observers import Observer

from tests.parts import ListQueue, drop_photos, manifest_with, photo_bytes, row_of, shoot_in
from worker.errors import FolderError
from worker.intake.plan import Rules, Stage
from worker.intake.watcher import LOST_AFTER_SECONDS, Inbox, View, Watcher, watch
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.queue.leases import Leases, Note
from worker.queue.messages import JobMessage

RULES = Rules(settle_seconds=2, quiet_seconds=30)


class Desk:
    """A watcher whose clock a test moves by hand."""

    def __init__(
        self, places: Places, leases: Leases, *, max_attempts: int = 3, once: bool = False
    ) -> None:
        self.queue, self.seconds, self.began = ListQueue(), 0.0, time.time()
        self.places = places
        inbox = Inbox(places, preset="studio-grey", presets=places.inbox.parent, rules=RULES)
        self.watcher = Watcher(inbox, leases, self.queue, max_attempts=max_attempts, once=once)

    def tick(self, after: float = 0.0) -> View:
        self.seconds += after
        return self.watcher.tick(self.seconds, self.began + self.seconds)

    def settled(self) -> View:
        """A first look, and one after the quiet time."""
        self.tick()
        return self.tick(31)


@pytest.fixture
def desk(places: Places, leases: Leases) -> Desk:
    return Desk(places, leases)


@pytest.fixture
def car(places: Places) -> Path:
    drop_photos(places.inbox / "car", 2)
    return places.inbox / "car"


def note(desk: Desk, leases: Leases, state: str, *, attempt: int, at: float, **more: int) -> None:
    photos = JobMessage.of(shoot_in(desk.places.inbox, "car")).photos
    leases.write("car", Note(state, "0" * 32, attempt, at, photos=photos, **more))  # type: ignore[arg-type]


def publish(places: Places, shoot: str, *, status: str = "complete") -> None:
    """A finished edition of what lies in the inbox now."""
    frames = shoot_in(places.inbox, shoot).frames
    manifest = manifest_with(
        shoot, [row_of(frame.source, frame.name) for frame in frames], status=status
    )
    Staging(places, shoot).publish(manifest)


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


def test_a_shoot_with_too_many_photos_is_named_with_its_cure(
    places: Places, leases: Leases
) -> None:
    drop_photos(places.inbox / "film", 4)
    drop_photos(places.inbox / "car", 3)
    rules = Rules(settle_seconds=0, quiet_seconds=0, max_frames=3)
    inbox = Inbox(places, preset="studio-grey", presets=places.inbox.parent, rules=rules)
    view = inbox.view(0.0)
    assert list(view.decisions) == ["car"]
    assert "CYCLORAMA_MAX_FRAMES" in view.problems["film"]


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


@pytest.mark.parametrize("status", ["complete", "incomplete", "held"])
@pytest.mark.usefixtures("car")
def test_a_finished_shoot_is_not_queued(desk: Desk, places: Places, status: str) -> None:
    publish(places, "car", status=status)
    view = desk.settled()
    assert view.decisions["car"].stage == Stage.DONE
    assert (view.open, desk.queue) == ([], [])


def test_a_photo_replaced_after_publication_is_queued_again(
    desk: Desk, places: Places, car: Path
) -> None:
    publish(places, "car")
    desk.settled()
    (car / "02.jpg").write_bytes(photo_bytes(99))
    assert desk.tick(1).decisions["car"].stage == Stage.ARRIVING
    desk.tick(31)
    assert [message.shoot for message in desk.queue] == ["car"]


def test_an_angle_that_comes_after_publication_is_queued(
    desk: Desk, places: Places, car: Path
) -> None:
    publish(places, "car")
    desk.settled()
    (car / "03.jpg").write_bytes(photo_bytes(3))
    desk.tick(1)
    desk.tick(31)
    assert [len(message.frames) for message in desk.queue] == [3]


def test_a_photo_removed_after_publication_queues_nothing(
    desk: Desk, places: Places, car: Path
) -> None:
    publish(places, "car")
    (car / "02.jpg").unlink()
    assert desk.settled().decisions["car"].stage == Stage.DONE
    assert not desk.queue


def test_a_wrong_preset_is_a_problem_until_it_is_mended(desk: Desk, car: Path) -> None:
    (car / "preset.toml").write_text("frames = 2\ncolour = 1\n")
    view = desk.settled()
    assert "line 2" in view.problems["car/preset.toml"]
    assert not desk.queue
    (car / "preset.toml").write_text("frames = 2\n")
    assert not desk.tick(1).problems
    assert len(desk.queue) == 1


def test_a_shoots_own_preset_says_how_many_frames_to_expect(desk: Desk, car: Path) -> None:
    (car / "preset.toml").write_text("frames = 2\n")
    desk.tick()
    desk.tick(2)
    assert len(desk.queue) == 1


def test_one_wrong_shoot_does_not_stop_another(desk: Desk, places: Places, car: Path) -> None:
    (car / "preset.toml").write_text("frames = many\n")
    drop_photos(places.inbox / "van", 1)
    desk.settled()
    assert [message.shoot for message in desk.queue] == ["van"]


def test_a_half_written_photo_is_not_taken_up_until_it_is_whole(desk: Desk, car: Path) -> None:
    whole = photo_bytes(2)
    (car / "02.jpg").write_bytes(whole[: len(whole) // 2])
    (car / ".ready").touch()
    desk.tick()
    view = desk.tick(10)
    assert view.decisions["car"].reason == "car/02.jpg is not known to be whole yet"
    (car / "02.jpg").write_bytes(whole)
    desk.tick(1)
    desk.tick(2)
    assert len(desk.queue) == 1


def test_a_photo_whose_copy_stalled_is_taken_up_after_the_quiet_time(desk: Desk, car: Path) -> None:
    whole = photo_bytes(2)
    (car / "02.jpg").write_bytes(whole[: len(whole) // 2])
    (car / ".ready").touch()
    desk.tick()
    desk.tick(29)
    assert not desk.queue
    desk.tick(1)
    assert len(desk.queue) == 1


def test_a_photo_that_vanishes_while_it_is_looked_at_is_seen_as_gone_by_the_next_tick(
    desk: Desk, car: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(path: Path, *, within: Path) -> bool:
        raise FileNotFoundError(path)

    desk.tick()
    with monkeypatch.context() as patch:
        patch.setattr("worker.intake.watcher.check_complete", vanish)
        assert desk.tick(10).decisions["car"].stage == Stage.ARRIVING
    (car / "01.jpg").unlink()
    desk.tick(30)
    assert [len(message.frames) for message in desk.queue] == [1]


@pytest.mark.usefixtures("car")
def test_a_damaged_manifest_counts_as_none(desk: Desk, places: Places) -> None:
    publish(places, "car")
    (places.published("car") / "manifest.json").write_text('{"format": 1, "shoot":')
    desk.settled()
    assert len(desk.queue) == 1


def test_a_tick_on_an_inbox_that_vanished_raises_a_folder_error(desk: Desk, places: Places) -> None:
    places.inbox.rmdir()
    with pytest.raises(FolderError, match="inbox"):
        desk.tick()


@contextmanager
def watching(
    tick: Callable[[], View], inbox: Path, *, rescan_seconds: float, polling: bool = False
) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(
        target=watch,
        args=(tick, inbox, stop),
        kwargs={"rescan_seconds": rescan_seconds, "polling": polling},
    )
    thread.start()
    try:
        yield stop
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def until(what: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return what()


def test_a_folder_that_is_moved_in_wakes_the_watcher_at_once(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    drop_photos(tmp_path / "car", 1)
    ticks: list[bool] = []

    def tick() -> View:
        ticks.append((inbox / "car").exists())
        return View()

    with watching(tick, inbox, rescan_seconds=600):
        assert until(lambda: len(ticks) == 1)
        (tmp_path / "car").rename(inbox / "car")
        assert until(lambda: True in ticks)


def test_a_folder_that_polls_sees_what_comes(tmp_path: Path) -> None:
    ticks: list[bool] = []

    def tick() -> View:
        ticks.append((tmp_path / "car").exists())
        return View()

    with watching(tick, tmp_path, rescan_seconds=0.2, polling=True):
        drop_photos(tmp_path / "car", 1)
        assert until(lambda: True in ticks)


def test_the_watcher_survives_an_inbox_that_goes_and_comes_back(
    desk: Desk, places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    views: list[View] = []

    def tick() -> View:
        views.append(desk.tick(1))
        return views[-1]

    with watching(tick, places.inbox, rescan_seconds=0.1):
        places.inbox.rename(places.inbox.with_name("away"))
        assert until(lambda: "cannot be read" in caplog.text)
        places.inbox.with_name("away").rename(places.inbox)
        drop_photos(places.inbox / "car", 1)
        assert until(lambda: bool(views) and "car" in views[-1].decisions)


def test_the_watcher_looks_all_the_same_where_the_system_gives_no_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(Observer, "start", refuse)
    ticks: list[int] = []

    def tick() -> View:
        ticks.append(1)
        return View()

    with watching(tick, tmp_path, rescan_seconds=0.05):
        assert until(lambda: len(ticks) > 2)


def test_looking_at_a_photo_does_not_wake_the_watcher(tmp_path: Path) -> None:
    (photo,) = drop_photos(tmp_path / "car", 1)
    ticks: list[int] = []

    def tick() -> View:
        ticks.append(len(photo.read_bytes()))
        return View()

    with watching(tick, tmp_path, rescan_seconds=600):
        assert until(lambda: len(ticks) == 1)
        time.sleep(0.6)
        assert len(ticks) == 1


def test_the_first_shoots_of_a_large_delivery_do_not_wait_until_the_last_is_read(
    desk: Desk, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.intake.watcher.CHECK_SECONDS", 0.0)
    for name in ("a", "b"):
        drop_photos(places.inbox / name, 1)
        (places.inbox / name / ".ready").touch()
    desk.tick()

    desk.tick(3)
    assert [message.shoot for message in desk.queue] == ["a"]
    desk.tick(1)
    assert [message.shoot for message in desk.queue] == ["a", "b"]


@pytest.mark.usefixtures("car")
def test_what_the_watcher_keeps_of_a_shoot_is_without_its_views_of_the_booth(
    places: Places,
) -> None:
    rows = [
        row_of(frame.source, frame.name, booth="a view")
        for frame in shoot_in(places.inbox, "car").frames
    ]
    Staging(places, "car").publish(manifest_with("car", rows))
    inbox = Inbox(places, preset="studio-grey", presets=places.inbox.parent, rules=RULES)
    kept = inbox.manifest("car")
    assert kept and [row.booth for row in kept.frames] == [None, None]
    assert inbox.view(0.0).decisions["car"].stage == Stage.DONE
