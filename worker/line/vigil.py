"""Keeps an eye on the frames in work, and tells which of them hang.

Time is counted in steps that the caller hands in, so that a process that was frozen for an hour
does not blame its frames for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from worker.line.stopwatch import Stopwatch


@dataclass
class Watched:
    """One frame in work."""

    photo: str
    """Path of the photo, relative to the inbox."""
    watch: Stopwatch
    blame: Callable[[], None]
    """Notes, for whoever takes the shoot up next, that this frame hangs."""
    seconds: float = 0.0

    def __str__(self) -> str:
        stage = self.watch.current or "between two stages"
        return f"{self.photo} is in work for {self.seconds:.0f} s ({stage})"


class Vigil:
    """The frames in work in one worker."""

    def __init__(self) -> None:
        self._watched: dict[int, Watched] = {}
        self._lock = threading.Lock()

    @contextmanager
    def over(self, photo: str, watch: Stopwatch, *, blame: Callable[[], None]) -> Iterator[None]:
        """Watches a frame as long as the block lasts."""
        watched = Watched(photo, watch, blame)
        with self._lock:
            self._watched[id(watched)] = watched
        try:
            yield
        finally:
            with self._lock:
                del self._watched[id(watched)]

    def tick(self, seconds: float) -> Watched | None:
        """Lets so much time pass; the frame that is in work for longest now, if there is one."""
        with self._lock:
            for watched in self._watched.values():
                watched.seconds += seconds
            return max(self._watched.values(), key=lambda w: w.seconds, default=None)
