"""Processes of ours that run beside the watcher: workers, the schedule, the courier."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from worker.backoff import Backoff
from worker.errors import CycloramaError
from worker.queue.health import REPLACE_ME, ending, healths, was_ready
from worker.queue.roster import worker_name
from worker.settings import Settings

log = logging.getLogger(__name__)

STOP_SECONDS = 60.0
MAX_EARLY_DEATHS = 8
LONGEST_REST_SECONDS = 30.0
WRONG_CONFIGURATION = 2
IN_GOOD_ORDER = 0, REPLACE_ME
"""Exit codes of workers that were ready to work, though they may have taken their files away."""


class Crew:
    """The worker processes; one that dies is replaced, unless it cannot start at all."""

    def __init__(
        self,
        broker_url: str,
        settings: Settings,
        *,
        count: int,
        command: str = "worker",
        gives_up: bool = True,
    ) -> None:
        """``gives_up``: whether :class:`WorkerRefused` is raised when they cannot start."""
        self._state, self._command, self._gives_up = settings.state, command, gives_up
        self._log = settings.state / f"{command}.log"
        self._environment = os.environ | environment(settings, broker_url)
        self._count, self._device = count, settings.device
        self._port = settings.metrics_port
        """Of the watcher; the workers have the ones after it."""
        self._processes: list[subprocess.Popen[bytes]] = []
        self._worked = False
        """Whether one of those that ended was ready to work."""
        self._rest = Backoff(LONGEST_REST_SECONDS)
        self._deaths = 0
        """Deaths in a row of workers that were never ready to work; those that refused after others
        had worked do not count."""

    def start(self) -> None:
        """Starts the workers, if they do not run yet; their log lies in the state
        folder."""
        if self._processes:
            return
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._processes = [self._spawn(place) for place in range(self._count)]

    @property
    def pids(self) -> list[int]:
        """Of the processes."""
        return [process.pid for process in self._processes]

    def tend(self) -> list[int]:
        """Replaces what died, and returns the process ids of the dead. Raises
        :class:`WorkerRefused` when a worker refuses its settings and none ever worked with them:
        later it is Redis or a share that is away."""
        dead = []
        for place, process in enumerate(self._processes):
            code = process.poll()
            if code is None or time.monotonic() < self._rest.until:
                continue
            refuses = code == WRONG_CONFIGURATION and self._gives_up
            if refuses and not self._has_worked():
                raise WorkerRefused(self._last_words())
            self._bury(process, code)
            dead.append(process.pid)
            self._processes[place] = self._spawn(place)
        return dead

    def _bury(self, process: subprocess.Popen[bytes], code: int) -> None:
        """Notes a death; raises :class:`WorkerRefused` when workers never get so far as to work.
        What dies at work is another matter: the photo that did it is found and set aside."""
        if was_ready(self._state, process.pid) or code in IN_GOOD_ORDER:
            self._worked, self._deaths = True, 0
            self._rest = Backoff(LONGEST_REST_SECONDS)
        else:
            self._rest.fail(time.monotonic())
            if code != WRONG_CONFIGURATION:
                self._deaths += 1
        if self._deaths > MAX_EARLY_DEATHS and self._gives_up:
            raise WorkerRefused(f"workers die again and again: {self._last_words()}")
        what = "has to be replaced" if code == REPLACE_ME else f"died ({ending(code)})"
        log.error("%s %d %s, another starts; see %s", self._command, process.pid, what, self._log)

    def _has_worked(self) -> bool:
        """Whether a worker was ever ready to work, be it one that still runs."""
        ours = tuple(worker_name(pid) for pid in self.pids)
        at_work = (each.worker for each in healths(self._state) if each.alive)
        return self._worked or any(name.endswith(ours) for name in at_work)

    def stop(self) -> None:
        """Lets the workers finish what is in flight, and ends those that take too long."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _spawn(self, place: int) -> subprocess.Popen[bytes]:
        own = {"CYCLORAMA_METRICS_PORT": str(self._port + 1 + place)} if self._port else {}
        if self._command == "worker":
            own |= own_gpu(self._device, place)
        with self._log.open("ab") as handle:
            return subprocess.Popen(
                [sys.executable, "-m", "worker.cli", self._command, "--until-stdin-closes"],
                env=self._environment | own,
                stdin=subprocess.PIPE,  # closes when we die, even by kill -9
                stdout=handle,
                stderr=handle,
                start_new_session=True,  # Ctrl-C is for us: we tell the workers
            )

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return (errors or lines or [f"see {self._log}"])[-1]


class WorkerRefused(CycloramaError):
    """Workers cannot work with these settings."""


def environment(settings: Settings, broker_url: str) -> dict[str, str]:
    """The settings as variables for another process."""
    values = settings.model_dump(mode="json", exclude={"webhook_secret"})
    values |= {"broker_url": broker_url}
    return {
        f"CYCLORAMA_{name.upper()}": str(value)
        for name, value in values.items()
        if value is not None
    }


def gpus(devices: Path = Path("/dev")) -> list[str]:
    """NVIDIA's cards by number. PyTorch is not asked: it takes seconds."""
    return [str(number) for number in range(len(list(devices.glob("nvidia[0-9]*"))))]


def own_gpu(device: str, place: int, *, devices: Path = Path("/dev")) -> dict[str, str]:
    """The variable that gives the worker in a place (0, 1, …) a GPU of its own, in turns, where
    there are several and the setting names none of them."""
    if device not in ("auto", "cuda"):
        return {}
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    ours = gpus(devices) if chosen is None else chosen.split(",")
    return {"CUDA_VISIBLE_DEVICES": ours[place % len(ours)]} if len(ours) > 1 else {}
