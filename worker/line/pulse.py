"""Whether frames still come while there is work. Pure: the clock comes in from outside."""

from __future__ import annotations

PATIENCE_SECONDS = 600.0
"""Longer than the second pass over a large shoot takes, in which no frame is finished."""


class Pulse:
    """A process that runs, and is connected, can still have stopped working: only frames tell."""

    def __init__(self, clock: float, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._idle_at = clock

    def complaint(self, *, has_work: bool, last_frame_at: float, clock: float) -> str:
        """What is wrong, or nothing. To be asked again and again; ``clock`` and
        ``last_frame_at`` in seconds since the epoch, 0.0 for no frame yet."""
        if not has_work:
            self._idle_at = clock
            return ""
        silent_seconds = clock - max(self._idle_at, last_frame_at)
        if silent_seconds <= self._patience_seconds:
            return ""
        return (
            f"There is work, and no frame was finished for {silent_seconds:.0f} s. "
            "Look at the worker's log and start it again"
        )
