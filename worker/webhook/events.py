"""What there is to tell: one event for each edition of a shoot, as its manifest has it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from worker.outbox.manifest import MANIFEST, Manifest
from worker.outbox.places import Places


@dataclass(frozen=True)
class Event:
    """One edition of one shoot."""

    place: str
    """Where its folder lies, below the outbox."""
    id: str
    """Of this edition: a receiver that is told twice knows it by this."""
    type: str
    """``shoot.complete``, ``shoot.incomplete`` or ``shoot.held``."""
    finished: str
    """ISO 8601, UTC."""
    body: bytes
    """JSON."""


class Outbox:
    """The outbox as events; a manifest is read again only when it changed."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._known: dict[Path, tuple[tuple[int, int], Event | None]] = {}

    def events(self) -> list[Event]:
        """An event for each shoot that is published or held now, oldest first."""
        known, self._known = self._known, {}
        for folder in self._folders():
            try:
                stat = (folder / MANIFEST).stat()
                state = (stat.st_mtime_ns, stat.st_ino)
                before = known.get(folder)
                fresh = before if before and before[0] == state else (state, self._event(folder))
            except OSError:  # no shoot, moved away in this moment, or to be read at the next look
                continue
            self._known[folder] = fresh
        found = [event for _, event in self._known.values() if event]
        return sorted(found, key=lambda event: (event.finished, event.place))

    def _folders(self) -> Iterator[Path]:
        for parent in (self._places.outbox, self._places.outbox / ".held"):
            if parent.is_dir():
                yield from (path for path in parent.iterdir() if _can_be_a_shoot(path.name))

    def _event(self, folder: Path) -> Event | None:
        raw = (folder / MANIFEST).read_bytes()
        try:
            manifest = Manifest.model_validate_json(raw)
        except ValidationError:
            return None  # somebody else's folder
        place = folder.relative_to(self._places.outbox).as_posix()
        return event_of(manifest, place=place, edition=hashlib.sha256(raw).hexdigest())


def _can_be_a_shoot(name: str) -> bool:
    """Whether the inbox would take the name: it refuses those that are not valid Unicode, and JSON
    cannot hold them."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return not name.startswith(".")


def event_of(manifest: Manifest, *, place: str, edition: str) -> Event:
    """The event that tells of a manifest; ``edition`` is the manifest's own hash."""
    kind = f"shoot.{manifest.status}"
    message = {"type": kind, "timestamp": manifest.finished, "data": _data(manifest, place)}
    key = hashlib.sha256(f"{place}\0{edition}".encode()).hexdigest()[:32]
    body = json.dumps(message, ensure_ascii=False).encode()
    return Event(place, key, kind, manifest.finished, body)


def _data(manifest: Manifest, place: str) -> dict[str, Any]:
    return {
        "shoot": manifest.shoot,
        "folder": place,
        "frames": len(manifest.frames),
        "failed": [
            {"frame": row.name, "photo": row.source.path, **row.error.model_dump()}
            for row in manifest.failed()
            if row.error
        ],
        "flagged": [row.name for row in manifest.frames if row.flags],
        "remarks": manifest.remarks,
        "preset": manifest.preset.name,
        "checkpoint": manifest.checkpoint.version,
    }
