"""Where in a picture the subject is, so that only there it is looked at in full.

    picture ─ reduced ─ network ─▶ where it is ─ cropped ─ network ─▶ that part of the mask
                                      └─ nowhere, nearly everywhere, or cut off: the whole picture

A car fills half of a booth's photo. What is found in the small picture costs a sixteenth of the
large one and need not be right in detail: a margin is looked at with it, and where the subject
reaches the margin's end, it was not all of it.
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
MARGIN = 1 / 24
"""Of the picture's long side: an antenna that the small picture does not show is there as well."""
WORTH = 0.75
"""A region that is a larger share of the picture than this saves nothing."""


def mask_by_region(picture: Picture, look: Look, stride: int) -> Picture:
    """The mask (h, w) uint8 of ``picture`` (h, w, 3) uint8 sRGB, looked at where its subject is.

    Nothing is subject outside the region. Its sides are multiples of the network's ``stride``
    where the picture's own border does not end them.
    """
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (width // REDUCED, height // REDUCED), interpolation=cv2.INTER_AREA)
    region = region_of(look(np.asarray(small, np.uint8)), (height, width), stride)
    if region is None:
        return look(picture)
    part = look(np.ascontiguousarray(picture[region]))
    if is_cut_off(part, region, (height, width)):
        return look(picture)
    mask = np.zeros((height, width), np.uint8)
    mask[region] = part
    return mask


def region_of(small: Picture, size: tuple[int, int], stride: int) -> Region | None:
    """What to look at of a picture of ``size`` (h, w) whose reduced mask is ``small`` (h', w')
    uint8; None where that is all of it, or nothing was found."""
    box = cv2.boundingRect(cv2.inRange(small, SEEN, 255))
    if not box[2]:
        return None
    margin = max(size) * MARGIN
    rows, columns = (
        _padded(box[axis], box[axis + 2], small.shape[1 - axis], size[1 - axis], margin, stride)
        for axis in (1, 0)
    )
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return None if area > WORTH * size[0] * size[1] else (rows, columns)


def _padded(first: int, count: int, of: int, side: int, margin: float, stride: int) -> slice:
    """``count`` of ``of`` places from ``first`` on, as pixels of ``side``, with a margin."""
    start = floor((first * side / of - margin) / stride) * stride
    stop = ceil(((first + count) * side / of + margin) / stride) * stride
    return slice(max(0, start), min(side, stop))


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
