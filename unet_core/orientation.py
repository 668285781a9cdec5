"""Which way up a photo lies, told by how sure a network is of what it sees in small.

A camera that is held otherwise, and does not say so in the photo, has cars stand on their noses.
A network that has seen cars on their wheels alone still finds most of such a car, but is less sure
of its outline. So where a first look leaves doubt, the picture is turned and looked at again, and
what is clearly surer is believed. A doubt that stays great whatever is turned tells nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Look = Callable[[Picture], Picture]
"""(h, w, 3) uint8 sRGB → (h, w) uint8, 255 = subject."""

SURE = 7.5
"""Up to this doubt a picture is not turned at all: of upright photos five in six."""
BELIEVED = 9.5
"""What is in greater doubt shows no subject, whichever way it is turned."""
CLEARLY = 1.2
"""Another way is taken if it is so many times surer."""


def upright(picture: Picture, mask: Picture, look: Look) -> tuple[int, Picture]:
    """By how many times 90° ``picture`` (h, w, 3) uint8 sRGB has to be turned anticlockwise for its
    subject to stand on its feet, 0 to 3, and its mask when so turned. ``mask`` (h, w) uint8 is what
    ``look`` makes of it as it is."""
    unturned = doubt(mask)
    if unturned <= SURE:
        return 0, mask
    ways = {times: look(turned(picture, times)) for times in (1, 2, 3)}
    surest = min(ways, key=lambda times: doubt(ways[times]))
    if doubt(ways[surest]) < min(BELIEVED, unturned / CLEARLY):
        return surest, ways[surest]
    return 0, mask


def turned(picture: Picture, times: int) -> Picture:
    """(h, w) or (h, w, 3), by ``times`` 90° anticlockwise: itself for 0, else one of its own."""
    return np.ascontiguousarray(np.rot90(picture, times)) if times % 4 else picture


def doubt(mask: Picture) -> float:
    """How much of a mask (h, w) uint8 is undecided or lies at the picture's border, in pixels for
    each pixel of the side of a square as large as its subject: 4 to 8 for a car that is plain to
    see, whatever its size. Infinite where nothing is seen."""
    area = float(mask.sum(dtype=np.int64))
    undecided = np.minimum(mask, 255 - mask).sum(dtype=np.int64)
    ends = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    at_border = sum(int(end.sum(dtype=np.int64)) for end in ends)
    return float(undecided + at_border) / (255 * area) ** 0.5 if area else float("inf")
