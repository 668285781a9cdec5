"""What a job asks for, held against the frames of earlier work. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from worker.outbox.manifest import FrameRow, Manifest
from worker.queue.messages import JobMessage
from worker.shoots import Source


def is_missing(row: FrameRow) -> bool:
    """Whether the photo was not there when its picture was to be made."""
    return row.error is not None and row.error.code == "missing"


@dataclass(frozen=True)
class Wanted:
    """Which frames a job asks for, and how they are to be made."""

    names: dict[Source, str]
    """Name of the frame for each photo in its present state."""
    angles: frozenset[int]
    made_with: tuple[str, str]
    """Digest of the preset and hash of the checkpoint."""
    retry: bool
    corrections: Mapping[str, Source]
    """Corrected masks that no edition was made from yet, by name of the frame."""

    @classmethod
    def of(
        cls, message: JobMessage, preset: str, checkpoint: str, corrections: Mapping[str, Source]
    ) -> Wanted:
        """What ``message`` asks for, made with this preset and this checkpoint."""
        frames = message.to_frames()
        names = {frame.source: frame.name for frame in frames}
        angles = frozenset(frame.angle for frame in frames)
        return cls(names, angles, (preset, checkpoint), message.retry, corrections)

    def asks_for(self, row: FrameRow) -> bool:
        """Whether the row is just what would be made again."""
        same = self.names.get(row.source.source()) == row.name
        drawn = self.corrections.get(row.name)
        same = same and drawn in (None, row.correction and row.correction.source())
        made_alike = (row.preset, row.checkpoint) == self.made_with
        again = is_missing(row) or (row.error and self.retry)
        return same and made_alike and not again

    def outlived_by(self, row: FrameRow) -> bool:
        """Whether the row is a delivered frame whose photo is no longer in the inbox."""
        paths = {source.path for source in self.names}
        taken = row.name in self.names.values() or row.angle in self.angles
        return not row.error and not taken and row.source.path not in paths

    def renamed(self, rows: Iterable[FrameRow]) -> list[str]:
        """The names of delivered frames whose photo is in the inbox under another name: of a turn
        of which somebody renamed all photos, each would be there twice."""
        rows = list(rows)
        asked = set(self.names.values())
        photos = {row.source.sha256 for row in rows if row.name in asked} - {None}
        return [r.name for r in rows if r.name not in asked and r.source.sha256 in photos]

    def is_answered_by(self, edition: Manifest) -> bool:
        """Whether an edition has a row for each photo, however it was made."""
        rows = {row.source.source(): row.name for row in edition.frames}
        return not self.retry and all(rows.get(s) == name for s, name in self.names.items())

    def is_met(self, edition: Manifest) -> bool:
        """Whether an edition of the shoot is what the job would make."""
        asked = {row.name for row in edition.frames if self.asks_for(row)}
        rest = [row for row in edition.frames if row.name not in asked]
        return asked == set(self.names.values()) and all(map(self.outlived_by, rest))
