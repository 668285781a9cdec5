from __future__ import annotations

import json
import logging
import sys
import threading

import pytest

from worker.logs import JsonFormatter, about


def line(message: str) -> dict[str, str]:
    record = logging.LogRecord("worker.x", logging.INFO, "x.py", 1, message, None, None)
    found: dict[str, str] = json.loads(JsonFormatter().format(record))
    return found


def test_a_line_is_one_json_object_that_says_what_it_is_about() -> None:
    with about(shoot="4711-golf", job="j"), about(frame="IMG_01"):
        inner = line("made\nwhole")
    assert (inner["level"], inner["logger"], inner["message"]) == (
        "info",
        "worker.x",
        "made\nwhole",
    )
    assert (inner["shoot"], inner["frame"], inner["job"]) == ("4711-golf", "IMG_01", "j")


def test_what_a_line_is_about_ends_with_its_block() -> None:
    with about(shoot="one"):
        with about(frame="01"):
            pass
        assert "frame" not in line("x")
    assert "shoot" not in line("x")


def test_threads_do_not_see_each_others_shoots() -> None:
    seen: list[dict[str, str]] = []
    with about(shoot="mine"):
        thread = threading.Thread(target=lambda: seen.append(line("x")))
        thread.start()
        thread.join()
    assert "shoot" not in seen[0]


def test_an_error_brings_its_trace_in_the_same_line() -> None:
    try:
        raise ValueError("odd")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "bad", None, sys.exc_info())
    assert "ValueError: odd" in json.loads(JsonFormatter().format(record))["exception"]


@pytest.mark.parametrize("name", ["shoot", "frame", "job"])
def test_what_a_line_is_about_never_hides_what_it_says(name: str) -> None:
    with about(**{name: "v"}):
        assert set(line("x")) == {"at", "level", "logger", "thread", "message", name}
