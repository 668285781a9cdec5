from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from redis import Redis

from worker.errors import LeaseLost
from worker.line import pulse as pulse_module
from worker.line.pulse import STARVED_SECONDS, Ending, Limits, Pulse
from worker.line.service import _beat
from worker.line.stopwatch import Stopwatch
from worker.line.vigil import Vigil
from worker.queue.app import QUEUE, connect
from worker.queue.broker import EmbeddedRedis
from worker.queue.health import REPLACE_ME, HealthFile, healths
from worker.queue.roster import WorkerBeat, workers

LIMITS = Limits(jobs=2, frame_seconds=100)


class IdleLine:
    """A line as its pulse sees it."""

    def __init__(self) -> None:
        self.vigil, self.shoots, self.steps = Vigil(), set[str](), 0
        self.device_lost = False


class Bedside:
    def __init__(self, redis: Redis, state: Path, limits: Limits = LIMITS) -> None:
        self.line, self.state, self.redis = IdleLine(), state, redis
        self.pulse = Pulse(
            redis,
            self.line,  # type: ignore[arg-type]
            lambda: WorkerBeat("a-1", "cpu", "v1"),
            file=HealthFile(state, "a-1"),
            limits=limits,
        )

    def trouble(self) -> str:
        """What the worker says of itself, in the roster and in its file alike."""
        (sign,), (health,) = workers(self.redis), healths(self.state)
        assert sign.trouble == health.trouble
        return sign.trouble


@pytest.fixture
def bedside(redis: Redis, tmp_path: Path) -> Bedside:
    return Bedside(redis, tmp_path)


def test_an_idle_worker_is_ready_and_alive_for_as_long_as_one_likes(bedside: Bedside) -> None:
    assert [bedside.pulse.tick(1000) for _ in range(3)] == [None] * 3
    (health,) = healths(bedside.state)
    assert (health.ready, health.alive, health.trouble) == (True, True, "")
    assert bedside.pulse.complaint() == ""


def test_a_worker_whose_device_is_lost_ends_on_the_spot(bedside: Bedside) -> None:
    bedside.line.device_lost = True
    ending = bedside.pulse.tick(1)
    assert ending
    assert ending.at_once
    assert bedside.trouble() == "its device computes nothing any more"
    assert bedside.pulse.complaint() == ending.reason
    assert not healths(bedside.state)[0].alive


def test_a_frame_that_takes_long_is_told_and_one_that_hangs_is_blamed(bedside: Bedside) -> None:
    blamed: list[str] = []
    watch = Stopwatch()
    with (
        bedside.line.vigil.over("car/01.jpg", watch, blame=lambda: blamed.append("01")),
        watch.stage("refine"),
    ):
        assert bedside.pulse.tick(70) is None
        assert bedside.trouble() == "car/01.jpg is in work for 70 s (refine)"
        assert blamed == []
        ending = bedside.pulse.tick(31)
    assert ending
    assert ending.at_once
    assert "car/01.jpg is in work for 101 s (refine)" in ending.reason
    assert blamed == ["01"]
    assert not healths(bedside.state)[0].alive


@pytest.mark.parametrize("error", [OSError("the share is away"), LeaseLost("somebody has it")])
def test_a_worker_whose_frame_hangs_ends_even_if_that_cannot_be_noted(
    bedside: Bedside, error: Exception
) -> None:
    def blame() -> None:
        raise error

    with bedside.line.vigil.over("car/01.jpg", Stopwatch(), blame=blame):
        ending = bedside.pulse.tick(101)
    assert ending
    assert ending.at_once
    assert not healths(bedside.state)[0].alive


def test_a_worker_that_takes_no_job_although_it_could_is_deaf(
    bedside: Bedside, redis: Redis
) -> None:
    redis.lpush(QUEUE, "a job")
    bedside.line.shoots.add("car")  # there is room for a second one
    assert bedside.pulse.tick(STARVED_SECONDS) is None
    assert "none is taken" in bedside.trouble()
    ending = bedside.pulse.tick(1)
    assert ending
    assert not ending.at_once


def test_a_worker_that_gets_on_or_has_no_room_is_not_deaf(bedside: Bedside, redis: Redis) -> None:
    redis.lpush(QUEUE, "a job")
    for _ in range(5):
        bedside.line.steps += 1
        assert bedside.pulse.tick(STARVED_SECONDS) is None
    bedside.line.shoots |= {"car", "van"}
    assert bedside.pulse.tick(90) is None
    assert bedside.trouble() == ""


