"""The next edition of a finished shoot, made from its rows without the network."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version

from worker.finish.presets import Preset
from worker.outbox.manifest import FrameRow, Manifest, PresetRecord, now, status_of
from worker.outbox.turn import with_turn_flags
from worker.shoots import Frame, turn_remarks


def remarks_on(rows: Iterable[FrameRow], preset: Preset) -> list[str]:
    """What is to be said of a shoot of these frames as a whole."""
    frames = [Frame(row.name, row.angle, row.source.source()) for row in rows]
    return turn_remarks(frames, preset.frames)


def next_edition(
    edition: Manifest,
    rows: Iterable[FrameRow],
    preset: Preset,
    *,
    chosen: str | None,
    started: str,
) -> Manifest:
    """The manifest of a shoot whose frames are ``rows`` now, dressed as ``preset`` says.
    ``chosen`` is the name by which a person gave it the preset, if one did, and ``started`` as
    :func:`now` gives it."""
    ordered = sorted(rows, key=lambda row: (row.angle, row.name))
    return edition.model_copy(
        update={
            "status": status_of(ordered, preset.on_failed_frame),
            "preset": PresetRecord(
                name=preset.name,
                digest=preset.digest,
                chosen=chosen,
                pictures=edition.preset.pictures,
            ),
            "program": version("cyclorama"),
            "started": started,
            "finished": now(),
            "remarks": remarks_on(ordered, preset),
            "frames": with_turn_flags(ordered, full_turn=preset.frames),
        }
    )
