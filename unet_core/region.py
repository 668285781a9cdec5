"""Where in a picture the subject is, so that only there it is looked at in full.

    picture ─ reduced ─ network ─▶ where it is ─ cropped ─ network ─▶ that part of the mask
                                      └─ not sure, or nearly everywhere: the whole picture

A car fills half of a booth's photo. What is found in the small picture costs a sixteenth of the
large one and need not be right in detail: a margin is looked at with it. It is not believed where
it shows little, where the subject goes on beyond the margin, or where a close look finds much less
than the small picture promised. Of several subjects, one that the small picture does not show is
lost.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Region = tuple[slice, slice]
"""Rows and columns."""
Look = Callable[[Picture], Picture]
"""(h, w, 3) uint8 sRGB → (h, w) uint8, 255 = subject."""

REDUCED = 4
"""The picture in which the subject is looked for is so many times smaller."""
SEEN = 64
"""Of 255: what is a quarter likely to be subject is looked at."""
LEAST_SHARE = 0.03
"""Of the picture: less is a speck, or a subject that is too small to be seen in small."""
KEPT = 0.7
"""So much of the area that the small picture showed is found again by a close look, or more."""
MARGIN = 1 / 24
"""Of the picture's long side: an antenna that the small picture does not show is there as well."""
STEP_PX = 128
"""Sides of regions are multiples of this: a runtime prepares itself for each new shape, and keeps
few of them at hand."""
WORTH = 0.75
"""A region that is a larger share of the picture than this saves nothing."""


def reduced(picture: Picture) -> Picture:
    """``picture`` (h, w, 3) uint8 as small as it is to find the subject in."""
    height, width = picture.shape[:2]
    size = max(1, width // REDUCED), max(1, height // REDUCED)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def mask_by_region(picture: Picture, small: Picture, look: Look) -> Picture:
    """The mask (h, w) uint8 of ``picture`` (h, w, 3) uint8 sRGB, looked at where its subject is;
    ``small`` (h', w') uint8 is what ``look`` makes of the picture :func:`reduced`.

    Nothing is subject outside the region.
    """
    height, width = picture.shape[:2]
    region = region_of(small, (height, width))
    if region is None:
        return look(picture)
    part = look(np.ascontiguousarray(picture[region]))
    found, promised = (cv2.countNonZero(cv2.inRange(m, 128, 255)) for m in (part, small))
    if found < KEPT * promised * REDUCED**2 or is_cut_off(part, region, (height, width)):
        return look(picture)
    mask = np.zeros((height, width), np.uint8)
    mask[region] = part
    return mask


def region_of(small: Picture, size: tuple[int, int]) -> Region | None:
    """What to look at of a picture of ``size`` (h, w) whose reduced mask is ``small`` (h', w')
    uint8; None where that is all of it, or little was found."""
    seen = cv2.inRange(small, SEEN, 255)
    if cv2.countNonZero(seen) < LEAST_SHARE * small.size:
        return None
    left, top, width, height = cv2.boundingRect(seen)
    margin = max(size) * MARGIN
    rows = _around(top, height, small.shape[0], size[0], margin)
    columns = _around(left, width, small.shape[1], size[1], margin)
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return None if area > WORTH * size[0] * size[1] else (rows, columns)


def _around(first: int, count: int, of: int, side: int, margin: float) -> slice:
    """``count`` of ``of`` places from ``first`` on, as pixels of ``side``, with a margin."""
    start = max(0, floor(first * side / of - margin))
    stop = min(side, ceil((first + count) * side / of + margin))
    length = min(side, ceil((stop - start) / STEP_PX) * STEP_PX)
    start = min(start, side - length)
    return slice(start, start + length)


def is_cut_off(part: Picture, region: Region, size: tuple[int, int]) -> bool:
    """Whether a subject's mask ``part`` (h, w) uint8 goes on beyond its ``region`` of a picture
    of ``size`` (h, w)."""
    rows, columns = region
    ends = (
        (rows.start > 0, part[0]),
        (rows.stop < size[0], part[-1]),
        (columns.start > 0, part[:, 0]),
        (columns.stop < size[1], part[:, -1]),
    )
    return any(inside and bool((line >= SEEN).any()) for inside, line in ends)
