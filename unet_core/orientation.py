"""Which way up a photo lies, told by how sure a network is of what it sees in small.

A camera that is held otherwise, and does not say so in the photo, has cars stand on their noses.
A network that has seen cars on their wheels alone still finds most of such a car, but is less sure
of its outline. So where a first look leaves doubt, the picture is turned and looked at again, and
what is clearly surer is believed. A doubt that stays great whatever is turned tells nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_core.region import LEAST_SHARE

Picture = NDArray[np.uint8]
Looks = Callable[[Sequence[Picture]], Sequence[Picture]]
"""N pictures (h, w, 3) uint8 sRGB of one size → N masks (h, w) uint8, 255 = subject."""

SURE = 7.5
"""Up to this doubt a picture is not turned at all: of upright photos five in six."""
BELIEVED = 9.5
"""What is in greater doubt shows no subject, whichever way it is turned."""
CLEARLY = 1.2
"""Another way is taken if it is so many times surer."""


def upright(
    pictures: Sequence[Picture], masks: Sequence[Picture], look: Looks
) -> list[tuple[int, Picture]]:
    """For each of N pictures (h, w, 3) uint8 sRGB of one size by how many times 90° it has to be
    turned anticlockwise for its subject to stand on its feet, 0 to 3, and its mask when so turned.
    ``masks`` (h, w) uint8 are what ``look`` makes of them as they are."""
    ways = [{0: mask} for mask in masks]
    doubtful = [number for number, mask in enumerate(masks) if doubt(mask) > SURE]
    for times in (1, 2, 3) if doubtful else ():
        found = look([turned(pictures[number], times) for number in doubtful])
        for number, mask in zip(doubtful, found, strict=True):
            ways[number][times] = mask
    chosen = [_surest(seen) for seen in ways]
    return [(times, seen[times]) for times, seen in zip(chosen, ways, strict=True)]


def _surest(masks: Mapping[int, Picture]) -> int:
    """Which of a picture's ``masks``, by how many times it was turned, is to be believed."""
    doubts = {times: doubt(mask) for times, mask in masks.items()}
    surest = min(doubts, key=doubts.__getitem__)
    return surest if doubts[surest] < min(BELIEVED, doubts[0] / CLEARLY) else 0


def turned(picture: Picture, times: int) -> Picture:
    """(h, w) or (h, w, 3), by ``times`` 90° anticlockwise: itself for 0, else one of its own."""
    return np.ascontiguousarray(np.rot90(picture, times)) if times % 4 else picture


def doubt(mask: Picture) -> float:
    """How much of a mask (h, w) uint8 is undecided or lies at the picture's border, in pixels for
    each pixel of the side of a square as large as its subject: 4 to 8 for a car that is plain to
    see, whatever its size. Infinite where there is no more than a speck."""
    if cv2.countNonZero(cv2.inRange(mask, 128, 255)) < LEAST_SHARE * mask.size:
        return float("inf")
    undecided = np.minimum(mask, 255 - mask).sum(dtype=np.int64)
    ends = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    at_border = sum(int(end.sum(dtype=np.int64)) for end in ends)
    return float(undecided + at_border) / math.sqrt(255 * int(mask.sum(dtype=np.int64)))
