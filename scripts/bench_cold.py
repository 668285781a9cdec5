"""From the command to the first result: a cold start of ``cyclorama run``, in its parts."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench_frames import Frames
from bench_line import BenchError

from worker.crew import environment
from worker.queue.broker import EmbeddedRedis
from worker.settings import Settings

PATIENCE_SECONDS = 180.0


def cold_start(frames: Frames, settings: Settings) -> dict[str, float]:
    """Seconds since the start of ``cyclorama run --once``, at which Redis answers, the worker is
    ready, the first shoot is begun, its first frame is there, and all is published; and how long
    ``cyclorama --help`` and ``cyclorama status`` take."""
    for folder in (settings.outbox, settings.state):
        shutil.rmtree(folder, ignore_errors=True)
    settings.outbox.mkdir(parents=True)
    variables = os.environ | environment(settings, "")
    state, staging = settings.state, settings.outbox / ".staging"
    marks: dict[str, Callable[[], bool]] = {
        "redis": EmbeddedRedis(state).socket.exists,
        "worker_ready": lambda: any((state / "health").glob("*.json")),
        "shoot_begun": lambda: any(staging.glob("*/*")),
        "first_frame": lambda: any(staging.glob("*/*/*.jpg")) or _published(settings.outbox) > 0,
        "published": lambda: _published(settings.outbox) == len(frames.messages()),
    }
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "run", "--once"],
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        found = moments(marks, began, state)
        process.wait(PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()
    for command in ("--help", "status"):
        found[command.strip("-")] = _seconds(command, variables)
    return found


def moments(marks: Mapping[str, Callable[[], bool]], began: float, state: Path) -> dict[str, float]:
    """Seconds since ``began`` (of ``time.perf_counter``) at which each mark is there, one after the
    other. Raises :class:`BenchError` when one does not come."""
    found = {}
    for name, is_there in marks.items():
        while not is_there():
            if time.perf_counter() - began > PATIENCE_SECONDS:
                raise BenchError(f"it does not get to {name}; see {state}")
            time.sleep(0.005)
        found[name] = round(time.perf_counter() - began, 2)
    return found


def _published(outbox: Path) -> int:
    return len(list(outbox.glob("*/manifest.json")))


def _seconds(command: str, variables: dict[str, str]) -> float:
    """Median of five runs after one that reads the program from disk and, as an installation
    does, compiles it."""
    times = []
    compiling = {n: v for n, v in variables.items() if n != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(6):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "worker.cli", command],
            env=compiling,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        times.append(time.perf_counter() - began)
    return round(statistics.median(times[1:]), 2)
