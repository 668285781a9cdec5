"""What earlier attempts and editions left of a shoot."""

from __future__ import annotations

from worker.line.wanted import Wanted
from worker.outbox.manifest import Edition, FrameRow, load_manifest
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.shoots import only_look_apart


def editions(places: Places, shoot: str) -> list[Edition]:
    """What is held or delivered of a shoot, newest first; else what a crash between two renames
    left. Raises :class:`OSError` when that cannot be read now."""
    found = [
        Edition(folder, manifest)
        for folder in (places.held(shoot), places.published(shoot), places.retired(shoot))
        if (manifest := load_manifest(folder)) and not only_look_apart(manifest.shoot, shoot)
    ]
    retired = places.retired(shoot)
    return [each for each in found if each.folder != retired] or found


def done_already(places: Places, staging: Staging, wanted: Wanted) -> dict[str, FrameRow]:
    """Rows by name that need no work: finished before a crash, or in an earlier edition with the
    same preset and checkpoint, or of photos that are no longer in the inbox."""
    done = {row.name: row for row in staging.rows().values() if wanted.asks_for(row)}
    for edition in editions(places, staging.shoot):
        for row in edition.manifest.frames:
            usable = wanted.asks_for(row) or wanted.outlived_by(row)
            if usable and row.name not in done and staging.adopt(row, edition.folder):
                done[row.name] = row
    return done
