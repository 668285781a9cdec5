from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from watchdog.observers import Observer

from tests.parts import drop_photos
from tests.worker.intake.desk import Desk
from worker.intake.inbox import View
from worker.intake.watcher import rest_seconds, watch
from worker.outbox.places import Places


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


def test_after_a_long_look_the_watcher_rests_for_longer() -> None:
    assert rest_seconds(0.01, 5.0) == 1.0
    assert rest_seconds(0.01, 0.2) == 0.2
    assert rest_seconds(2.0, 5.0) == 8.0
    assert rest_seconds(60.0, 5.0) == 10.0


def test_the_watcher_survives_a_disk_that_fails_for_a_moment(tmp_path: Path) -> None:
    ticks: list[int] = []

    def tick() -> View:
        ticks.append(1)
        if len(ticks) == 2:
            raise OSError(5, "Input/output error")
        return View()

    with watching(tick, tmp_path, rescan_seconds=0.05):
        assert until(lambda: len(ticks) > 3, seconds=3)
