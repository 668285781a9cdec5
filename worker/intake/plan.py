"""What to do about each shoot of the inbox. Pure: from looks and records to decisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from worker.intake.scan import Rest
from worker.outbox.manifest import Manifest
from worker.shoots import Shoot, Source, odd_angles


class Stage(StrEnum):
    """Where a shoot stands."""

    ARRIVING = "arriving"
    """Files still change, or are not whole."""
    WAITING = "waiting"
    """Fewer frames than expected, and not quiet for long enough."""
    READY = "ready"
    """To be queued."""
    DONE = "done"
    """Every frame has its row in the manifest."""


@dataclass(frozen=True)
class Rules:
    """When a shoot is ready. Times in seconds."""

    settle_seconds: float
    quiet_seconds: float
    once: bool = False
    """Take what is there: do not wait for more frames, nor for a copy that stalled."""
    max_frames: int = 1000
    """A shoot with more is not taken up."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided on one shoot, and why, in words for a person."""

    shoot: Shoot
    stage: Stage
    reason: str


def missing(shoot: Shoot, manifest: Manifest | None) -> list[Source]:
    """The photos of a shoot that its manifest has no row for in their present state."""
    recorded = manifest.sources() if manifest else set()
    return [frame.source for frame in shoot.frames if frame.source not in recorded]


def withdrawn(shoot: Shoot, manifest: Manifest | None) -> bool:
    """Whether a photo that failed was taken out of the shoot since: the failure goes with it."""
    paths = {frame.source.path for frame in shoot.frames}
    return any(row.source.path not in paths for row in (manifest.failed() if manifest else []))


def decide(
    shoot: Shoot,
    *,
    missing: list[Source],
    withdrawn: bool = False,
    expected: int,
    marked_ready: bool,
    rest: Rest,
    whole: Callable[[Source], bool],
    rules: Rules,
    now: float,
) -> Decision:
    """The decision on one shoot at ``now``. ``whole`` tells whether a photo decodes to its end."""
    if not missing and not withdrawn:
        return Decision(shoot, Stage.DONE, "")
    rested = {frame.source: rest.seconds(frame.source, now) for frame in shoot.frames}
    if moving := [s for s, seconds in rested.items() if seconds < rules.settle_seconds]:
        return Decision(shoot, Stage.ARRIVING, f"{len(moving)} of {len(rested)} files still settle")
    patience = rules.settle_seconds if rules.once else rules.quiet_seconds
    for source in missing:
        if rested[source] < patience and not whole(source):
            return Decision(shoot, Stage.ARRIVING, f"{source.path} is not known to be whole yet")
    if rules.once or marked_ready or len(shoot.frames) >= expected:
        return Decision(shoot, Stage.READY, "")
    if min(rested.values()) >= rules.quiet_seconds:
        return Decision(shoot, Stage.READY, "")
    left = rules.quiet_seconds - min(rested.values())
    reason = f"{len(shoot.frames)} of {expected} frames; starts in {left:.0f} s if no more come"
    return Decision(shoot, Stage.WAITING, "; ".join([reason, *odd_angles(shoot.frames, expected)]))
