"""Whether the line bears many: a large inbox, and thousands of frames through one worker.

    .venv/bin/python scripts/endure.py [--shoots N] [--frames N] [--long N] [--json]

Photos are small and the network is tiny, so that what is measured is all around it: the time and
memory of the watcher's tick over N shoots of 16, the worker's time and memory over its frames, what
a watcher takes when all is done, and the memory for one long shoot beside as many frames in shoots
of 16.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from bench_line import BenchError, peak_mb, redis_server
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from unet_core.checkpoint import Card
from unet_core.model import UNet
from unet_core.store import ModelStore
from worker.crew import Crew
from worker.errors import CycloramaError
from worker.intake.scan import look
from worker.intake.watcher import rest_seconds
from worker.queue.app import JobQueue, connect
from worker.queue.messages import JobMessage
from worker.queue.roster import workers
from worker.run import make_watcher
from worker.settings import Settings, read_settings
from worker.shoots import group

err = Console(stderr=True)
TURN = 16
PHOTO_PX = (96, 64)
LONG_PHOTO_PX = (480, 320)
IDLE_LOOKS = 5
FEWEST_TICKS = 3
SAMPLES = 20


def main() -> int:
    """Exit code 0: measured; 1: the line failed; 2: wrong usage."""
    parser = argparse.ArgumentParser(prog="endure.py", description=__doc__.splitlines()[0])
    parser.add_argument("--shoots", type=int, default=5000, help="in the watched inbox")
    parser.add_argument("--frames", type=int, default=10000, help="through one worker")
    parser.add_argument("--long", type=int, default=500, help="frames of the long shoot")
    parser.add_argument("--json", action="store_true", help="print JSON for a program")
    options = parser.parse_args()
    if min(options.shoots, options.frames, options.long) < 1:
        parser.error("--shoots, --frames and --long must be 1 or more")
    with tempfile.TemporaryDirectory(prefix="cyclorama-endure-") as folder:
        root = Path(folder)
        try:
            report = {
                "inbox": watched(root / "watch", options.shoots),
                "worker": worked(root / "work", -(-options.frames // TURN)),
                "long shoot": long_shoot(root / "long", options.long),
            }
        except CycloramaError as error:
            err.print(str(error), style="red", markup=False)
            return 1
    if options.json:
        print(json.dumps(report))
    else:
        for part, figures in report.items():
            print(part, *(f"{name}={value}" for name, value in figures.items()))
    return 0


def watched(root: Path, shoots: int) -> dict[str, Any]:
    """Ticks over an inbox with so many shoots: the first one, those that find them settled and
    queue them, some at a time, and one when all are queued. The time until then is with
    the watcher's rests between two ticks."""
    settings = small_studio(root, shoots)
    with redis_server(settings.state) as url:
        before = resident_mb(os.getpid())
        watcher, _ = make_watcher(settings, url)
        queue = JobQueue(url, connect(url))
        seconds: list[float] = []
        now = time.monotonic()
        with Progress(console=err) as bar:
            task = bar.add_task("shoots queued", total=shoots)
            while (length := queue.length()) < shoots or len(seconds) < FEWEST_TICKS:
                if len(seconds) > FEWEST_TICKS and not length:
                    raise BenchError(f"no shoot was queued in {len(seconds)} ticks")
                began = time.perf_counter()
                watcher.tick(now, time.time())
                seconds.append(time.perf_counter() - began)
                now += settings.settle_seconds + 1
                bar.update(task, completed=queue.length())
        until_queued = sum(s + rest_seconds(s, settings.rescan_seconds) for s in seconds)
        began = time.perf_counter()
        watcher.tick(now, time.time())
        last = time.perf_counter() - began
    return {
        "shoots": shoots,
        "photos": shoots * TURN,
        "first_tick_seconds": round(seconds[0], 2),
        "longest_tick_seconds": round(max(seconds), 2),
        "last_tick_seconds": round(last, 2),
        "seconds_until_all_are_queued": round(until_queued, 1),
        "tick_memory_mb": round(resident_mb(os.getpid()) - before, 1),
    }


