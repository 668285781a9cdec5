"""The labelled pictures that corrections become, in the layout that training reads.

    <corrections>/.training/train/<car>_<NN>.jpg            a copy of the photo
    <corrections>/.training/train_masks/<car>_<NN>_mask.png the corrected mask, at its size
    <corrections>/.training/index.json                      what came from where, and when

What is here stays in force: a frame whose photo has its mask here gets it whenever it is made
again, also where the file that was dropped is long gone. A picture is written before its line in
the index; what the index does not name is written over.
"""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from unet_core.files import sha256, write_file
from unet_core.images import ImageError, read_mask
from worker.errors import FolderError
from worker.outbox.manifest import SourceRecord

FOLDER, INDEX = ".training", "index.json"
Pixels = NDArray[np.uint8]
_CAR_BYTES = 200
"""Of a car's name at most: angle, mark and suffix follow, and a file system takes 255."""


class Entry(BaseModel):
    """One corrected frame."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    car: str
    shoot: str
    frame: str
    picture: str
    """Path relative to the shelf; ``mask`` likewise."""
    mask: str
    source: SourceRecord
    """The file that was dropped, relative to the corrections folder."""
    photo_sha256: str
    mask_sha256: str
    date: str
    """ISO 8601, UTC."""
    replaces: str | None = None
    """Hash of the earlier correction that this one contradicts: the last one wins."""


class _Index(BaseModel):
    format: int = 1
    corrections: list[Entry] = []


class Shelf:
    """The labelled pictures in one folder; it need not be there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: tuple[tuple[int, int], list[Entry]] | None = None

    def entries(self) -> list[Entry]:
        """Every corrected frame, oldest first.

        Raises :class:`FolderError` when the index is there and cannot be read.
        """
        path = self.folder / INDEX
        try:
            stat = path.stat()
            state = (stat.st_mtime_ns, stat.st_ino)
            if self._read is None or self._read[0] != state:
                found = _Index.model_validate_json(path.read_bytes()).corrections
                self._read = (state, found)
            return list(self._read[1])
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise FolderError(
                f"{path}, the list of corrections, cannot be read ({reason})",
                cure="Bring it back from a backup",
            ) from error

    def of_photo(self, photo_sha256: str) -> Entry | None:
        """The correction of a photo, told by its content."""
        return next((e for e in self.entries() if e.photo_sha256 == photo_sha256), None)

    def mask(self, entry: Entry) -> Pixels:
        """The mask (H, W) uint8 of a corrected frame.

        Raises :class:`FolderError` when it cannot be read: without it a person's work would be
        lost, and no photo is to blame.
        """
        path = self.folder / entry.mask
        try:
            return read_mask(path)
        except ImageError as error:
            raise FolderError(
                f"{path}, the corrected mask that is in force for {entry.shoot}/{entry.frame}, "
                f"cannot be used ({error.what})",
                cure="Bring it back from a backup, or correct the frame again",
            ) from error

    def drawn_for(self, correction_sha256: str) -> list[Entry]:
        """What is here from a file of these bytes, oldest first."""
        return [e for e in self.entries() if e.source.sha256 == correction_sha256]

    def put(self, entry: Entry, photo: bytes, mask: bytes, *, angle: int) -> Entry:
        """Takes a corrected frame in: ``entry`` with the places of its files. An earlier
        correction of the same photo gives way and is named in ``replaces``.

        Raises :class:`FolderError` when the folder cannot be written.
        """
        with self._told(), self._locked():
            entries = self.entries()
            old = next((e for e in entries if e.photo_sha256 == entry.photo_sha256), None)
            rest = [e for e in entries if e is not old]
            car = old.car if old else entry.car  # its car is the photo's, whose copy it may be
            stem = Path(old.picture).stem if old else _stem(car, angle, rest)
            replaced = old.source.sha256 if old else None
            entry = entry.model_copy(
                update={
                    "car": car,
                    "picture": f"train/{stem}{Path(entry.picture).suffix.lower()}",
                    "mask": f"train_masks/{stem}_mask.png",
                    "mask_sha256": sha256(mask),
                    "replaces": replaced if replaced != entry.source.sha256 else None,
                }
            )
            write_file(self.folder / entry.picture, photo)
            write_file(self.folder / entry.mask, mask)
            index = _Index(corrections=[*rest, entry])
            write_file(self.folder / INDEX, index.model_dump_json(indent=1).encode())
        return entry

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the disk refuses, as an error of this folder: the outbox may lie on another one."""
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise FolderError(
                f"the corrections folder {self.folder.parent} cannot be written "
                f"({error.strerror or error})",
                cure=("Free some space there" if full else "Look at its rights and its disk")
                + "; the correction is tried again by itself",
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else writes the index until the block ends."""
        for part in ("train", "train_masks"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("ab") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _stem(car: str, angle: int, taken: list[Entry]) -> str:
    """``<car>_<NN>``, with the next number that is free where the angle is not."""
    car = car.encode()[:_CAR_BYTES].decode(errors="ignore")
    stems = {Path(entry.picture).stem for entry in taken}
    numbers = (angle, *range(1000, 1000 + len(stems) + 1))
    return next(stem for n in numbers if (stem := f"{car}_{n:02}") not in stems)
