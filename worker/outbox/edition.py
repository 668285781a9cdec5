"""The manifest of a shoot, made from the rows of its frames: at first, and when they change."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version

from worker.finish.presets import Preset
from worker.outbox.manifest import (
    CheckpointRecord,
    FrameRow,
    Manifest,
    PresetRecord,
    now,
    status_of,
)
from worker.outbox.turn import with_turn_flags
from worker.shoots import Frame, turn_remarks


def first_edition(
    shoot: str,
    rows: Iterable[FrameRow],
    preset: Preset,
    *,
    chosen: str | None,
    pictures: list[str],
    checkpoint: CheckpointRecord,
    started: str,
    attempts: int = 1,
) -> Manifest:
    """The manifest of a shoot whose frames are ``rows``, dressed as ``preset`` says. ``chosen`` is
    the name by which a person gave the shoot that preset, if one did; ``pictures`` are those of it
    that lie among the photos; ``started`` is as :func:`now` gives it."""
    ordered = sorted(rows, key=lambda row: (row.angle, row.name))
    frames = [Frame(row.name, row.angle, row.source.source()) for row in ordered]
    return Manifest(
        shoot=shoot,
        status=status_of(ordered, preset.on_failed_frame),
        preset=PresetRecord(
            name=preset.name, digest=preset.digest, chosen=chosen, pictures=pictures
        ),
        checkpoint=checkpoint,
        program=version("cyclorama"),
        started=started,
        finished=now(),
        attempts=attempts,
        remarks=turn_remarks(frames, preset.frames),
        frames=with_turn_flags(ordered, full_turn=preset.frames),
    )


def next_edition(
    edition: Manifest,
    rows: Iterable[FrameRow],
    preset: Preset,
    *,
    chosen: str | None,
    started: str,
) -> Manifest:
    """The manifest of a finished shoot whose frames are ``rows`` now; ``chosen`` as above."""
    return first_edition(
        edition.shoot,
        rows,
        preset,
        chosen=chosen,
        pictures=edition.preset.pictures,
        checkpoint=edition.checkpoint,
        started=started,
        attempts=edition.attempts,
    )
