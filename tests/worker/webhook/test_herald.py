from __future__ import annotations

import errno
import json
import logging
import threading
import time
from collections.abc import Iterator

import pytest

from tests.worker.webhook.receiver import SECRET, Heard, receiver
from tests.worker.webhook.test_events import publish
from worker.outbox.places import Places
from worker.outbox.publish import release
from worker.webhook.events import Event, Outbox
from worker.webhook.herald import LEDGER, Herald
from worker.webhook.ledger import Ledger
from worker.webhook.receiver import Receiver

FAILED = {"code": "empty-file", "message": "It is empty."}


@pytest.fixture
def heard() -> Iterator[Heard]:
    with receiver() as heard:
        yield heard


class Told:
    """A herald whose clock stands still until a test moves it."""

    def __init__(self, places: Places, heard: Heard) -> None:
        self._places, self._heard = places, heard
        self.ledger = places.outbox / LEDGER
        self.now = 1000.0
        self.restart()

    def restart(self) -> None:
        self.herald = Herald(
            Outbox(self._places),
            Ledger(self.ledger),
            Receiver(self._heard.url, SECRET),
            monotonic=lambda: self.now,
            clock=lambda: self.now,
        )

    def tick(self, *, later: float = 0.0) -> list[str]:
        """Types and places that were heard in one tick, so many seconds later."""
        self.now += later
        before = len(self._heard.messages)
        self.herald.tick(threading.Event())
        bodies = [json.loads(body) for _, body in self._heard.messages[before:]]
        return [f"{body['type']} {body['data']['folder']}" for body in bodies]


@pytest.fixture
def told(places: Places, heard: Heard) -> Told:
    return Told(places, heard)


def test_what_was_finished_before_the_webhook_was_set_is_not_told(
    places: Places, heard: Heard
) -> None:
    publish(places, "old")
    told = Told(places, heard)
    assert told.tick() == []
    publish(places, "new")
    assert told.tick() == ["shoot.complete new"]


def test_each_edition_is_told_once_to_a_receiver_that_answers(told: Told, places: Places) -> None:
    publish(places, "car")
    assert told.tick() == ["shoot.complete car"]
    assert told.tick() == []
    publish(places, "car", "incomplete", error=FAILED)
    assert told.tick() == ["shoot.incomplete car"]


def test_a_held_shoot_is_told_and_told_again_when_released(told: Told, places: Places) -> None:
    publish(places, "car", "held", error=FAILED)
    assert told.tick() == ["shoot.held .held/car"]
    release(places, "car")
    assert told.tick() == ["shoot.incomplete car"]


def test_a_restart_tells_what_was_finished_meanwhile_and_nothing_twice(
    told: Told, places: Places
) -> None:
    publish(places, "one")
    assert told.tick() == ["shoot.complete one"]
    publish(places, "two")
    told.restart()
    assert told.tick() == ["shoot.complete two"]
    told.restart()
    assert told.tick() == []


def test_a_receiver_that_is_away_is_asked_again_less_and_less_often(
    told: Told, places: Places, heard: Heard
) -> None:
    heard.answers = [503]
    publish(places, "car")
    assert told.tick() == ["shoot.complete car"]
    assert told.tick(later=1.9) == []
    assert told.tick(later=0.2) == ["shoot.complete car"]
    assert told.tick(later=3.9) == []
    heard.answers = [204]
    assert told.tick(later=0.2) == ["shoot.complete car"]
    assert told.tick(later=1000) == []


def test_while_the_receiver_is_away_only_one_event_is_tried_and_none_is_lost(
    told: Told, places: Places, heard: Heard
) -> None:
    heard.answers = [500, 204]
    for shoot in ("a", "b", "c"):
        publish(places, shoot)
    assert len(told.tick()) == 1
    assert sorted(told.tick(later=3)) == [f"shoot.complete {shoot}" for shoot in "abc"]
    assert told.tick(later=1000) == []


def test_an_event_that_is_refused_holds_up_no_other(
    told: Told, places: Places, heard: Heard
) -> None:
    heard.answers = [400, 204]
    publish(places, "a")
    publish(places, "b")
    assert told.tick() == ["shoot.complete a", "shoot.complete b"]
    assert told.herald.deliveries == {"refused": 1, "heard": 1}
    assert told.herald.untold == 1
    assert told.tick(later=1) == []
    assert told.tick(later=2) == ["shoot.complete a"]


def test_an_event_keeps_its_id_over_all_tries_and_restarts(
    told: Told, places: Places, heard: Heard
) -> None:
    heard.answers = [503]
    publish(places, "car")
    told.tick()
    told.restart()
    told.tick()
    first, second = (headers["webhook-id"] for headers, _ in heard.messages)
    assert first == second


def test_the_log_names_shoot_host_and_pause_but_not_the_address(
    told: Told, places: Places, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    heard.answers = [503]
    publish(places, "car")
    told.tick()
    assert "car (shoot.complete) was not heard: 127.0.0.1 answered 503" in caplog.text
    assert "again in 2 s" in caplog.text
    assert "hidden" not in caplog.text


def test_an_outbox_that_cannot_be_read_costs_a_line_in_the_log_and_no_event(
    told: Told, places: Places, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(outbox: Outbox) -> list[Event]:
        raise OSError(errno.EIO, "Input/output error")

    publish(places, "car")
    with monkeypatch.context() as only_here, caplog.at_level(logging.ERROR):
        only_here.setattr(Outbox, "events", fail)
        with told.herald.telling(every_seconds=9, last_word=True):
            pass
    assert "the webhook has to wait" in caplog.text
    assert told.tick() == ["shoot.complete car"]


def test_a_ledger_that_cannot_be_written_has_nothing_told_twice_before_a_restart(
    told: Told, places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    publish(places, "a")
    publish(places, "b")
    before = told.ledger.read_bytes()
    told.ledger.unlink()
    told.ledger.mkdir()
    assert told.tick() == ["shoot.complete a", "shoot.complete b"]
    assert told.tick() == []
    assert told.herald.untold == 0
    assert f"a restart will tell of a again: {told.ledger} cannot be written" in caplog.text
    assert "Make room" in caplog.text
    told.ledger.rmdir()
    told.ledger.write_bytes(before)
    told.restart()
    assert told.tick() == ["shoot.complete a", "shoot.complete b"]


def test_the_last_word_is_said_when_the_block_ends(
    told: Told, places: Places, heard: Heard
) -> None:
    with told.herald.telling(every_seconds=60, last_word=True):
        publish(places, "car")
    assert len(heard.messages) == 1


def test_the_herald_follows_the_outbox_in_the_background(
    told: Told, places: Places, heard: Heard
) -> None:
    with told.herald.telling(every_seconds=0.01, last_word=False):
        publish(places, "car")
        deadline = time.monotonic() + 30
        while not heard.messages and time.monotonic() < deadline:
            time.sleep(0.02)
    assert len(heard.messages) == 1
