"""How long the stages of one frame take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    current: str = ""
    """The stage that goes on now."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began, self.current = time.perf_counter(), name
        yield
        self.current = ""
        self.seconds[name] = round(time.perf_counter() - began, 4)
