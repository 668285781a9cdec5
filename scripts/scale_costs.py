"""What Redis and the watcher's look cost here: measured, for the simulation to count with."""

from __future__ import annotations

import json
import shutil
import statistics
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_line import BenchError
from endure import TURN, small_studio
from redis import Redis

from worker.crew import Crew
from worker.intake.watcher import Watcher
from worker.outbox.manifest import MANIFEST
from worker.queue.app import JobQueue
from worker.queue.leases import Leases, queued
from worker.queue.messages import JobMessage
from worker.queue.roster import WorkerBeat, beat, workers
from worker.run import make_watcher
from worker.settings import Settings
from worker.shoots import Frame, Shoot, Source

TIMES = 1000
LOOKS = 3
IDLE_SECONDS = 3.0


@dataclass(frozen=True)
class RedisCosts:
    """Processor time that Redis needs, in seconds, how often it is asked, and its memory."""

    command: float
    """Any plain one, such as a sign of life."""
    renewal: float
    standing: float
    """To tell the watcher where one shoot stands."""
    commands_a_shoot: float
    """All that a real worker asks and says for one shoot of 16 frames."""
    commands_an_idle_second: float
    """Of one worker that waits for work, its signs of life included."""
    connections: int
    """Of one worker."""
    bytes_queued: float
    """A shoot that waits in the queue, with its note."""


@dataclass(frozen=True)
class LookCosts:
    """The watcher's tick over an inbox in which all shoots are done."""

    shoots: int
    """In the inbox that was looked at."""
    first_seconds: float
    """The first tick, which reads every manifest."""
    seconds: float
    """A later one."""
    megabytes: float
    """That the watcher's Python objects took at most."""


def redis_costs(root: Path, url: str, redis: Redis, *, shoots: int) -> RedisCosts:
    """Drives the real leases and queue, and one real worker over ``shoots`` shoots."""
    leases, queue = Leases(redis, seconds=3600), JobQueue(url, redis)
    messages = [JobMessage.of(a_shoot(f"cost-{number}")) for number in range(TIMES)]
    before = _memory(redis)
    for message in messages:
        leases.write(message.shoot, queued(message, at=0.0))
        queue.send(message, at=0.0)
    held = (_memory(redis) - before) / TIMES
    names = [message.shoot for message in messages]
    began = _cpu(redis)
    for start in range(0, TIMES, 500):
        leases.standings(names[start : start + 500])
    standing = (_cpu(redis) - began) / TIMES
    lease, sign = leases.acquire("cost"), WorkerBeat("cost", "cpu", "tiny", shoots=names[:2])
    assert lease
    began = _cpu(redis)
    for _ in range(TIMES):
        lease.renew()
    renewal = (_cpu(redis) - began) / TIMES
    began = _cpu(redis)
    for _ in range(TIMES):
        beat(redis, sign)
    command = (_cpu(redis) - began) / TIMES
    redis.flushall()
    return RedisCosts(command, renewal, standing, *_of_a_worker(root, url, redis, shoots), held)


def _of_a_worker(root: Path, url: str, redis: Redis, shoots: int) -> tuple[float, float, int]:
    """Commands for a shoot and for an idle second, and connections, of a real worker."""
    settings = small_studio(root, shoots)
    ours = len(redis.client_list())
    crew, queue = Crew(url, settings, count=1), JobQueue(url, redis)
    crew.start()
    try:
        deadline = time.monotonic() + 120
        while not workers(redis):
            if time.monotonic() > deadline:
                raise BenchError(f"no worker came up; see {settings.state / 'worker.log'}")
            time.sleep(0.1)
        time.sleep(1)  # it is still connecting
        before, began = _commands(redis), time.perf_counter()
        time.sleep(IDLE_SECONDS)
        idle = (_commands(redis) - before) / (time.perf_counter() - began)
        folders = sorted(settings.inbox.iterdir())
        before = _commands(redis)
        for folder in folders:
            queue.send(JobMessage.of(a_shoot(folder.name, folder=folder)), at=0.0)
        _wait_for([settings.outbox / folder.name / MANIFEST for folder in folders])
        busy = (_commands(redis) - before) / shoots
        connections = len(redis.client_list()) - ours
    finally:
        crew.stop()
    return busy, idle, connections


def look_costs(root: Path, url: str, *, shoots: int) -> LookCosts:
    """Ticks of the real watcher over an inbox of so many shoots, all done. ``root`` has a studio in
    which a worker has made some; their manifest serves for all."""
    made = json.loads(next((root / "work/outbox").glob(f"*/{MANIFEST}")).read_bytes())
    settings = small_studio(root / "look", shoots)
    for path in settings.inbox.iterdir():
        _deliver(path, settings, made)
    seconds = _looks(make_watcher(settings, url)[0])
    tracemalloc.start()  # by itself, because it makes everything slow
    _looks(make_watcher(settings, url)[0])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    shutil.rmtree(root / "look")
    return LookCosts(shoots, seconds[0], statistics.median(seconds[1:]), most / 1e6)


def _looks(watcher: Watcher) -> list[float]:
    """Seconds of some ticks, the first of which reads every manifest."""
    seconds = []
    for number in range(LOOKS + 1):
        began = time.perf_counter()
        view = watcher.tick(float(number * 60), time.time())
        seconds.append(time.perf_counter() - began)
        if view.open:
            raise BenchError(f"{view.open[0].shoot.name} does not count as done")
    return seconds


def _deliver(shoot: Path, settings: Settings, made: dict[str, Any]) -> None:
    """A manifest in the outbox that answers for the photos of ``shoot``."""
    for row in made["frames"]:
        stat = (shoot / f"{row['name']}.jpg").stat()
        path = f"{shoot.name}/{row['name']}.jpg"
        row["source"] |= {"path": path, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    folder = settings.outbox / shoot.name
    folder.mkdir()
    (folder / MANIFEST).write_text(json.dumps(made | {"shoot": shoot.name}))


def a_shoot(name: str, *, folder: Path | None = None) -> Shoot:
    """A shoot of 16 frames: of the photos in ``folder``, or of photos that are nowhere."""

    def state(angle: int) -> tuple[int, int]:
        if folder is None:
            return 500_000, 1_700_000_000_000_000_000 + angle
        stat = (folder / f"{angle:02}.jpg").stat()
        return stat.st_size, stat.st_mtime_ns

    return Shoot(
        name,
        tuple(
            Frame(f"{angle:02}", angle, Source(f"{name}/{angle:02}.jpg", *state(angle)))
            for angle in range(1, TURN + 1)
        ),
    )


def _wait_for(paths: list[Path]) -> None:
    deadline = time.monotonic() + 300
    while not all(path.exists() for path in paths):
        if time.monotonic() > deadline:
            raise BenchError(f"{sum(p.exists() for p in paths)} of {len(paths)} shoots were made")
        time.sleep(0.05)


def _cpu(redis: Redis) -> float:
    info: dict[str, Any] = redis.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def _commands(redis: Redis) -> int:
    info: dict[str, Any] = redis.info("stats")
    return int(info["total_commands_processed"])


def _memory(redis: Redis) -> int:
    info: dict[str, Any] = redis.info("memory")
    return int(info["used_memory"])
