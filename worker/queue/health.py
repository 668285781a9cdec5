"""Whether a worker can work and does work, as a small file beside its log for probes to read.

A file that is not renewed tells that its worker is dead or frozen, so that a probe needs no
answer from the worker itself.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from worker.queue.roster import GONE_AFTER_SECONDS

FORGOTTEN_SECONDS = 3600.0
"""After so long without a sign of life a worker of another host is no longer told of."""
REPLACE_ME = 75
"""Exit code of a worker or courier that ends because a fresh one would do better (EX_TEMPFAIL)."""


@dataclass(frozen=True)
class Health:
    """One worker, as it judges itself."""

    worker: str
    ready: bool
    """Checkpoint and Redis can be used."""
    alive: bool
    """Frames are finished as long as there is work."""
    trouble: str = ""
    """What is wrong, in words."""


class HealthFile:
    """The file of one worker; a folder that cannot be written costs the file and no work."""

    def __init__(self, state: Path, worker: str) -> None:
        self.path = state / "health" / f"{worker}.json"

    def write(self, health: Health) -> None:
        """Replaces what the file says, and takes away those of the dead of this host."""
        part = self.path.with_suffix(".part")
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(asdict(health)))
            part.replace(self.path)
            _forget_the_dead(self.path.parent)

    def remove(self) -> None:
        """The worker ends."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def healths(state: Path) -> list[Health]:
    """What the workers with this state folder say of themselves, by name. One that has said
    nothing for a while is neither ready nor alive."""
    found = []
    for path in sorted((state / "health").glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            silent = abs(time.time() - path.stat().st_mtime)
            health = Health(**json.loads(path.read_text()))
            if silent > GONE_AFTER_SECONDS:
                trouble = f"no sign of life for {silent:.0f} s: it died, or is frozen"
                health = Health(health.worker, ready=False, alive=False, trouble=trouble)
            found.append(health)
    return found


def _forget_the_dead(folder: Path) -> None:
    """Takes away what workers left behind that died: whoever runs in their place would be called
    ill for it. Of another host nobody here knows who runs; it may be gone, and its name with it."""
    for path in folder.glob("*.json"):
        host, _, pid = path.stem.removeprefix("courier-").rpartition("-")
        with contextlib.suppress(OSError, ValueError):
            silent = abs(time.time() - path.stat().st_mtime)
            ours = host == socket.gethostname()
            if silent > (GONE_AFTER_SECONDS if ours else FORGOTTEN_SECONDS) and not (
                ours and _runs(int(pid))
            ):
                path.unlink()


def was_ready(state: Path, pid: int) -> bool:
    """Whether the worker process ``pid``, which has ended, had come so far that it could work;
    takes its file away."""
    found = list((state / "health").glob(f"*-{pid}.json"))
    for path in found:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    return bool(found)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM  # somebody else's
    return True


def resident_bytes() -> int:
    """Memory that this process holds, in bytes; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def ending(code: int) -> str:
    """How a process ended, in words, by its exit code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.strsignal(-code) or f"signal {-code}"
    except ValueError:
        return f"signal {-code}"
