"""Bad input found before training starts: every picture and mask of a folder is read once.

What a mask may be: two levels, or a soft edge between them. Grey is right where it lies within
half a percent of the long side of the outline, as area averaging, matting or one JPEG leave it.
Grey elsewhere (a photo saved as a mask, labels of several classes, half-transparent windows, a
mask that counts 0 and 100) would teach the network wrong shares, so more of it than one pixel in
a thousand is a problem; and so is a mask that is grey on more than a tenth of its area, because
then the outline itself is noise. A mask that marks nearly all of the border is inverted.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from unet_core.data import Pair, Picture, Problem, read_layout, refusal
from unet_core.images import ImageError, decode, read_mask
from unet_core.metrics import binary, distance_to, outline

Mode = Literal["strict", "skip"]
Progress = Callable[[int, int], None]

NEARLY = 16
"""Levels of 255 next to empty and full that count as these: what a JPEG's noise makes of them."""
EDGE_SHARE = 0.005
STRAY_SHARE = 0.001
GREY_SHARE = 0.1
INVERTED_SHARE = 0.9
SPECK_SHARE = 0.001
"""A mask with less than this share of subject is empty, with less of background full."""

THREADS = 4


@dataclass(frozen=True)
class Audit:
    """What of a labelled folder can be trained on, and why the rest cannot."""

    root: Path
    pairs: list[Pair]
    """Sorted by name; picture and mask were read, and fit."""
    problems: list[Problem]

    def usable(self, mode: Mode) -> list[Pair]:
        """The pairs to train on: in ``skip`` those that are good, in ``strict`` all or none.

        Raises :class:`DataError` in ``strict`` for any problem, and in both when nothing is left.
        """
        if self.problems and (mode == "strict" or not self.pairs):
            raise refusal(self.root, self.problems)
        return self.pairs


def audit(
    root: Path,
    *,
    rendered: bool = False,
    on_file: Progress = lambda done, total: None,
) -> Audit:
    """Reads every labelled picture below ``root`` as training will.

    ``on_file`` is called from the calling thread with (files read, files to read). Raises
    :class:`DataError` only when the layout is not there at all.
    """
    layout = read_layout(root, rendered=rendered)
    pairs, problems = [], list(layout.problems)
    with ThreadPoolExecutor(THREADS) as pool:
        for done, (pair, found) in enumerate(
            zip(layout.pairs, pool.map(check_pair, layout.pairs), strict=True), start=1
        ):
            problems += found
            if not found:
                pairs.append(pair)
            on_file(2 * done, 2 * len(layout.pairs))
    return Audit(root, pairs, problems)


def check_pair(pair: Pair) -> list[Problem]:
    """What is wrong with one picture and its mask; empty when both are fit for training."""
    problems, pixels, mask = [], None, None
    try:
        pixels = decode(pair.image).srgb()
    except ImageError as error:
        problems.append(_unreadable(pair.image, error, error.cure.rstrip(".")))
    try:
        mask = read_mask(pair.mask)
    except ImageError as error:
        problems.append(_unreadable(pair.mask, error, "export or draw the mask again"))
    if mask is None:
        return problems
    if pixels is not None and pixels.shape[:2] != mask.shape:
        what = f"is {_size(mask)}, its picture {pair.image.name} {_size(pixels)} upright"
        problems.append(Problem(pair.mask, what, "draw it again on the upright picture"))
    if wrong := wrong_mask(mask):
        problems.append(Problem(pair.mask, *wrong))
    elif _border_share(mask) > INVERTED_SHARE:
        what = "is inverted: nearly all of the picture's border is marked as subject"
        problems.append(Problem(pair.mask, what, "exchange subject and background"))
    return problems


def wrong_mask(mask: Picture) -> tuple[str, str] | None:
    """What is wrong with a mask (H, W) uint8, 255 = subject, and the cure; ``None`` for a good
    one."""
    histogram = np.bincount(mask.ravel(), minlength=256)
    shares = histogram / mask.size
    grey, subject = shares[NEARLY : 256 - NEARLY].sum(), shares[128:].sum()
    present = np.flatnonzero(histogram)
    levels = f"{len(present)} levels from {present[0]} to {present[-1]}"
    if grey > STRAY_SHARE and (grey > GREY_SHARE or _stray_share(mask) > STRAY_SHARE):
        what = f"is grey on {grey:.1%} of its area, and not only along the edge ({levels})"
        return what, "draw subject and background with two levels, such as 0 and 255"
    if subject < SPECK_SHARE:
        what = f"is empty: nothing is marked as subject ({levels})"
        return what, "draw the subject, or take the pair away"
    if subject > 1 - SPECK_SHARE:
        return "is full: all is marked as subject", "draw the background, or take the pair away"
    return None


def _border_share(mask: Picture) -> float:
    """Share of the outermost pixels that are subject."""
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return float((border >= 128).mean())


def _stray_share(mask: Picture) -> float:
    """Share of pixels that are grey and far from every edge."""
    reach = max(2.0, EDGE_SHARE * max(mask.shape))
    far = distance_to(outline(binary(mask))) > reach
    between = np.asarray(cv2.inRange(mask, NEARLY, 255 - NEARLY)) > 0
    return float((between & far).mean())


def _unreadable(file: Path, error: ImageError, cure: str) -> Problem:
    what = error.what.removeprefix(f"{file.name!r} ")
    return Problem(file, what, cure[:1].lower() + cure[1:])


def _size(picture: Picture) -> str:
    return f"{picture.shape[1]}×{picture.shape[0]} px"
