"""Waiting longer after every failure in a row."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Backoff:
    """Waits twice as long after every failure in a row; pure. Times in seconds, monotonic."""

    longest_seconds: float
    failures: int = 0
    until: float = 0.0

    def fail(self, now: float) -> float:
        """Notes a failure; returns for how many seconds to wait."""
        self.failures += 1
        rest = min(self.longest_seconds, 2.0 ** min(self.failures, 20))
        self.until = now + rest
        return rest
