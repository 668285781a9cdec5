"""The corrections of one shoot, held against its latest edition.

file ─ check ─ fitted to the photo ─ shelf ─▶ the frame's mask
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_core.files import sha256
from unet_core.images import Photo, encode_mask
from worker.corrections.check import Known, read_correction
from worker.corrections.drops import frame_of, look_at, unanswered
from worker.corrections.shelf import FOLDER, Entry, Shelf
from worker.errors import CorrectionError, FolderError
from worker.outbox.manifest import Edition, FrameRow, SourceRecord, now
from worker.shoots import Source

log = logging.getLogger(__name__)
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Corrected:
    """The mask (H, W) uint8 of a frame, as large as its photo, and the file that it is from."""

    alpha: Pixels
    record: SourceRecord


class Desk:
    """Where the corrections of one shoot are looked at and taken up."""

    def __init__(self, folder: Path, shoot: str, edition: Edition | None) -> None:
        """``folder`` is the corrections folder, ``edition`` the shoot's latest, if it has one."""
        self.folder, self.shoot = folder, shoot
        self._edition = edition
        self._shelf = Shelf(folder / FOLDER)

    @cached_property
    def waiting(self) -> dict[str, Source]:
        """The files that can be used and that the edition was not made from yet, by name of the
        frame; as they were when this was first asked."""
        found = {}
        for frame, file in unanswered(look_at(self.folder, self.shoot), self._edition).items():
            try:
                self.examine(file)
                found[frame] = file
            except CorrectionError as error:
                log.warning("%s: %s", file.path, error)
        return found

    def examine(self, file: Source) -> Pixels:
        """The mask in a file for a frame of the edition, as it was drawn.

        Raises :class:`CorrectionError` when it is not to be used, with the cure.
        """
        name = frame_of(file)
        row = self._row(name)
        if row is None:
            names = (
                ", ".join(r.name for r in self._edition.manifest.frames) if self._edition else ""
            )
            raise CorrectionError(
                f"the shoot {self.shoot} has no frame {name!r}", cure=f"It has: {names or 'none'}"
            )
        if row.error:
            raise CorrectionError(
                f"the frame {name} failed: {row.error.message}", cure="Mend its photo first"
            )
        return self._read(file, row.source.sha256 or "", (row.width or 1, row.height or 1))

    def mask_of(self, frame: str, angle: int, photo: Photo, path: Path) -> Corrected | None:
        """The corrected mask of a frame that is made now, taken onto the shelf; ``None`` where
        there is none that can be used. ``path`` is where the photo lies."""
        file = look_at(self.folder, self.shoot).get(frame)
        height, width = photo.pixels.shape[:2]
        if file is not None:
            try:
                drawn = self._read(file, photo.sha256, (width, height))
                return self._take_up(frame, angle, photo, path, file, drawn)
            except CorrectionError as error:
                log.warning("%s: %s", file.path, error)
        return self._kept(frame, photo)

    def _kept(self, frame: str, photo: Photo) -> Corrected | None:
        try:
            entry = self._shelf.of_photo(photo.sha256)
        except FolderError as error:
            if (row := self._row(frame)) and row.mask == "corrected":
                raise  # a person's work would be lost
            log.error("%s", error)
            return None
        return Corrected(self._shelf.mask(entry), entry.source) if entry else None

    def _take_up(
        self, frame: str, angle: int, photo: Photo, path: Path, file: Source, drawn: Pixels
    ) -> Corrected:
        data, correction = _bytes_of(path), self._bytes_of(file)
        if sha256(data) != photo.sha256:
            raise FolderError(f"{path} changed while it was read", cure="It is tried again")
        record = SourceRecord(
            path=file.path, size=file.size, mtime_ns=file.mtime_ns, sha256=sha256(correction)
        )
        alpha = fitted(drawn, photo.pixels)
        entry = Entry(
            car=self.shoot,
            shoot=self.shoot,
            frame=frame,
            picture=path.name,
            mask="",
            source=record,
            photo_sha256=photo.sha256,
            mask_sha256="",
            date=now(),
        )
        entry = self._shelf.put(entry, data, encode_mask(alpha), angle=angle)
        if entry.replaces:
            log.warning("%s replaces an earlier correction of the same frame", file.path)
        return Corrected(alpha, record)

    def _read(self, file: Source, photo_sha256: str, size: tuple[int, int]) -> Pixels:
        path = self.folder / file.path
        drawn = read_correction(path, self._known(file, photo_sha256, size))
        earlier = self._shelf.drawn_for(sha256(self._bytes_of(file)))
        if earlier and all(entry.photo_sha256 != photo_sha256 for entry in earlier):
            raise CorrectionError(
                f"{path.name} was drawn for another photo, {earlier[-1].shoot}/{earlier[-1].frame} "
                f"as it was on {earlier[-1].date[:10]}",
                cure="Draw it on today's photo, or take it away",
            )
        return drawn

    def _bytes_of(self, file: Source) -> bytes:
        try:
            return (self.folder / file.path).read_bytes()
        except OSError as error:
            raise CorrectionError(
                f"{self.folder / file.path} cannot be read ({error.strerror})",
                cure="Save it again, or look at its rights",
            ) from error

    def _known(self, file: Source, photo_sha256: str, size: tuple[int, int]) -> Known:
        name = frame_of(file)
        row = self._row(name)
        if self._edition is None or row is None or row.source.sha256 != photo_sha256:
            return Known(*size)
        masks = {
            r.name: self._edition.folder / r.outputs["mask"].path
            for r in self._edition.manifest.frames
            if "mask" in r.outputs
        }
        return Known(*size, own=masks.pop(name, None), others=masks)

    def _row(self, frame: str) -> FrameRow | None:
        rows = self._edition.manifest.frames if self._edition else []
        return next((row for row in rows if row.name == frame), None)


def _bytes_of(photo: Path) -> bytes:
    try:
        return photo.read_bytes()
    except OSError as error:
        raise FolderError(
            f"the photo {photo} cannot be read any more ({error.strerror})",
            cure="Look at the inbox; the shoot is tried again by itself",
        ) from error


def fitted(mask: Pixels, pixels: Pixels) -> Pixels:
    """A corrected mask (h, w) as large as its photo (H, W, 3): as it is, averaged where it is
    larger, and where it is smaller with its edges found in the photo as for the network's."""
    import cv2

    from unet_core.refine import refine

    height, width = pixels.shape[:2]
    if mask.shape == (height, width):
        return mask
    if mask.shape[0] >= height:
        return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return refine(mask, pixels)
