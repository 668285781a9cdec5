"""The dark line where a tyre meets the floor, too narrow for the reduced picture on which the rest
of a real shadow is measured: it is read from the photo at its full size."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

_TIGHT = (0.008, 0.022)
"""Distance from the car's outline, in parts of its height, up to which the photo itself tells how
dark the floor is, and from which it no longer does."""
_SEEN = 8
"""Levels of the mask below which a pixel shows the floor."""
_AT_FOOT = 0.1
"""Share of a tyre's foot in a pixel of the reduced picture from which the foot is looked at."""
_SIDES = 8.0
"""An eighth of what is looked at, on its left and right, is where it fades in."""

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def darken_at_feet(
    light: Floats,
    pixels: Pixels,
    alpha: Pixels,
    *,
    floor: Floats,
    foot: Floats,
    car_height: float,
    trust: float,
) -> None:
    """Makes ``light`` (H, W), in place, no lighter at tyres' feet than the photo is there.

    ``pixels`` (H, W, 3) and ``alpha`` (H, W) uint8 are the photo and the car's mask; ``floor``
    (h, w, 3) the empty floor in 8-bit steps and ``foot`` (h, w) where tyres stand, 0..1, both
    reduced; ``car_height`` is in pixels of these. ``trust``, 0..1, is that in ``floor``.
    """
    down, across = alpha.shape[0] / floor.shape[0], alpha.shape[1] / floor.shape[1]
    for small, at in _boxes(foot, round(_TIGHT[1] * car_height), (down, across)):
        size = alpha[at].shape[::-1]
        if 0 in size:
            continue
        empty = cv2.resize(floor[small], size, interpolation=cv2.INTER_LINEAR)
        seen = alpha[at] < _SEEN
        ratio = _ratio(pixels[at], np.asarray(empty, dtype=np.float32), seen)
        away = cv2.distanceTransform(seen.view(np.uint8), cv2.DIST_L2, 3) / (car_height * down)
        beside = (np.arange(size[0], dtype=np.float32) + 0.5) / size[0]
        share = trust * np.interp(away, _TIGHT, (1, 0)).astype(np.float32)
        share *= np.clip(_SIDES * np.minimum(beside, 1 - beside), 0, 1)
        light[at] += share * (np.minimum(light[at], ratio) - light[at])


def _boxes(
    foot: Floats, reach: int, scale: tuple[float, float]
) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Around each foot: where in the reduced picture, and where in the full one."""
    kernel = np.ones((2 * max(1, reach) + 1,) * 2, np.uint8)
    feet = cv2.dilate((foot > _AT_FOOT).view(np.uint8), kernel)
    _, _, boxes, _ = cv2.connectedComponentsWithStats(feet)
    down, across = scale
    for left, top, width, height in (map(int, box[:4]) for box in boxes[1:]):
        yield (
            (slice(top, top + height), slice(left, left + width)),
            (
                slice(round(top * down), round((top + height) * down)),
                slice(round(left * across), round((left + width) * across)),
            ),
        )


def _ratio(photo: Pixels, empty: Floats, seen: NDArray[np.bool_]) -> Floats:
    """(h, w): the photo's share of the empty floor's light, of the channel that is least darkened;
    a little way in under the car as dark as right beside it."""
    red, green, blue = cv2.split(cv2.divide(photo.astype(np.float32), empty))
    ratio = np.where(seen, cv2.max(cv2.max(red, green), blue), np.float32(1.1))
    beside = cv2.erode(ratio, np.ones((15, 7), np.uint8))
    soft = cv2.GaussianBlur(np.where(seen, ratio, beside), (0, 0), 1.0)
    return np.asarray(soft, dtype=np.float32)
