from __future__ import annotations

import json
from typing import Any

import pytest

from worker.errors import MessageError
from worker.queue.messages import JobMessage, parse
from worker.shoots import Source, group

SHOOT = group([Source("car/01.jpg", 10, 5), Source("car/Été 2.png", 20, 6)])[0]


def payload(**changes: Any) -> dict[str, Any]:
    return JobMessage.of(SHOOT).model_dump(mode="json") | changes


def frame(**changes: Any) -> dict[str, Any]:
    good = {"name": "01", "angle": 1, "path": "car/01.jpg", "size": 10, "mtime_ns": 5}
    return payload(frames=[good | changes])


def test_a_message_survives_the_way_through_json() -> None:
    message = JobMessage.of(SHOOT, attempt=3, retry=True)
    arrived = parse(json.loads(json.dumps(message.model_dump(mode="json"))))
    assert arrived == message
    assert (arrived.shoot, arrived.attempt, arrived.retry) == ("car", 3, True)
    assert arrived.to_frames() == list(SHOOT.frames)


def test_every_message_is_a_job_of_its_own() -> None:
    assert JobMessage.of(SHOOT).job != JobMessage.of(SHOOT).job


@pytest.mark.parametrize(
    "wrong",
    [
        payload(shoot="../car"),
        payload(shoot=".."),
        payload(shoot=".staging"),
        payload(shoot="a/b"),
        payload(shoot="a\\b"),
        payload(shoot=""),
        payload(shoot="a\0b"),
        payload(v=2),
        payload(job="1"),
        payload(job="../../../../etc/passwd"),
        payload(attempt=0),
        payload(extra=1),
        payload(frames="all"),
        frame(path="../secret.jpg"),
        frame(path="car/../../secret.jpg"),
        frame(path="/etc/passwd"),
        frame(path="car/deep/01.jpg"),
        frame(path="car\\01.jpg"),
        frame(path="car/01\0.jpg"),
        frame(path=""),
        frame(name="../01"),
        frame(name="a/b"),
        frame(name=".rows"),
        frame(name=""),
        frame(name="x" * 256),
        frame(size=-1),
        frame(angle=-1),
        frame(extra=1),
        None,
        [],
        "car",
        {},
    ],
)
def test_a_message_that_is_not_just_as_we_write_them_is_refused(wrong: object) -> None:
    with pytest.raises(MessageError, match="no job of ours"):
        parse(wrong)


def test_a_refusal_names_the_field() -> None:
    with pytest.raises(MessageError, match=r"frames\.0\.path"):
        parse(frame(path="../secret.jpg"))
