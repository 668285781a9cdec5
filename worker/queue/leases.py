"""Who works on which shoot: leases and notes in Redis. All of it may be lost without harm.

A lease is a Redis lock with a short time to live, renewed while the work goes on. Beside it
lies a note on the shoot's job: queued or working, which attempt, how far.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from redis import Redis
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from worker.errors import LeaseLost
from worker.queue.messages import JobMessage

log = logging.getLogger(__name__)

NOTE_SECONDS = 7 * 24 * 3600
ASKED = "cyclorama:asked"


@dataclass(frozen=True)
class Note:
    """What Redis says of a shoot's job."""

    state: Literal["queued", "working", "failed", "returned"]
    """``returned``: the worker was told to stop, and gave the shoot back."""
    job: str
    attempt: int
    at: float
    """Seconds since the epoch."""
    done: int = 0
    total: int = 0
    worker: str = ""
    error: str = ""
    photos: str = ""
    """Digest of the photos that the job is about."""
    began_with: int = 0
    """Frames that were done when the attempt began."""
    deaths: int = 0
    """Workers in a row that died on the shoot before this attempt without getting on with it."""

    @property
    def deaths_so_far(self) -> int:
        """The same, if the worker of this attempt has died too. One that got on with the shoot
        proves that it is not hopeless, and the count begins anew."""
        return 1 if self.done > self.began_with else self.deaths + 1


def gave_up(shoot: str, attempts: int) -> str:
    """What people are told of a shoot on which so many workers died."""
    return (
        f"gave up after {attempts} attempts; look at the worker's log, then run: "
        f"cyclorama retry {shoot}"
    )


@dataclass(frozen=True)
class Standing:
    """Where a shoot stands, as Redis knows it."""

    held: bool
    """Whether somebody works on it now."""
    note: Note | None


class Lease:
    """The right to work on one shoot, as long as it is renewed."""

    def __init__(self, shoot: str, lock: Lock) -> None:
        self.shoot, self._lock = shoot, lock
        self._one_at_a_time = threading.Lock()
        self.lost = False

    def renew(self) -> None:
        """Pushes the end of the lease away. Raises :class:`LeaseLost` if another holds it now;
        a lease that vanished with Redis' memory is taken again. From any thread."""
        with self._one_at_a_time:  # of two that take it again, one would find the other's
            try:
                self._lock.reacquire()
            except LockError as error:
                if not self._lock.acquire(blocking=False):
                    self.lost = True
                    raise LeaseLost(f"another worker has taken over {self.shoot!r}") from error

    def check(self) -> None:
        """Raises :class:`LeaseLost` if the lease was found lost."""
        if self.lost:
            raise LeaseLost(f"another worker has taken over {self.shoot!r}")

    def release(self) -> None:
        """Gives the shoot free; a lease that is gone already is no error."""
        try:
            self._lock.release()
        except LockError:
            self.lost = True


class Leases:
    """Leases and notes on one Redis."""

    def __init__(self, redis: Redis, *, seconds: float) -> None:
        self._redis, self.seconds = redis, seconds

    def acquire(self, shoot: str) -> Lease | None:
        """The lease on a shoot, or ``None`` when somebody holds it."""
        lock = self._redis.lock(
            f"cyclorama:lease:{shoot}", timeout=self.seconds, blocking=False, thread_local=False
        )
        return Lease(shoot, lock) if lock.acquire() else None

    def held(self, shoot: str) -> bool:
        """Whether somebody works on the shoot now."""
        return bool(self._redis.exists(f"cyclorama:lease:{shoot}"))

    def write(self, shoot: str, note: Note) -> None:
        """Replaces the note on a shoot."""
        key = _note(shoot)
        with self._redis.pipeline() as pipe:
            pipe.delete(key)
            pipe.hset(key, mapping={k: str(v) for k, v in vars(note).items()})
            pipe.expire(key, NOTE_SECONDS)
            pipe.execute()

    def progress(self, shoot: str, done: int) -> None:
        """Notes how many frames are done."""
        self._redis.hset(_note(shoot), "done", str(done))

    def note(self, shoot: str) -> Note | None:
        """The note on a shoot, if there is one."""
        return _read_note(self._redis.hgetall(_note(shoot)))  # type: ignore[arg-type]

    def standings(self, shoots: Sequence[str]) -> list[Standing]:
        """Where each of the shoots stands, all at one moment."""
        with self._redis.pipeline() as pipe:
            for shoot in shoots:
                pipe.exists(f"cyclorama:lease:{shoot}")
                pipe.hgetall(_note(shoot))
            told = pipe.execute()
        pairs = zip(told[::2], told[1::2], strict=True)
        return [Standing(bool(held), _read_note(raw)) for held, raw in pairs]

    def ask(self, shoot: str, *, retry: bool) -> None:
        """Keeps in mind until the shoot is done, as long as notes are kept, that a person asked
        for it, and whether frames that failed are to be tried again."""
        with self._redis.pipeline() as pipe:
            pipe.hset(ASKED, shoot, "retry" if retry else "")
            pipe.expire(ASKED, NOTE_SECONDS)
            pipe.execute()

    def asked(self) -> dict[str, bool]:
        """The shoots that people asked for and that are not done yet: whether to retry."""
        found: dict[bytes, bytes] = self._redis.hgetall(ASKED)  # type: ignore[assignment]
        return {shoot.decode(): how == b"retry" for shoot, how in found.items()}

    def forget(self, shoot: str, *, retried: bool = True) -> None:
        """Drops the note, and what was asked: the shoot is done. That its failed frames are to be
        tried again is kept, unless they were: somebody asked while the shoot was in work."""
        later = not retried and self._redis.hget(ASKED, shoot) == b"retry"
        with self._redis.pipeline() as pipe:
            pipe.delete(_note(shoot))
            if not later:
                pipe.hdel(ASKED, shoot)
            pipe.execute()


@contextmanager
def kept(lease: Lease, every_seconds: float) -> Iterator[None]:
    """Renews a lease in the background. A Redis that is away is asked again; a lease that
    another holds is marked lost."""
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(every_seconds):
            try:
                lease.renew()
            except LeaseLost:
                return
            except RedisError as error:
                log.warning("the lease on %s was not renewed: %s", lease.shoot, error)

    thread = threading.Thread(target=renew, name=f"lease {lease.shoot}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def queued(message: JobMessage, *, at: float) -> Note:
    """The note that goes with a message; ``at`` in seconds since the epoch."""
    total = len(message.frames)
    return Note(
        "queued",
        message.job,
        message.attempt,
        at,
        total=total,
        photos=message.photos,
        deaths=message.deaths,
    )


def _read_note(raw: dict[bytes, bytes]) -> Note | None:
    fields: dict[str, Any] = {k.decode(): v.decode() for k, v in raw.items()}
    try:
        return Note(
            state=fields["state"],
            job=fields["job"],
            attempt=int(fields["attempt"]),
            at=float(fields["at"]),
            done=int(fields["done"]),
            total=int(fields["total"]),
            worker=fields["worker"],
            error=fields["error"],
            photos=fields["photos"],
            began_with=int(fields["began_with"]),
            deaths=int(fields["deaths"]),
        )
    except (KeyError, ValueError):
        return None


def _note(shoot: str) -> str:
    return f"cyclorama:shoot:{shoot}"
