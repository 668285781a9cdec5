"""The command line of a night: what it takes, what it prints, how it ends."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from redis import Redis

from tests.carvana import write_cars
from tests.parts import drop_photos, shoot_in, tiny_models
from worker.night.cli import arguments, main, shoots_wait
from worker.night.material import NightOptions
from worker.outbox.places import Places
from worker.queue.app import JobQueue
from worker.queue.broker import EmbeddedRedis
from worker.queue.messages import JobMessage
from worker.queue.roster import WorkerBeat, beat, leave
from worker.settings import Settings


@pytest.fixture
def studio(no_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A studio without a single correction; the night's process keeps its priority."""
    monkeypatch.setattr("worker.night.courtesy.lowest_priority", lambda: None)
    tiny_models(no_settings / ".cyclorama" / "models")
    write_cars(no_settings / "base", ["a", "b"], size=(32, 48))
    shelf = no_settings / "corrections" / ".training"
    shelf.mkdir(parents=True)
    (shelf / "holdout.txt").write_text("a\n")
    return no_settings


def test_what_is_not_given_is_as_a_night_does_it_by_itself() -> None:
    given, own = vars(arguments([])), asdict(NightOptions())
    assert given["pictures"] == own["replay"]
    assert given["booths"] == own["booths"]
    assert (given["steps"], given["batch"], given["crop"]) == (None, own["batch"], own["crop"])
    settings = ("replay", "minutes", "at_least", "device")
    assert [given[name] for name in settings] == [None] * 4, "the settings say"


@pytest.mark.usefixtures("studio")
def test_a_night_without_new_corrections_is_skipped_and_all_is_well(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--replay", "base", "--device", "cpu"]) == 0
    assert capsys.readouterr().out == "skipped: 0 new corrections; 6 are worth a night\n"


@pytest.mark.usefixtures("studio")
def test_a_program_gets_json_and_the_threshold_that_it_gave(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--replay", "base", "--at-least", "2", "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "outcome": "skipped",
        "reason": "0 new corrections; 2 are worth a night",
        "folder": None,
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "there is no holdout"),
        (["--replay", "nowhere"], "nowhere is not in the Carvana layout"),
        (["--replay", "base", "--device", "toaster"], "toaster"),
        (["--replay", "base", "--minutes", "-1"], "retrain_minutes"),
    ],
)
@pytest.mark.usefixtures("studio")
def test_what_cannot_begin_is_wrong_usage_and_says_why(
    capsys: pytest.CaptureFixture[str], given: list[str], words: str
) -> None:
    assert main(given) == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith("error: ")) == ("", True)
    assert words in err


def test_shoots_wait_while_one_is_queued_or_in_work(
    places: Places, redis: Redis, redis_server: EmbeddedRedis
) -> None:
    settings = Settings(inbox=places.inbox, broker_url=redis_server.url)
    wait = shoots_wait(settings)
    assert not wait()
    drop_photos(places.inbox / "car", 1)
    message = JobMessage.of(shoot_in(places.inbox, "car"))
    JobQueue(redis_server.url, redis).send(message, at=time.time())
    assert wait()
    redis.flushall()
    beat(redis, WorkerBeat("w-1", "cpu", "first"))
    assert not wait(), "a worker that has nothing to do"
    beat(redis, WorkerBeat("w-1", "cpu", "first", shoots=["car"]))
    assert wait()
    leave(redis, "w-1")
    assert not wait()


def test_where_no_redis_answers_nobody_waits(tmp_path: Path) -> None:
    wait = shoots_wait(Settings(state=tmp_path / "state"))
    assert not wait()
    assert not (tmp_path / "state").exists(), "it only asks"
