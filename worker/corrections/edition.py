"""A finished shoot as the corrections find it. Imports nothing that reads pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from worker.outbox.manifest import Manifest
from worker.shoots import Source


@dataclass(frozen=True)
class Edition:
    """A finished shoot and where it lies."""

    folder: Path
    manifest: Manifest


def unanswered(files: Mapping[str, Source], edition: Edition | None) -> dict[str, Source]:
    """Those of a shoot's files that no row of its edition was made from."""
    rows = edition.manifest.frames if edition else []
    answered = {row.name: row.correction.source() for row in rows if row.correction}
    return {name: file for name, file in files.items() if answered.get(name) != file}
