"""What must hold in a studio that has come to rest, whatever happened before."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from redis import Redis

from tests.studio import Studio, sha256
from worker.intake.scan import look
from worker.outbox.manifest import read_manifest
from worker.shoots import Source, group

REPORTS = {"manifest.json", "contact-sheet.jpg", "spin.html"}


def losses(studio: Studio, redis: Redis) -> list[str]:
    """A sentence for everything that is lost, broken or left over; empty when all is well."""
    found = []
    for shoot in group(look(studio.inbox).sources.values()):
        photos = [frame.source for frame in shoot.frames]
        found += _of_shoot(studio.outbox / shoot.name, photos)
    for path in _below(studio.outbox):
        if path.name.endswith(".part"):
            found.append(f"a temporary file: {path}")
    staging = studio.outbox / ".staging"
    found += [f"left in staging: {path}" for path in _below(staging)]
    found += [f"a lease is still held: {key!r}" for key in redis.keys("cyclorama:lease:*")]  # type: ignore[union-attr]
    return found


def _below(folder: Path) -> list[Path]:
    """Everything in a folder, some of which may go away meanwhile."""
    return [
        Path(place, name)
        for place, folders, files in os.walk(folder)
        for name in (*folders, *files)
    ]


def _of_shoot(folder: Path, photos: list[Source]) -> list[str]:
    manifest = read_manifest(folder)
    if manifest is None:
        return [f"{folder.name} is not delivered"]
    found = []
    paths = {photo.path for photo in photos}
    # A frame that was made before its photo was taken out of the inbox may stay.
    rows = [row for row in manifest.frames if row.source.path in paths or row.error]
    if Counter(row.source.source() for row in rows) != Counter(photos):
        found.append(f"{folder.name} has rows for {rows} and photos {photos}")
    named = set()
    for row in manifest.frames:
        if bool(row.error) == bool(row.outputs):
            found.append(f"{folder.name}/{row.name} has a result and an error, or neither")
        for output in row.outputs.values():
            named.add(output.path)
            if not (folder / output.path).is_file():
                found.append(f"{folder / output.path} is not there")
            elif sha256(folder / output.path) != output.sha256:
                found.append(f"{folder / output.path} is not what the manifest says")
    there = {p.relative_to(folder).as_posix() for p in _below(folder) if p.is_file()}
    if there - named - REPORTS:
        found.append(f"{folder.name} holds {there - named - REPORTS} that nobody named")
    return found
