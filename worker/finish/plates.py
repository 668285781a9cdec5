"""Plates: photos of the empty booth, from which a real shadow is read most truly.

They lie in the inbox's folder ``plate``: one for all angles, or one an angle, whose name ends in
the angle's number as a photo's does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_core.images import ImageError, decode
from unet_core.suffixes import PHOTO_SUFFIXES
from worker.errors import PlateError
from worker.shoots import ignored

_NUMBER = re.compile(r"(\d+)$")
MOST_KEPT = 2
"""Plates in memory at once."""
_SAME_ASPECT = 0.01
"""A plate whose sides differ by less, in proportion, is the same view at another size."""

Pixels = NDArray[np.uint8]


@dataclass
class Plates:
    """The plates of an inbox; without a folder there are none. Safe from many threads."""

    folder: Path | None = None
    _kept: dict[Path, Pixels] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def of(self, angle: int, shape: tuple[int, ...]) -> Pixels | None:
        """The empty booth (H, W, 3) uint8 RGB for a photo of ``shape`` (H, W, …); None if there
        is no plate for this angle.

        Raises :class:`PlateError` when the plate cannot be read or shows another view.
        """
        path = self._paths.get(angle) or self._paths.get(None)
        if path is None:
            return None
        with self._lock:
            if path not in self._kept:
                while len(self._kept) >= MOST_KEPT:  # one for each angle is asked for once
                    self._kept.pop(next(iter(self._kept)))
                self._kept[path] = _read(path, within=path.parent.parent)
            plate = self._kept[path]
        height, width = shape[:2]
        if plate.shape[:2] == (height, width):
            return plate
        if abs(plate.shape[1] * height / (plate.shape[0] * width) - 1) > _SAME_ASPECT:
            raise PlateError(
                f"the plate {path} is {plate.shape[1]}×{plate.shape[0]}, "
                f"the photo {width}×{height}",
                cure="Photograph the empty booth with the camera as it stands for the cars",
            )
        return np.asarray(
            cv2.resize(plate, (width, height), interpolation=cv2.INTER_AREA), np.uint8
        )

    @cached_property
    def _paths(self) -> dict[int | None, Path]:
        """By angle; the plate for every other angle is that of None."""
        if self.folder is None or not self.folder.is_dir():
            return {}
        found: dict[int | None, Path] = {}
        photos = [
            path
            for path in sorted(self.folder.iterdir())
            if path.suffix.lower() in PHOTO_SUFFIXES and not ignored(path.name)
        ]
        for path in photos:
            number = _NUMBER.search(path.stem)
            found[int(number[1]) if number and len(photos) > 1 else None] = path
        return found


def _read(path: Path, *, within: Path) -> Pixels:
    try:
        return decode(path, within=within).pixels
    except ImageError as error:
        raise PlateError(
            f"the plate {path} cannot be used: {error.what}", cure=error.cure
        ) from error
