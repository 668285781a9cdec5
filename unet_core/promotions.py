"""Who was champion when: ``history.jsonl``, a line for each promotion, only ever appended to.

A line is on disk before the champion changes, so that the history is never short of one; a line
whose change never came (the process died in between) is told by the ``previous`` of the next.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from unet_core.checkpoint import CheckpointError
from unet_core.files import sync


class Pointer(BaseModel):
    """A checkpoint, named with the hash of its weights."""

    model_config = ConfigDict(frozen=True)

    version: str
    sha256: str


class Promotion(BaseModel):
    """One line of the history."""

    model_config = ConfigDict(frozen=True)

    when: datetime
    event: Literal["promotion", "rollback"]
    champion: Pointer
    """The champion from then on."""
    previous: Pointer | None
    """The champion until then; None if there was none that could be read."""
    reason: str = ""
    by: str = ""


class Promotions:
    """The history of one store, shared by all processes that promote."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else promotes until the block ends; the lock goes with a process that dies."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def rows(self) -> list[Promotion]:
        """Every promotion, oldest first; half a line at the end (a crash) does not count.

        Raises :class:`CheckpointError` that names a damaged line.
        """
        if not self.path.exists():
            return []
        rows = []
        for number, line in enumerate(self.path.read_bytes().split(b"\n")[:-1], start=1):
            try:
                rows.append(Promotion.model_validate_json(line))
            except ValidationError as error:
                raise CheckpointError(
                    f"{self.path} line {number} is damaged ({line[:40]!r}…): "
                    "mend it or take the line out"
                ) from error
        return rows

    def append(self, row: Promotion) -> None:
        """Writes a line and returns when it is on disk; to be called while locked."""
        whole = self.path.read_bytes().rfind(b"\n") + 1
        os.truncate(self.path, whole)  # what a crash left of a line
        with self.path.open("ab") as handle:
            handle.write(row.model_dump_json().encode() + b"\n")
            handle.flush()
            os.fsync(handle.fileno())
        sync(self.path.parent)


def succession(rows: Sequence[Promotion], present: Pointer | None) -> list[Pointer]:
    """The champions that led to the ``present`` one, which is the last; without those that were
    rolled back and those that never came to be."""
    line: list[Pointer] = []
    for row in rows:
        _go_to(line, row.previous)
        if row.event == "rollback":
            _go_to(line, row.champion)
        elif line[-1:] != [row.champion]:
            line.append(row.champion)
    _go_to(line, present)
    return line


def _go_to(line: list[Pointer], champion: Pointer | None) -> None:
    """Cuts ``line`` so that it ends with ``champion``, which is added if it is not there."""
    if champion is None:
        return
    while champion in line and line[-1] != champion:
        line.pop()
    if line[-1:] != [champion]:
        line.append(champion)
