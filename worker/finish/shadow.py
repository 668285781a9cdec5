"""The shadow that a car on a floor casts under soft studio light, drawn from its mask alone.

Where the car meets the floor is read from the mask: its lower outline, column by column. The hull
around that outline is about what the four tyres enclose, at any of the angles of a turn: the floor
under the car. Three layers darken it:

    ambient   wide and faint: the car keeps the room's light from the floor around it
    under     the floor under the car, to the line between the tyres that face the viewer, and
              end-on somewhat further: there that line is the bumper's, and the floor lies lower; a
              soft layer and a tighter one, so that it is darkest at the sill. From the side, light
              comes through between the wheels
    contact   narrow and dark, where the outline touches that line: tyres
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.finish.presets import SoftShadow

_REDUCED_SIDE = 480
"""The long side of the picture on which the shadow is drawn, roughly: it is all blur anyway."""
_LOW = 0.42
"""Outline points higher above the lowest one than this part of the car's height are not near the
floor: mirrors, spoilers."""
_STEEP = 1.5
"""Slope of the outline above which it is the car's flank, and no tyre on the floor."""
_TYRE = 0.025
"""Depth, in parts of the car's height, of the dark line at a tyre's foot, and how near the hull
an outline must come to be one."""
_FLAT = 0.35
"""How much shorter the floor looks along the line of sight than across it."""
_END_ON, _SIDE_ON = (1.2, 1.9), (1.4, 2.0)
"""Length of the outline near the floor, in parts of the car's height: up to where the car is seen
end-on, and from where not at all; from where it is seen from the side, and from where wholly."""
_AHEAD = 0.055
"""How much further down than the bumper the shade reaches end-on, likewise."""
_THROUGH = 0.3
"""Part of the shade under the car that is missing halfway between its wheels from the side."""
_BEHIND = 0.2
"""How far the shade goes on behind the car from the side, likewise, so that no blur lights the
floor below the sill."""
_COARSE = 20.0
"""Blurs wider than this many pixels are made on a smaller picture."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Ground:
    """Where the car meets the floor, in pixels of the reduced picture."""

    outline: NDArray[np.int32]
    """(N, 2) x, y of the car's lowest pixel in each column that comes near the floor."""
    car_height: int


