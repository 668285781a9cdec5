"""``deploy/webhook.md``: its receiver is run, and its line is told of a real shoot."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.parts import drop_photos
from tests.studio import make_studio
from tests.worker.webhook.receiver import SECRET
from tests.worker.webhook.test_events import publish
from worker.outbox.places import Places
from worker.webhook.events import Outbox

PAGE = (Path(__file__).parent.parent / "deploy" / "webhook.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[0]


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def receiver_of_the_page(folder: Path) -> Iterator[tuple[str, Path]]:
    """Its address and the file with what it prints."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    heard = folder / "heard.txt"
    (folder / "receiver.py").write_text(block("python"), encoding="utf-8")
    with heard.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(folder / "receiver.py")],
            env=os.environ | {"WEBHOOK_SECRET": SECRET, "PORT": str(port)},
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
    try:
        deadline = time.monotonic() + 60
        while not answers(port):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/", heard
    finally:
        process.terminate()
        process.wait()


def test_the_example_has_the_fields_of_a_real_event(places: Places) -> None:
    error = {"code": "empty-file", "message": "Copy it again"}
    publish(places, "4711-golf", "incomplete", error=error)
    (event,) = Outbox(places).events()
    real, shown = json.loads(event.body), json.loads(block("json"))
    assert shown.keys() == real.keys()
    assert shown["data"].keys() == real["data"].keys()
    assert shown["data"]["failed"][0].keys() == real["data"]["failed"][0].keys()


def test_the_receiver_refuses_what_is_not_signed(tmp_path: Path) -> None:
    with receiver_of_the_page(tmp_path) as (url, heard):
        for headers in ({}, {"webhook-id": "1", "webhook-signature": "v1,AAAA"}):
            request = urllib.request.Request(url, data=b'{"type": "shoot.held"}', headers=headers)
            with pytest.raises(urllib.error.HTTPError, match="401") as caught:
                urllib.request.urlopen(request, timeout=20)
            caught.value.close()
    assert heard.read_text() == ""


@pytest.mark.line
@pytest.mark.timeout(300)
def test_the_receiver_hears_of_a_shoot_that_the_line_has_made(tmp_path: Path) -> None:
    studio = make_studio(tmp_path / "studio", CYCLORAMA_WEBHOOK_SECRET=SECRET)
    drop_photos(studio.inbox / "car", 2)
    with receiver_of_the_page(tmp_path) as (url, heard):
        done = studio.cyclorama("run", "--once", seconds=280, CYCLORAMA_WEBHOOK_URL=url)
        assert done.returncode == 0, done.stderr
        assert re.fullmatch(r"[0-9a-f]{32} shoot\.complete\n", heard.read_text())
