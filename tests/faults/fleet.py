"""A studio on several hosts: Redis, watcher and workers, each on a host of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.faults.core_share import CoreShare
from tests.faults.network import Host, Network
from tests.faults.plant import quick_studio
from tests.parts import drop_photos
from tests.studio import COMMAND, Studio
from worker.queue.app import connect
from worker.queue.broker import redis_binary
from worker.queue.leases import Leases
from worker.queue.roster import BEAT_SECONDS, workers

PASSWORD = "of-the-hosts"
PORT = 6379
TURN = 4
"""Photos in a shoot."""
PUBLISHED = re.compile(r": (?P<shoot>\S+) is complete: \d+ frames in ")


class Late(Exception):
    """Something did not come to pass in time."""


@dataclass
class Fleet:
    """Processes on the hosts of a network, and one folder that all of them share."""

    network: Network
    studio: Studio
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    """By the name of the host."""
    hosts: dict[str, Host] = field(default_factory=dict)
    shares: list[CoreShare] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    """Names of all shoots, in order."""

    def start(self) -> None:
        """Starts Redis and the watcher."""
        host = self._host("redis")
        url = f"redis://:{PASSWORD}@{host.address}:{PORT}/0"
        self.studio.environment["CYCLORAMA_BROKER_URL"] = url
        server = [redis_binary(), "--port", str(PORT), "--bind", host.address]
        server += ["--requirepass", PASSWORD, "--dir", str(self.studio.root), "--save", ""]
        self._spawn(host, server)
        self.wait_for("Redis", self._answers, seconds=20)
        self._spawn(self._host("watcher"), [*COMMAND, "watch"])

    def add_worker(self, cores: float | None = None) -> str:
        """A worker on a host of its own, with so much of a core once it is ready; the host's
        name. Raises ``OSError`` where no share of a core can be given."""
        name = f"host-{1 + sum(each.startswith('host-') for each in self.hosts)}"
        process = self._spawn(self._host(name), [*COMMAND, "worker"])
        self.wait_for(name, lambda: f"{name}-{process.pid}" in self._roster(), seconds=120)
        if cores:
            share = CoreShare(name, cores)
            self.shares.append(share)
            share.hold(process.pid)
        return name

    def stop(self) -> dict[str, int]:
        """Ends everybody, Redis last; exit codes by host."""
        codes = {}
        for share in self.shares:
            share.close()
        for name, process in reversed(self.processes.items()):
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()
            codes[name] = process.wait()
        return codes

    def drop(self, count: int, *, size: tuple[int, int] = (48, 32)) -> list[str]:
        """Drops so many shoots at once; their names."""
        names = [f"shoot-{len(self.dropped) + number}" for number in range(count)]
        for name in names:
            drop_photos(self.studio.root / f"part-{name}", TURN, size=size)
        for name in names:
            (self.studio.root / f"part-{name}").rename(self.studio.inbox / name)
        self.dropped += names
        return names

    def delivered(self, names: list[str]) -> bool:
        """Whether all these shoots are in the outbox."""
        return all((self.studio.outbox / name / "manifest.json").exists() for name in names)

    def worker_of(self, shoot: str) -> str:
        """The host that works on a shoot; nothing if none does, or none is known."""
        note = Leases(self.redis, seconds=1).note(shoot)
        at_work = note is not None and note.state == "working" and note.done < note.total
        return note.worker.rpartition("-")[0] if note and at_work else ""

    def deliveries(self) -> dict[str, Counter[str]]:
        """How often each host says that it published each shoot."""
        found = {}
        for name in self.hosts:
            log = (self.studio.root / f"{name}.log").read_text(errors="replace")
            found[name] = Counter(match["shoot"] for match in PUBLISHED.finditer(log))
        return found

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time that each host has used up to now."""
        found = {}
        for name, process in self.processes.items():
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            found[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return found

    def batches(self, *, settled: bool = False) -> Counter[int]:
        """How many batches of each size went through all workers' networks, as they said last, or
        will have said once the present is ``settled``."""
        if settled:
            time.sleep(BEAT_SECONDS + 1)
        found = Counter[int]()
        for sign in workers(self.redis):
            found.update({int(size): count for size, count in sign.batches.items()})
        return found

    @cached_property
    def redis(self) -> Redis:
        """A client, from outside of all hosts."""
        return connect(self.studio.environment["CYCLORAMA_BROKER_URL"])

    def wait_for(self, what: str, happens: Callable[[], bool], *, seconds: float = 120) -> float:
        """Waits until something holds; for how long it did. Raises :class:`Late` with the logs."""
        began = time.monotonic()
        while not happens():
            if time.monotonic() - began > seconds:
                logs = [log.read_text()[-1500:] for log in self.studio.root.glob("*.log")]
                raise Late(f"{what}: not within {seconds:.0f} s\n" + "\n".join(logs))
            time.sleep(0.01)
        return time.monotonic() - began

    def _host(self, name: str) -> Host:
        self.hosts[name] = self.network.add(name)
        return self.hosts[name]

    def _spawn(self, host: Host, command: list[str]) -> subprocess.Popen[bytes]:
        state = {"CYCLORAMA_STATE": str(self.studio.root / f"state-{host.name}")}
        with (self.studio.root / f"{host.name}.log").open("wb") as log:
            process = subprocess.Popen(
                host.command(*command),
                cwd=self.studio.root,
                env=self.studio.environment | state,
                stdout=log,
                stderr=log,
            )
        self.processes[host.name] = process
        return process

    def _answers(self) -> bool:
        try:
            self.redis.ping()
        except Exception:
            return False
        return True

    def _roster(self) -> set[str]:
        try:
            return {sign.name for sign in workers(self.redis)}
        except RedisError:
            return set()


def make_fleet(network: Network, root: Path, models: Path) -> Fleet:
    """A fleet without hosts yet."""
    return Fleet(network, quick_studio(root, models, root / "state"))
