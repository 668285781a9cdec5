"""Whether the line bears many: a large inbox, and thousands of frames through one worker.

    .venv/bin/python scripts/endure.py [--shoots N] [--frames N] [--json]

Photos are small and the network is tiny, so that what is measured is all around it: the time and
memory of the watcher's tick over N shoots of 16, and the worker's memory over its frames.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from bench_line import BenchError, redis_server
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from unet_core.checkpoint import Card
from unet_core.model import UNet
from unet_core.store import ModelStore
from worker.crew import Crew
from worker.errors import CycloramaError
from worker.intake.scan import look
from worker.outbox.manifest import MANIFEST
from worker.queue.app import JobQueue, connect
from worker.queue.messages import JobMessage
from worker.queue.roster import workers
from worker.run import make_watcher
from worker.settings import Settings, read_settings
from worker.shoots import group

err = Console(stderr=True)
TURN = 16
PHOTO_PX = (96, 64)
FEWEST_TICKS = 3
SAMPLES = 20


def main() -> int:
    """Exit code 0: measured; 1: the line failed; 2: wrong usage."""
    parser = argparse.ArgumentParser(prog="endure.py", description=__doc__.splitlines()[0])
    parser.add_argument("--shoots", type=int, default=5000, help="in the watched inbox")
    parser.add_argument("--frames", type=int, default=10000, help="through one worker")
    parser.add_argument("--json", action="store_true", help="print JSON for a program")
    options = parser.parse_args()
    if min(options.shoots, options.frames) < 1:
        parser.error("--shoots and --frames must be 1 or more")
    with tempfile.TemporaryDirectory(prefix="cyclorama-endure-") as folder:
        root = Path(folder)
        try:
            report = {
                "inbox": watched(root / "watch", options.shoots),
                "worker": worked(root / "work", -(-options.frames // TURN)),
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
    queue them, some at a time, and one when all are queued."""
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
    return {
        "shoots": shoots,
        "photos": shoots * TURN,
        "first_tick_seconds": round(seconds[0], 2),
        "longest_tick_seconds": round(max(seconds), 2),
        "last_tick_seconds": round(seconds[-1], 2),
        "seconds_until_all_are_queued": round(sum(seconds[:-1]), 1),
        "tick_memory_mb": round(resident_mb(os.getpid()) - before, 1),
    }


def worked(root: Path, shoots: int) -> dict[str, Any]:
    """The worker's resident memory while it makes so many shoots, one after the other in the
    queue; the first tenth, in which caches fill, is told apart."""
    settings = small_studio(root, shoots)
    with redis_server(settings.state) as url:
        redis = connect(url)
        crew, queue = Crew(url, settings, count=1), JobQueue(url, redis)
        crew.start()
        try:
            while not workers(redis):
                crew.tend()
                time.sleep(0.1)
            process = int(workers(redis)[0].name.rpartition("-")[2])
            began = time.perf_counter()
            memory = _feed(settings, queue, process, shoots)
            seconds = time.perf_counter() - began
        finally:
            crew.stop()
    steady = memory[len(memory) // 10 :]
    return {
        "frames": shoots * TURN,
        "frames_per_second": round(shoots * TURN / seconds, 1),
        "memory_mb_at_start": steady[0],
        "memory_mb_in_the_middle": steady[len(steady) // 2],
        "memory_mb_at_the_end": steady[-1],
        "growth": round(steady[-1] / steady[0] - 1, 4),
    }


def _feed(settings: Settings, queue: JobQueue, process: int, shoots: int) -> list[float]:
    """Queues everything and returns the worker's memory in MB, in equal steps of the work."""
    for shoot in group(look(settings.inbox).sources.values()):
        queue.send(JobMessage.of(shoot), at=time.time())
    memory: list[float] = []
    with Progress(console=err) as bar:
        task = bar.add_task("frames", total=shoots * TURN)
        done = 0
        while done < shoots:
            time.sleep(0.2)
            done = sum((path / MANIFEST).exists() for path in settings.outbox.iterdir())
            bar.update(task, completed=done * TURN)
            while len(memory) < SAMPLES * done // shoots:
                memory.append(round(resident_mb(process), 1))
    return memory


def small_studio(root: Path, shoots: int) -> Settings:
    """Folders, a tiny checkpoint and an inbox of links to one small photo."""
    settings = read_settings(
        inbox=root / "inbox", outbox=root / "outbox", state=root / "state", device="cpu"
    )
    settings.inbox.mkdir(parents=True)
    settings.outbox.mkdir()
    photo = root / "photo.jpg"
    pixels = np.random.default_rng(1).integers(0, 255, (*PHOTO_PX[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(photo)
    store = ModelStore(settings.model_store)
    tiny = store.publish(UNet(width=2, depth=2), Card(version="tiny", long_side_px=96))
    store.promote(tiny.name)
    for number in range(shoots):
        shoot = settings.inbox / f"car-{number:05}"
        shoot.mkdir()
        first = shoot / "01.jpg"
        shutil.copyfile(photo, first)  # a file may have 65,000 names at most
        for angle in range(2, TURN + 1):
            os.link(first, shoot / f"{angle:02}.jpg")
    return settings


def resident_mb(process: int) -> float:
    """Memory of a process that lies in RAM, in MB (Linux)."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
