"""What came of the last night, as `cyclorama status` and the watcher tell it: a small file beside
the model store.

Trainer and watcher are processes of their own, perhaps on other hosts; they share the store.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from unet_core.files import write_file

log = logging.getLogger(__name__)

RECORD = Path(".nights") / "last.json"
"""In the model store."""
OUTCOMES = ("promoted", "refused", "skipped", "failed")


@dataclass(frozen=True)
class NightRecord:
    """The last retraining that came to an end."""

    at: float
    """When it ended, in seconds since the epoch."""
    outcome: str
    """One of :data:`OUTCOMES`."""
    reason: str
    seconds: float
    dice: dict[str, float] = field(default_factory=dict)
    """Mean Dice on the holdout of ``champion`` and ``candidate``, if it was measured."""
    failures: int = 0
    """Nights in a row that failed, this one included; one that was skipped counts neither way."""


def read_record(store: Path) -> NightRecord | None:
    """The record in a model store, if there is one that can be read."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return NightRecord(**json.loads((store / RECORD).read_bytes()))
    return None


def write_record(
    store: Path, outcome: str, reason: str, *, seconds: float, dice: dict[str, float]
) -> None:
    """Replaces the record. One that cannot be written costs the figure and no night."""
    before = read_record(store)
    failures = before.failures if before else 0
    failures = {"failed": failures + 1, "skipped": failures}.get(outcome, 0)
    record = NightRecord(time.time(), outcome, reason, round(seconds, 1), dice, failures)
    try:
        (store / RECORD).parent.mkdir(parents=True, exist_ok=True)
        write_file(store / RECORD, json.dumps(asdict(record)).encode())
    except OSError as error:
        log.warning("the night's record in %s was not written: %s", store, error)