def test_a_worker_that_finishes_nothing_of_what_it_has_is_stuck(bedside: Bedside) -> None:
    bedside.line.shoots.add("car")
    assert bedside.pulse.tick(320) is None
    ending = bedside.pulse.tick(1)
    assert ending
    assert ending.at_once
    assert ending.reason == "nothing was finished for 321 s"


def test_only_the_time_since_the_last_step_makes_a_worker_stuck(bedside: Bedside) -> None:
    bedside.line.shoots.add("car")
    for _ in range(3):
        assert bedside.pulse.tick(300) is None
        bedside.line.steps += 1
        assert bedside.pulse.tick(300) is None
    assert bedside.pulse.tick(320) is None
    assert bedside.pulse.tick(1)


def test_a_worker_above_its_memory_ceiling_ends_in_good_order(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bedside = Bedside(redis, tmp_path, Limits(jobs=2, frame_seconds=100, memory_bytes=900 << 20))
    monkeypatch.setattr(pulse_module, "resident_bytes", lambda: 900 << 20)
    assert bedside.pulse.tick(3) is None
    monkeypatch.setattr(pulse_module, "resident_bytes", lambda: 901 << 20)
    ending = bedside.pulse.tick(3)
    assert ending
    assert not ending.at_once
    assert ending.reason == "it holds 901 MB of memory, more than 900"


def test_without_redis_a_worker_is_alive_and_not_ready(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    server.start()
    bedside = Bedside(connect(server.url), tmp_path)
    server.stop()
    assert bedside.pulse.tick(2 * STARVED_SECONDS) is None, "nobody knows of jobs that wait"
    (health,) = healths(tmp_path)
    assert (health.ready, health.alive, health.trouble) == (False, True, "Redis does not answer")


def test_the_file_is_json_for_probes_of_any_kind(bedside: Bedside) -> None:
    bedside.pulse.tick(3)
    text = (bedside.state / "health" / "a-1.json").read_text()
    assert json.loads(text) == {"worker": "a-1", "ready": True, "alive": True, "trouble": ""}


class Left(BaseException):
    """Ends the process, as far as the beat can tell."""


class Beat:
    """The beat of a worker, and what it did to the process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stop, self.worn = threading.Event(), threading.Event()
        self.looks, self.told, self.codes = list[float](), list[tuple[int, int]](), list[int]()
        monkeypatch.setattr("worker.line.service.BEAT_SECONDS", 0.01)
        monkeypatch.setattr(os, "kill", lambda *given: self.told.append(given))
        monkeypatch.setattr(os, "_exit", self._leave)

    def _leave(self, code: int) -> None:
        self.codes.append(code)
        raise Left

    def run(self, *found: Ending | Exception | None) -> None:
        """Looks that find this, one after another; the last one is the end."""
        answers = iter(found)

        def tick(seconds: float) -> Ending | None:
            self.looks.append(seconds)
            if len(self.looks) == len(found):
                self.stop.set()
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        _beat(tick, self.stop, self.worn)


@pytest.fixture
def heart(monkeypatch: pytest.MonkeyPatch) -> Beat:
    return Beat(monkeypatch)


def test_a_look_at_the_worker_that_fails_is_not_the_last(
    heart: Beat, caplog: pytest.LogCaptureFixture
) -> None:
    heart.run(OSError("Stale file handle"), None)
    assert len(heart.looks) == 2
    assert "Stale file handle" in caplog.text


def test_a_worker_that_is_to_finish_is_told_so_once_and_looked_after_until_it_has(
    heart: Beat,
) -> None:
    heart.run(None, *[Ending("it holds too much", at_once=False)] * 3)
    assert heart.told == [(os.getpid(), signal.SIGTERM)]
    assert (len(heart.looks), heart.worn.is_set(), heart.codes) == (4, True, [])


def test_a_worker_that_cannot_finish_ends_on_the_spot_even_if_it_was_to_finish(
    heart: Beat,
) -> None:
    fat, stuck = Ending("it holds too much", at_once=False), Ending("it hangs", at_once=True)
    with pytest.raises(Left):
        heart.run(fat, stuck, None)
    assert heart.codes == [REPLACE_ME]


def test_the_time_for_which_a_worker_was_frozen_is_held_against_nobody(
    heart: Beat, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter([0.0, 0.01, 3600.0, 3600.01])
    clock = SimpleNamespace(monotonic=lambda: next(moments))
    monkeypatch.setattr("worker.line.service.time", clock)
    heart.run(None, None, None)
    assert heart.looks == pytest.approx([0.01, 0.02, 0.01])
