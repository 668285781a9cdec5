"""Flower beside a worker at work, as the page on monitoring tells to start it."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.deployed import DEPLOY
from tests.parts import drop_photos, shoot_in
from tests.ports import free_port
from tests.studio import make_studio
from unet_core.store import ModelStore
from worker.queue.app import TASK, JobQueue, connect
from worker.queue.broker import EmbeddedRedis
from worker.queue.messages import JobMessage

COMMAND = (
    "FLOWER_UNAUTHENTICATED_API=true "
    'celery --broker "$CYCLORAMA_BROKER_URL" flower --address=127.0.0.1'
)


@pytest.fixture
def port(redis_server: EmbeddedRedis, tmp_path: Path) -> Iterator[int]:
    """Where Flower answers."""
    if importlib.util.find_spec("flower") is None:
        pytest.skip("Flower is not installed: pip install flower")
    assert COMMAND in (DEPLOY / "monitoring/README.md").read_text(encoding="utf-8")
    port = free_port()
    with (tmp_path / "flower.log").open("wb") as log:
        flower = subprocess.Popen(
            f"exec env {COMMAND} --port={port}",
            shell=True,
            cwd=tmp_path,
            env=os.environ
            | {
                "CYCLORAMA_BROKER_URL": redis_server.url,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONWARNINGS": "ignore",
            },
            stdout=log,
            stderr=log,
        )
    yield port
    flower.terminate()
    flower.wait(30)


def ask(port: int, path: str) -> dict[str, Any]:
    """What Flower answers; nothing while it does not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (urllib.error.URLError, OSError, ValueError):
        return {}


@pytest.mark.line
@pytest.mark.usefixtures("redis")
def test_flower_names_the_worker_and_the_shoot_that_it_made(
    tmp_path: Path, port: int, redis_server: EmbeddedRedis, tiny_store: ModelStore
) -> None:
    url = redis_server.url
    studio = make_studio(
        tmp_path / "studio",
        CYCLORAMA_BROKER_URL=url,
        CYCLORAMA_MODELS=str(tiny_store.folder),
        CYCLORAMA_DEVICE="cpu",
    )
    drop_photos(studio.inbox / "car", 2)
    with studio.running("worker") as worker:
        studio.wait_for(lambda: ask(port, "/workers?json=1").get("data", []) != [], seconds=60)
        job = JobMessage.of(shoot_in(studio.inbox, "car"))
        JobQueue(url, connect(url)).send(job, at=0)
        studio.wait_for(lambda: ask(port, "/api/tasks").get(job.job, {}).get("state") == "SUCCESS")
        task = ask(port, "/api/tasks")[job.job]
        (shown,) = ask(port, "/workers?json=1")["data"]
        ordered = ask(port, "/api/workers?refresh=1")
        worker.send_signal(signal.SIGINT)
        assert worker.wait(60) == 0, "Ctrl-C is no failure"
    assert task["name"] == TASK
    assert task["worker"] == shown["hostname"]
    assert shown["hostname"].endswith(f"-{worker.pid}")
    assert shown["task-succeeded"] == 1
    assert ordered == {}, "workers take no orders, and so answer no questions"
