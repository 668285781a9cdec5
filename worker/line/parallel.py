"""Several frames at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Cores:
    """A context that so many threads may be in at once, to compute; the others wait."""

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(count)

    def __enter__(self) -> None:
        self._free.acquire()

    def __exit__(self, *_: object) -> None:
        self._free.release()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """For whoever holds a core and waits for another device: somebody else may compute in this
        block."""
        self._free.release()
        try:
            yield
        finally:
            self._free.acquire()


def in_parallel(
    work: Callable[[Item], Result], items: Iterable[Item], *, at_once: int
) -> Iterator[Result]:
    """Results in the order in which they are done; the first error ends it, and what has not
    begun by then, or when nobody asks on, is not begun."""
    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()
