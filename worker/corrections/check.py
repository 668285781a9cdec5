"""Is this a mask of that frame? What a corrected mask must be, and in words what it is not.

It may be larger or smaller than the photo, of the same shape; of two levels or with a soft edge;
grey, RGB, or in the alpha channel. Imports no torch: the watcher refuses what the worker would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_core.images import ImageError, read_mask
from worker.errors import CorrectionError

Pixels = NDArray[np.uint8]

SMALLEST = 0.25
"""Of the photo's sides: from a smaller mask an edge would have to be guessed."""
COMPARED_PX = 256
"""Long side at which masks are held against each other."""
LIKE = 0.5
"""Dice that a correction has with the mask that it corrects, at least: a mirror or an antenna is
little, and even a windscreen that was taken for wall leaves more."""
SIBLING = 0.98, 0.03
"""A correction is another frame's where it has so much Dice with it, and so much more than with
its own: two neighbours of a turn of 16 do not come near."""


@dataclass(frozen=True)
class Known:
    """What earlier work says of a frame."""

    width: int
    """Of the photo, in px; ``height`` likewise."""
    height: int
    own: Path | None = None
    """The frame's mask in the latest edition."""
    others: Mapping[str, Path] = field(default_factory=dict)
    """The masks of the shoot's other frames, by name."""


def read_correction(path: Path, known: Known) -> Pixels:
    """The corrected mask in ``path``, (h, w) uint8, 255 = subject, as it was drawn.

    Raises :class:`CorrectionError` that says what is wrong and what to do.
    """
    from unet_core.audit import wrong_mask

    try:
        mask = read_mask(path)
    except ImageError as error:
        raise CorrectionError(str(error)) from error
    _require_shape(path, mask, known)
    if wrong_mask(mask) and (wrong := wrong_mask(_drawn(mask, known.own))):
        what, cure = wrong
        raise CorrectionError(f"{path.name} {what}", cure=f"{cure[:1].upper()}{cure[1:]}")
    _require_subject(path, mask, known)
    return mask


def _drawn(mask: Pixels, own: Path | None) -> Pixels:
    """The mask with what is as it was delivered in two levels: where the network was unsure, the
    grey is ours and nobody's mistake."""
    try:
        ours = read_mask(own) if own else mask[:0]
    except (OSError, ImageError):
        return mask
    if ours.shape != mask.shape:
        return mask
    return np.where(mask == ours, np.where(ours >= 128, np.uint8(255), np.uint8(0)), mask)


def _require_shape(path: Path, mask: Pixels, known: Known) -> None:
    height, width = mask.shape
    size, photo = f"{width}×{height}", f"{known.width}×{known.height}"
    off_by = min(
        abs(height - known.height * width / known.width),
        abs(width - known.width * height / known.height),
    )
    if off_by > 1:
        raise CorrectionError(
            f"{path.name} is {size} and its photo {photo} upright: not the same shape",
            cure="Draw it on the whole photo, not cropped and not turned",
        )
    if width < SMALLEST * known.width:
        raise CorrectionError(
            f"{path.name} is {size}, too small for a photo of {photo}",
            cure="Export it at the photo's own size",
        )


def _require_subject(path: Path, mask: Pixels, known: Known) -> None:
    drawn, own = _small(mask, known), _stored(known.own, known)
    if own is None:
        edge = np.concatenate([drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]])
        if edge.mean() > 0.5:
            raise _inverted(path)
        return
    if not own.any():
        return  # the network saw nothing: everything corrects it
    likeness = _dice(drawn, own)
    if likeness < LIKE and _dice(~drawn, own) > max(likeness, LIKE):
        raise _inverted(path)
    if likeness < SIBLING[0]:
        _require_no_sibling(path, drawn, known, likeness)
    if likeness < LIKE:
        raise CorrectionError(
            f"{path.name} marks something quite different from the mask that it corrects "
            f"(Dice {likeness:.2f}): another car's?",
            cure=f"See that it is named like its frame; if it is right, put it in the place of "
            f"{known.own} and run: cyclorama reprocess",
        )


def _require_no_sibling(path: Path, drawn: NDArray[np.bool_], known: Known, own: float) -> None:
    for name, file in known.others.items():
        other = _stored(file, known)
        likeness = 0.0 if other is None else _dice(drawn, other)
        if likeness >= SIBLING[0] and likeness > own + SIBLING[1]:
            raise CorrectionError(
                f"{path.name} is the mask of the frame {name} (Dice {likeness:.3f}; {own:.3f} "
                "with its own)",
                cure=f"Name it {name}.png",
            )


def _inverted(path: Path) -> CorrectionError:
    return CorrectionError(
        f"{path.name} is inverted: it marks the background",
        cure="Export it with the car white and the rest black",
    )


def _stored(path: Path | None, known: Known) -> NDArray[np.bool_] | None:
    """A mask of the edition; ``None`` where there is none that can be read."""
    try:
        return _reduced(path, path.stat().st_mtime_ns, known.width, known.height) if path else None
    except (OSError, ImageError):
        return None


@lru_cache(maxsize=128)
def _reduced(path: Path, _: int, width: int, height: int) -> NDArray[np.bool_]:
    """Kept from one correction of a shoot to the next: each is held against all of its masks. The
    number is the file's time."""
    return _small(read_mask(path), Known(width, height))


def _small(mask: Pixels, known: Known) -> NDArray[np.bool_]:
    import cv2

    scale = min(1.0, COMPARED_PX / max(known.width, known.height))
    size = max(1, round(known.width * scale)), max(1, round(known.height * scale))
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA)) >= 128


def _dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0
