"""The line on the bench: alone in a process, and through Celery on Redis in others."""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

from bench_frames import Frames

from worker.crew import Crew
from worker.errors import CycloramaError
from worker.line.memory import keep_memory
from worker.line.service import make_line
from worker.outbox.manifest import MANIFEST, read_manifest
from worker.queue.app import JobQueue, connect
from worker.queue.broker import EmbeddedRedis
from worker.queue.messages import JobMessage
from worker.queue.roster import workers
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
    """The line without Celery, in a process that does nothing else, as a worker's does; fed by as
    many threads as a worker has jobs."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._ours, theirs = multiprocessing.get_context("spawn").Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(settings, url, theirs), daemon=True
        )
        self._process.start()
        theirs.close()

    def seconds(self, frames: Frames) -> float:
        """For all frames, from the first message to the last published shoot."""
        self._ours.send([message.model_dump(mode="json") for message in frames.messages()])
        try:
            return float(self._ours.recv())
        except EOFError as error:
            raise BenchError("the line's process ended; see above") from error

    def close(self) -> None:
        self._ours.close()
        self._process.join()


def _serve(settings: Settings, url: str, asked: Connection) -> None:
    """Makes what it is sent, until the other end is closed."""
    keep_memory()
    line, _, batcher = make_line(settings, connect(url))
    with contextlib.suppress(EOFError):
        while True:
            payloads = asked.recv()
            _empty(settings.outbox)
            began = time.perf_counter()
            with ThreadPoolExecutor(settings.jobs) as jobs:
                list(jobs.map(line.handle, payloads))
            seconds = time.perf_counter() - began
            _check(settings.outbox, [JobMessage.model_validate(each) for each in payloads])
            asked.send(seconds)
    batcher.close()


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
        """Ends the workers; returns the most memory that one of them had, in MB; 0 where the system
        does not tell."""
        peak = max(map(peak_mb, self._crew.pids), default=0.0)
        self._crew.stop()
        return peak


def peak_mb(pid: int) -> float:
    """The most memory that a process had at a time, in MB."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _empty(outbox: Path) -> None:
    shutil.rmtree(outbox, ignore_errors=True)
    (outbox / ".staging").mkdir(parents=True)


def _check(outbox: Path, messages: list[JobMessage]) -> None:
    for message in messages:
        manifest = read_manifest(outbox / message.shoot)
        if manifest is None or manifest.status != "complete":
            raise BenchError(f"{message.shoot} was not made whole; nothing was measured")
        if len(manifest.frames) != len(message.frames):
            raise BenchError(f"{message.shoot} lacks frames; nothing was measured")