def soft_shadow(alpha: NDArray[np.uint8], options: SoftShadow) -> Floats:
    """Light that reaches each pixel, (H, W) float32: 1 is full light, 0 none.

    ``alpha`` is the car's mask, (H, W) uint8. No car, no shadow. Only the largest piece of the
    mask casts one, and only near the floor: there is never a halo around the roof.
    """
    factor = max(1.0, max(alpha.shape) / _REDUCED_SIDE)
    size = max(1, round(alpha.shape[1] / factor)), max(1, round(alpha.shape[0] / factor))
    ground = find_ground(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA))
    if ground is None:
        return np.ones(alpha.shape, np.float32)
    light = _draw(ground, (size[1], size[0]), options)
    full = cv2.resize(light, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(full, dtype=np.float32)


def find_ground(alpha: cv2.typing.MatLike) -> Ground | None:
    """Of the largest piece of a mask (h, w) uint8; None where there is no car."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(cv2.inRange(alpha, 128, 255))
    if count < 2:
        return None
    car = 1 + int(np.argmax(boxes[1:, cv2.CC_STAT_AREA]))
    left, top, width, height = (int(side) for side in boxes[car, :4])
    mask = labels[top : top + height, left : left + width] == car
    lowest = height - 1 - np.argmax(mask[::-1], axis=0)
    near = np.flatnonzero(lowest >= (1 - _LOW) * height)
    if not near.size:  # a streak, one or two pixels high
        return None
    outline = np.stack([near + left, lowest[near] + top], axis=1).astype(np.int32)
    return Ground(outline, height)


def _draw(ground: Ground, size: tuple[int, int], options: SoftShadow) -> Floats:
    """Light factor, ``size`` (h, w) float32: each layer takes its part of the light."""
    height = ground.car_height
    soft, reach = options.softness * height, options.reach * height
    hull = cv2.convexHull(ground.outline)
    under = _narrow(_fill(hull, size), soft)
    feet = contact(ground, hull, size)
    length = float(np.ptp(ground.outline[:, 0])) / height
    ahead = _AHEAD * height * float(np.interp(length, _END_ON, (1, 0)))
    under = np.maximum(under, _lower(under, ahead))
    side = float(np.interp(length, _SIDE_ON, (0, 1)))
    through = side * (1 - _near_feet(feet, height))
    under = np.maximum(under, _lower(_narrow(under, 0.4 * height), -_BEHIND * height * side))
    shade = under * (1 - _THROUGH * through)

    light = 1 - 0.4 * options.opacity * _blur(_lower(under, 2.0 * reach), 4.0 * soft)
    light *= 1 - 0.6 * options.opacity * _blur(_lower(shade, 0.8 * reach), 1.5 * soft)
    tight, loose = _blur(shade, 0.6 * soft), _blur(shade, 1.8 * soft)
    light *= 1 - 0.75 * options.opacity * (tight + through * (loose - tight))
    light *= 1 - 0.7 * options.opacity * _blur(feet, 0.4 * soft)
    return np.asarray(light, dtype=np.float32)


def _near_feet(feet: Floats, height: int) -> Floats:
    """(1, w): 1 in the columns of a tyre's foot, less beside it, nearly 0 half a car's height
    away."""
    columns = np.max(feet, axis=0, keepdims=True)
    spread = cv2.GaussianBlur(columns, (0, 0), 0.16 * height)
    return np.asarray(spread / max(float(spread.max()), 1e-6), dtype=np.float32)


def contact(ground: Ground, hull: cv2.typing.MatLike, size: tuple[int, int]) -> Floats:
    """Where the outline lies on the side of its hull that faces the viewer and runs along it:
    tyres. Flanks only touch the hull, and a straight sill lies on its far side."""
    x, y = ground.outline.T
    columns = _fill(hull, size)[:, x] > 0
    facing = y - columns.argmax(axis=0) >= size[0] - 1 - columns[::-1].argmax(axis=0) - y
    gap = np.array(
        [cv2.pointPolygonTest(hull, (float(u), float(v)), True) for u, v in zip(x, y, strict=True)]
    )
    level = np.abs(np.gradient(y, x)) < _STEEP if x.size > 1 else np.zeros(x.size, bool)
    drawn = np.zeros(size, np.float32)
    near = np.clip(1 - gap / (_TYRE * ground.car_height), 0, 1) * (level & facing)
    drawn[y, x] = near
    thick = max(1, round(_TYRE * ground.car_height))
    # Grown downwards only: upwards lies the tyre, which hides it.
    grown = cv2.dilate(drawn, np.ones((thick + 1, 3), np.uint8), anchor=(1, thick))
    return np.asarray(grown, dtype=np.float32)


def _fill(hull: cv2.typing.MatLike, size: tuple[int, int]) -> Floats:
    drawn = np.zeros(size, np.float32)
    cv2.fillConvexPoly(drawn, hull, 1.0, lineType=cv2.LINE_8)
    return drawn


def _narrow(drawn: Floats, distance: float) -> Floats:
    """``drawn`` less ``distance`` pixels on its left and right, so that what the blur adds there
    stays under the car and does not stand beside its flanks."""
    kernel = np.ones((1, 2 * round(distance) + 1), np.uint8)
    return np.asarray(cv2.erode(drawn, kernel), dtype=np.float32)


def _lower(drawn: Floats, distance: float) -> Floats:
    """``drawn`` moved towards the viewer by ``distance`` pixels."""
    move = np.array([[1, 0, 0], [0, 1, distance]], np.float32)
    return np.asarray(cv2.warpAffine(drawn, move, drawn.shape[::-1]), dtype=np.float32)


def _blur(drawn: Floats, sigma: float) -> Floats:
    """``drawn`` blurred by ``sigma`` pixels across the line of sight, less along it."""
    if sigma > _COARSE:  # a quarter of the size is as good, and a tenth of the time
        size = tuple(max(1, side // 4) for side in drawn.shape[::-1])
        small = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
        soft = _blur(np.asarray(small, dtype=np.float32), sigma / 4)
        wide = cv2.resize(soft, drawn.shape[::-1], interpolation=cv2.INTER_CUBIC)
        return np.asarray(np.clip(wide, 0, 1), dtype=np.float32)
    flat = max(_FLAT * sigma, 0.5)
    blurred = cv2.GaussianBlur(drawn, (0, 0), max(sigma, 0.5), sigmaY=flat)
    return np.asarray(blurred, dtype=np.float32)
