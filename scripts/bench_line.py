"""The line on the bench: in this process, and through Celery on Redis in processes of its own."""

from __future__ import annotations

import contextlib
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench_frames import Frames
from redis import Redis

from worker.errors import CycloramaError
from worker.line.service import make_line
from worker.outbox.manifest import MANIFEST, read_manifest
from worker.queue.app import JobQueue, connect
from worker.queue.broker import EmbeddedRedis
from worker.queue.messages import JobMessage
from worker.queue.roster import workers
from worker.run import Crew
from worker.settings import Settings

START_SECONDS = 120.0
STUCK_SECONDS = 300.0


class BenchError(CycloramaError):
    """The line did not do what is to be measured."""


@contextlib.contextmanager
def redis_server(state: Path) -> Iterator[str]:
    """The URL of a Redis of the bench's own."""
    server = EmbeddedRedis(state)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


class InProcess:
    """The line in this process, fed by as many threads as a worker has jobs."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings = settings
        self._line, _, self._batcher = make_line(settings, redis)

    def seconds(self, frames: Frames) -> float:
        """For all frames, from the first message to the last published shoot."""
        _empty(self._settings.outbox)
        payloads = [message.model_dump(mode="json") for message in frames.messages()]
        began = time.perf_counter()
        with ThreadPoolExecutor(self._settings.jobs) as jobs:
            list(jobs.map(self._line.handle, payloads))
        seconds = time.perf_counter() - began
        _check(self._settings.outbox, frames.messages())
        return seconds

    def close(self) -> None:
        self._batcher.close()


class ThroughCelery:
    """Workers as ``cyclorama run`` starts them; messages go in by the watcher's queue."""

    def __init__(self, settings: Settings, url: str, *, count: int = 1) -> None:
        self._settings, self._redis = settings, connect(url)
        self._queue = JobQueue(url, self._redis)
        self._crew = Crew(url, settings, count=count)
        self._crew.start()
        deadline = time.monotonic() + START_SECONDS
        while len(workers(self._redis)) < count:
            if time.monotonic() > deadline:
                self._crew.stop()
                raise BenchError(f"no worker came up; see {settings.state / 'worker.log'}")
            self._crew.tend()
            time.sleep(0.1)

    def seconds(self, frames: Frames) -> float:
        """For all frames, from the first message to the last published shoot."""
        outbox, messages = self._settings.outbox, frames.messages()
        _empty(outbox)
        manifests = [outbox / message.shoot / MANIFEST for message in messages]
        began = time.perf_counter()
        for message in messages:
            self._queue.send(message, at=time.time())
        while not all(path.exists() for path in manifests):
            if time.perf_counter() - began > STUCK_SECONDS:
                raise BenchError(f"no end; see {self._settings.state / 'worker.log'}")
            time.sleep(0.01)
        seconds = time.perf_counter() - began
        _check(outbox, messages)
        return seconds

    def close(self) -> float:
        """Ends the workers; returns the most memory that one of them had, in MB."""
        self._crew.stop()
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        return peak / (1e6 if sys.platform == "darwin" else 1e3)


def _empty(outbox: Path) -> None:
    shutil.rmtree(outbox, ignore_errors=True)
    outbox.mkdir(parents=True)


def _check(outbox: Path, messages: list[JobMessage]) -> None:
    for message in messages:
        manifest = read_manifest(outbox / message.shoot)
        if manifest is None or manifest.status != "complete":
            raise BenchError(f"{message.shoot} was not made whole; nothing was measured")
        if len(manifest.frames) != len(message.frames):
            raise BenchError(f"{message.shoot} lacks frames; nothing was measured")
