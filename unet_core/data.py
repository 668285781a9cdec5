"""Labelled pictures in the Carvana layout, split by car.

    <root>/train/<car>_<NN>.jpg              the picture (any kind of photo)
    <root>/train_masks/<car>_<NN>_mask.gif   its mask, values 0 and 1 (or 0 and 255); or .png

The frames of one car are siblings: a split by picture would put nearly the same picture on
both sides. So the split is by car. Which cars are kept out follows from a list that is written
once (``holdout.py``), and where there is none from the car's name alone.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_core.images import ImageError, decode, read_mask
from unet_core.suffixes import PHOTO_SUFFIXES

Picture = NDArray[np.uint8]

MASK_SUFFIXES = frozenset({".gif", ".png"})
SHOWN_PROBLEMS = 5


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


@dataclass(frozen=True)
class Problem:
    """Why one file of a labelled folder cannot be used: a clause each, without a full stop."""

    file: Path
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.file.parent.name}/{self.file.name} {self.what}; {self.cure}"


@dataclass(frozen=True)
class Layout:
    """What the names in a labelled folder promise; no file was opened."""

    pairs: list[Pair]
    """Pictures with just one mask, sorted by name."""
    problems: list[Problem]


def read_layout(root: Path, *, rendered: bool = False) -> Layout:
    """What lies below ``root``, judged by names alone.

    Passes over dot files and whatever is neither picture nor mask by its suffix. Raises
    :class:`DataError` when the two folders are not there or hold no picture.
    """
    images, masks = root / "train", root / "train_masks"
    if not images.is_dir() or not masks.is_dir():
        raise DataError(f"{root} is not in the Carvana layout: it needs train/ and train_masks/")
    found = _by_stem(images, PHOTO_SUFFIXES)
    labels = _by_stem(masks, MASK_SUFFIXES)
    if not found:
        raise DataError(f"{images} holds no .jpg or other photo")
    pairs, problems = [], []
    for stem, files in found.items():
        masks_of = labels.pop(f"{stem}_mask", [])
        if wrong := list(_wrong_names(stem, files, masks_of)):
            problems += wrong
        else:
            pairs.append(Pair(files[0], masks_of[0], stem.rpartition("_")[0], rendered))
    problems += [_mask_alone(stem, file) for stem, files in labels.items() for file in files]
    return Layout(pairs, problems)


def find_pairs(root: Path, *, rendered: bool = False) -> list[Pair]:
    """Every labelled picture below ``root``, sorted by name; no file is opened.

    Raises :class:`DataError` when the layout is not there, a picture has no mask or a mask no
    picture, two files share a name, or a name does not end in ``_NN``.
    """
    layout = read_layout(root, rendered=rendered)
    if layout.problems:
        raise refusal(root, layout.problems)
    return layout.pairs


def find_photos(place: Path) -> list[Path]:
    """A photo itself, or every photo in a folder and below it, sorted; of a labelled folder only
    those in ``train/``. Raises :class:`DataError` when there is none."""
    if place.is_file():
        return [place]
    labelled = place / "train"
    folder = labelled if labelled.is_dir() else place
    found = sorted(path for path in folder.rglob("[!.]*") if path.suffix.lower() in PHOTO_SUFFIXES)
    if not found:
        raise DataError(f"{place} holds no .jpg or other photo")
    return found


def refusal(root: Path, problems: Sequence[Problem]) -> DataError:
    """The error that counts the problems of a folder and names the first of them."""
    count = "1 file" if len(problems) == 1 else f"{len(problems)} files"
    more = len(problems) - SHOWN_PROBLEMS
    lines = [f"{root}: {count} cannot be trained on"]
    lines += [f"  {problem}" for problem in problems[:SHOWN_PROBLEMS]]
    return DataError("\n".join(lines + ([f"  and {more} more"] if more > 0 else [])))


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


def lot(car: str) -> float:
    """What a car draws, in [0, 1); follows from its name alone."""
    digest = hashlib.sha256(f"cyclorama-holdout:{car}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def is_holdout(car: str, *, share: float = 0.15) -> bool:
    """Whether a car is kept out of all training where no list says so: its lot is small."""
    return lot(car) < share


def split_by_car(
    pairs: Sequence[Pair], holdout: Collection[str] | None = None
) -> tuple[list[Pair], list[Pair]]:
    """(training, holdout); rendered pictures are for training only.

    ``holdout`` names the cars that are kept out; without it, :func:`is_holdout` tells.
    """
    cars = {pair.car for pair in pairs if not pair.rendered}
    kept_out = {car for car in cars if (is_holdout(car) if holdout is None else car in holdout)}
    sides: tuple[list[Pair], list[Pair]] = ([], [])
    for pair in pairs:
        sides[pair.car in kept_out and not pair.rendered].append(pair)
    return sides


def _by_stem(folder: Path, suffixes: Collection[str]) -> dict[str, list[Path]]:
    """The files that share a name without its suffix, sorted by that name."""
    files = defaultdict(list)
    for path in folder.iterdir():
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            files[path.stem].append(path)
    return {stem: sorted(files[stem]) for stem in sorted(files)}


def _wrong_names(stem: str, files: list[Path], masks: list[Path]) -> Iterator[Problem]:
    """What is wrong with one picture's name, and with the number of its files."""
    one = files[0]
    car, _, angle = stem.rpartition("_")
    if not (car and angle.isdecimal()):
        what = "is not named <car>_<NN>: a name must end in _NN, the angle's number"
        yield Problem(one, what, "rename picture and mask")
    for group in (files, masks):
        for other in group[1:]:
            what = f"shares its name with {group[0].name}: nobody can tell which is meant"
            yield Problem(other, what, "take one of the two away")
    if not masks:
        cure = f"add train_masks/{stem}_mask.gif (or .png), or take the picture away"
        yield Problem(one, "has no mask", cure)


def _mask_alone(stem: str, file: Path) -> Problem:
    if not stem.endswith("_mask"):
        cure = f"rename it to {stem}_mask{file.suffix}, or take it away"
        return Problem(file, "is not named like a mask", cure)
    picture = f"train/{stem.removesuffix('_mask')}.jpg"
    return Problem(file, "is a mask without a picture", f"add {picture}, or take the mask away")