def worked(root: Path, shoots: int) -> dict[str, Any]:
    """The worker's time and resident memory while it makes so many shoots, one after the other in
    the queue; the first tenth, in which caches fill, is told apart. Then what the watcher takes."""
    settings = small_studio(root, shoots)
    with redis_server(settings.state) as url:
        with one_worker(settings, url) as crew:
            began = time.perf_counter()
            memory, ends = _feed(settings, url, crew)
        idle = idle_share(settings, url)
    steady, tenth = memory[len(memory) // 10 :], max(1, len(ends) // 10)
    return {
        "frames": shoots * TURN,
        "frames_per_second": round(shoots * TURN / (ends[-1] - began), 1),
        "milliseconds_a_frame_after_a_tenth": round(_pace(ends[tenth : 2 * tenth + 1]), 1),
        "milliseconds_a_frame_at_the_end": round(_pace(ends[-tenth - 1 :]), 1),
        "memory_mb_at_start": steady[0],
        "memory_mb_in_the_middle": steady[len(steady) // 2],
        "memory_mb_at_the_end": steady[-1],
        "growth": round(steady[-1] / steady[0] - 1, 4),
        "idle_watcher_share_of_a_core": round(idle, 6),
    }


def long_shoot(root: Path, frames: int) -> dict[str, Any]:
    """The most memory of a worker that makes one shoot of so many frames, and of one that makes as
    many in shoots of 16; larger photos than else, because sheet and pictures grow with them."""
    peaks = {}
    for name, turn in {"in_one_shoot": frames, "in_shoots_of_16": TURN}.items():
        settings = small_studio(root / name, -(-frames // turn), turn=turn, size=LONG_PHOTO_PX)
        with redis_server(settings.state) as url, one_worker(settings, url) as crew:
            _feed(settings, url, crew)
            peaks[f"peak_mb_{name}"] = round(peak_mb(*crew.pids))
    return {"frames": frames, **peaks}


def idle_share(settings: Settings, url: str) -> float:
    """Processor time over time of a watcher in whose inbox all is done."""
    watcher, _ = make_watcher(settings, url)
    watcher.tick(time.monotonic(), time.time())
    took, busy = 0.0, 0.0
    for _ in range(IDLE_LOOKS):
        began, spent = time.perf_counter(), time.process_time()
        watcher.tick(time.monotonic(), time.time())
        look_seconds = time.perf_counter() - began
        busy += time.process_time() - spent
        took += look_seconds + settings.rescan_seconds
    return busy / took


@contextmanager
def one_worker(settings: Settings, url: str) -> Iterator[Crew]:
    """A crew of one worker, which is ready; it ends with the context."""
    redis, crew = connect(url), Crew(url, settings, count=1)
    crew.start()
    try:
        while not workers(redis):
            crew.tend()
            time.sleep(0.1)
        yield crew
    finally:
        crew.stop()


def _feed(settings: Settings, url: str, crew: Crew) -> tuple[list[float], list[float]]:
    """Queues the whole inbox. The worker's memory in MB, in equal steps of the work, and when each
    shoot was found to be done, in seconds."""
    queue = JobQueue(url, connect(url))
    found = list(group(look(settings.inbox).sources.values()))
    for shoot in found:
        queue.send(JobMessage.of(shoot), at=time.time())
    memory: list[float] = []
    ends: list[float] = []
    with Progress(console=err) as bar:
        task = bar.add_task("shoots made", total=len(found))
        while len(ends) < len(found):
            time.sleep(0.2)
            if crew.tend():
                raise BenchError(f"the worker died; see {settings.state / 'worker.log'}")
            done = len(list(settings.outbox.glob("[!.]*")))
            ends += [time.perf_counter()] * (done - len(ends))
            bar.update(task, completed=done)
            while len(memory) < SAMPLES * done // len(found):
                memory.append(round(resident_mb(*crew.pids), 1))
    return memory, ends


def _pace(ends: list[float]) -> float:
    """Milliseconds a frame between the first and the last of these shoots' ends."""
    return 1000 * (ends[-1] - ends[0]) / (TURN * max(1, len(ends) - 1))


def small_studio(
    root: Path, shoots: int, *, turn: int = TURN, size: tuple[int, int] = PHOTO_PX
) -> Settings:
    """Folders, a tiny checkpoint and an inbox of links to one photo of ``size`` (width, height)."""
    settings = read_settings(
        inbox=root / "inbox", outbox=root / "outbox", state=root / "state", device="cpu"
    )
    settings.inbox.mkdir(parents=True)
    (settings.outbox / ".staging").mkdir(parents=True)
    photo = root / "photo.jpg"
    pixels = np.random.default_rng(1).integers(0, 255, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(photo)
    store = ModelStore(settings.model_store)
    tiny = store.publish(UNet(width=2, depth=2), Card(version="tiny", long_side_px=96))
    store.promote(tiny.name)
    for number in range(shoots):
        shoot = settings.inbox / f"car-{number:05}"
        shoot.mkdir()
        first = shoot / "01.jpg"
        shutil.copyfile(photo, first)  # a file may have 65,000 names at most
        for angle in range(2, turn + 1):
            os.link(first, shoot / f"{angle:02}.jpg")
    return settings


def resident_mb(process: int) -> float:
    """Memory of a process that lies in RAM, in MB (Linux)."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
