"""Labelled pictures in the Carvana layout, split by car.

    <root>/train/<car>_<NN>.jpg              the picture
    <root>/train_masks/<car>_<NN>_mask.gif   its mask, values 0 and 1 (or 0 and 255)

The frames of one car are siblings: a split by picture would put nearly the same picture on
both sides. So the split is by car, and it follows from the car's name alone: adding cars never
moves one across.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_core.images import ImageError, decode, read_mask

Picture = NDArray[np.uint8]


class DataError(Exception):
    """A training folder cannot be used; the message names the folder, the files and the cure."""


@dataclass(frozen=True)
class Pair:
    """One labelled picture: where it lies, and whose it is."""

    image: Path
    mask: Path
    car: str
    rendered: bool = False
    """Whether it comes from the rendered booth and not from a camera."""

    @property
    def angle(self) -> int:
        """The number behind the last underscore of the picture's name."""
        return int(self.image.stem.rpartition("_")[2])


def find_pairs(root: Path, *, rendered: bool = False) -> list[Pair]:
    """Every labelled picture below ``root``, sorted by name.

    Raises :class:`DataError` when the layout is not there, a picture has no mask or a mask no
    picture, or a name does not end in ``_NN``.
    """
    images, masks = root / "train", root / "train_masks"
    if not images.is_dir() or not masks.is_dir():
        raise DataError(f"{root} is not in the Carvana layout: it needs train/ and train_masks/")
    found = {path.stem: path for path in images.glob("*.jpg")}
    labels = {path.stem.removesuffix("_mask"): path for path in masks.glob("*_mask.gif")}
    if alone := sorted(found.keys() ^ labels.keys()):
        raise DataError(
            f"{root}: {len(alone)} pictures without mask or masks without picture, first "
            f"{', '.join(alone[:5])}; add what is missing or move them away"
        )
    if not found:
        raise DataError(f"{images} holds no .jpg picture")
    if odd := [stem for stem in sorted(found) if not stem.rpartition("_")[2].isdecimal()]:
        raise DataError(f"{images / odd[0]}.jpg: a name must end in _NN, the angle's number")
    return [
        Pair(found[stem], labels[stem], stem.rpartition("_")[0], rendered) for stem in sorted(found)
    ]


def read_pair(pair: Pair) -> tuple[Picture, Picture]:
    """The picture (H, W, 3) uint8 sRGB and its mask (H, W) uint8, 255 = subject.

    Raises :class:`DataError` when one cannot be read or they differ in size.
    """
    try:
        pixels, mask = decode(pair.image).srgb(), read_mask(pair.mask)
    except ImageError as error:
        raise DataError(str(error)) from error
    if pixels.shape[:2] != mask.shape:
        raise DataError(
            f"{pair.image} is {pixels.shape[1]}×{pixels.shape[0]} px upright, its mask {pair.mask} "
            f"{mask.shape[1]}×{mask.shape[0]}; draw the mask again on the upright picture"
        )
    return pixels, mask


def is_holdout(car: str, *, share: float = 0.15) -> bool:
    """Whether a car is kept out of all training; follows from its name alone."""
    digest = hashlib.sha256(f"cyclorama-holdout:{car}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share


def split_by_car(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """(training, holdout); rendered pictures are for training only."""
    holdout = [pair for pair in pairs if is_holdout(pair.car) and not pair.rendered]
    return [pair for pair in pairs if not is_holdout(pair.car) or pair.rendered], holdout
