"""A studio's plant: Redis, watcher and workers, each a process that a test may harm."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.faults.traps import Traps
from tests.studio import COMMAND, Studio, make_studio
from worker.outbox.manifest import Manifest
from worker.queue.app import connect
from worker.queue.broker import EmbeddedRedis

WATCHER, REDIS = "watcher", "redis"
PRESET = """\
frames = 4
[backdrop]
kind = "colour"
colour = "#808080"
[shadow]
kind = "none"
"""


@dataclass
class Plant:
    """Keeps its processes alive as a supervisor would, whenever a test calls :meth:`tend`."""

    studio: Studio
    state: Path
    """Short, because of Redis' socket."""
    workers: int = 2
    deaths: list[tuple[str, int]] = field(default_factory=list)
    """Who died, and with which exit code."""

    def __post_init__(self) -> None:
        self.traps = Traps(self.studio.root / "traps")
        self.server = EmbeddedRedis(self.state)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.away: set[str] = set()
        """Who is not to be started again for now."""

    @property
    def crew(self) -> list[str]:
        """Names of the workers."""
        return [f"worker-{number}" for number in range(1, self.workers + 1)]

    def start(self) -> None:
        """Starts everything, and waits until the workers are at work."""
        self.tend()
        self.wait_for(lambda: len(self.studio.status()["workers"]) == self.workers, seconds=120)

    def stop(self) -> dict[str, int]:
        """Tells everybody to stop; exit codes by name."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        codes = {}
        for name, process in self._processes.items():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()
            codes[name] = process.wait()
        self.server.stop()
        shutil.rmtree(self.state, ignore_errors=True)
        return codes

    def tend(self) -> None:
        """Starts who is missing."""
        if REDIS not in self.away:
            self.server.start()
        for name in [WATCHER, *self.crew]:
            process = self._processes.get(name)
            if process is not None and process.poll() is not None:
                self.deaths.append((name, process.returncode))
                del self._processes[name]
            if name not in self._processes and name not in self.away:
                self._processes[name] = self.spawn(name)

    def spawn(self, name: str) -> subprocess.Popen[bytes]:
        """A process of that role; one beyond the crew is the test's to end."""
        command = "watch" if name.startswith(WATCHER) else "worker"
        with (self.studio.root / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*COMMAND, command],
                cwd=self.studio.root,
                env=self.studio.environment | self.traps.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def pid(self, name: str) -> int:
        """The process of that role."""
        if name == REDIS:
            return int(self.redis().info("server")["process_id"])  # type: ignore[index]
        return self._processes[name].pid

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends a signal to a process, if it lives."""
        with contextlib.suppress(ProcessLookupError, RedisError):
            os.kill(self.pid(name), number)

    def wipe_redis(self) -> None:
        """Kills Redis and all that it knew."""
        self.signal(REDIS, signal.SIGKILL)
        self.wait_for(lambda: not self.answers(), tending=False)
        shutil.rmtree(self.server.folder)

    def redis(self) -> Redis:
        """A client; raises where Redis does not answer."""
        return connect(self.server.url)

    def answers(self) -> bool:
        """Whether Redis does."""
        try:
            self.redis().close()
        except Exception:
            return False
        return True

    def wait_for(
        self, what: Callable[[], bool], *, seconds: float = 90, tending: bool = True
    ) -> float:
        """Waits until something holds; returns for how long, or says where everything stands."""
        began = time.monotonic()
        while not what():
            if tending:
                self.tend()
            if time.monotonic() - began > seconds:
                logs = [log.read_text()[-1500:] for log in self.studio.root.glob("*.log")]
                raise AssertionError(
                    f"it did not come to pass; sprung: {self.traps.sprung()[-5:]}, deaths: "
                    f"{self.deaths[-5:]}, {self.studio.cyclorama('status').stdout}\n"
                    + "\n".join(logs)
                )
            time.sleep(0.05)
        return time.monotonic() - began

    def wait_for_trap(self, stage: str) -> int:
        """Waits until the trap that is set at ``stage`` springs; the process that it caught."""
        self.wait_for(lambda: not (self.traps.folder / stage).exists())
        return next(pid for at, pid, _ in reversed(self.traps.sprung()) if at == stage)

    def published(self, shoot: str) -> Manifest | None:
        """The manifest of a shoot that is delivered, if it answers for all photos of the inbox."""
        manifest = self.studio.manifest(shoot)
        folder = self.studio.inbox / shoot
        if manifest is None or not folder.is_dir():
            return None
        there = {
            (f"{shoot}/{path.name}", path.stat().st_mtime_ns)
            for path in folder.iterdir()
            if path.suffix == ".jpg"
        }
        rows = {(row.source.path, row.source.mtime_ns) for row in manifest.frames}
        return manifest if there <= rows else None

    def wait_for_shoot(self, shoot: str, *, seconds: float = 90) -> Manifest:
        """Waits until a shoot is delivered as it lies in the inbox now."""
        self.wait_for(lambda: self.published(shoot) is not None, seconds=seconds)
        manifest = self.published(shoot)
        assert manifest
        return manifest


def make_plant(root: Path, models: Path, *, workers: int = 2, **settings: str) -> Plant:
    """A plant with a tiny checkpoint and quick waits; not started yet."""
    state = Path(tempfile.mkdtemp(prefix="cy"))
    plant = Plant(quick_studio(root, models, state, **settings), state, workers=workers)
    plant.studio.environment["CYCLORAMA_BROKER_URL"] = plant.server.url
    return plant


def quick_studio(root: Path, models: Path, state: Path, **settings: str) -> Studio:
    """A studio in which a dead worker is soon found, with a preset that costs little."""
    quick = {
        "CYCLORAMA_SETTLE_SECONDS": "0.2",
        "CYCLORAMA_RESCAN_SECONDS": "0.5",
        "CYCLORAMA_LEASE_SECONDS": "1.5",
        "CYCLORAMA_MAX_MEGAPIXELS": "7",
        "CYCLORAMA_MODELS": str(models),
        "CYCLORAMA_STATE": str(state),
        "CYCLORAMA_DEVICE": "cpu",
        "CYCLORAMA_PRESET": "quick",
        "OMP_NUM_THREADS": "1",
    }
    studio = make_studio(root, **quick | settings)
    (root / "presets").mkdir()
    (root / "presets" / "quick.toml").write_text(PRESET)
    return studio


def resident_mb(pid: int) -> float:
    """Memory of a process; 0 if it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
