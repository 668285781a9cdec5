"""How a night gives way: to another night on the same models, to shoots, to whatever else runs."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.errors import FolderError


@contextmanager
def alone_on(store: Path) -> Iterator[bool]:
    """Whether nobody else retrains on this store; holds it until the block ends.

    Raises :class:`FolderError` where the store's file system has no locks.
    """
    store.mkdir(parents=True, exist_ok=True)
    with (store / ".retraining.lock").open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            raise FolderError(
                f"the file system of {store} has no locks ({error.strerror})",
                cure="Set CYCLORAMA_MODELS to a folder on another one, such as NFS 4",
            ) from error
        yield True


class Courtesy:
    """Waits while shoots are queued or in work, so that the device is theirs."""

    def __init__(self, busy: Callable[[], bool], *, every_seconds: float = 1.0) -> None:
        self._busy, self._every = busy, every_seconds
        self._asked = -float("inf")

    def __call__(self) -> None:
        """Returns when the device is free; asks at most every ``every_seconds``."""
        if time.monotonic() - self._asked < self._every:
            return
        while self._busy():
            time.sleep(self._every)
        self._asked = time.monotonic()


def lowest_priority() -> None:
    """Gives way to every other process of the machine."""
    os.nice(19 - os.nice(0))
