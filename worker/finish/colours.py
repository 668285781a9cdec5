"""Clean foreground colours: what the car looks like at its edge without the old wall in it.

An edge pixel shows ``I = a F + (1 - a) B``: part car, part wall. Blended as it is onto another
backdrop it brings the old wall along as a halo. Following Forte and Pitié, "Approximate Fast
Foreground Colour Estimation" (ICIP 2021), F and B are first taken from around the pixel, as blurs
that count car and wall only, and F is then corrected so that the equation holds. A wide blur
comes first and a narrow one second. Unlike the paper we blur a reduced picture (averaging blocks
keeps the equation true) and correct only the pixels of the edge, so that the cost is the edge's.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

_REDUCED_SIDE = 480
"""The long side of the picture on which colours are spread, roughly."""
_WIDE, _NARROW = 25, 5
"""Sides of the two blurs, in pixels of the reduced picture."""
_SPREAD = 5
"""How far, in pixels of the photo, car colours reach past the edge (for resized cut-outs)."""

_ROW = 1024  # OpenCV wants its list of places as a picture
_STEADY = 1e-3
"""Weight of the fallback where a blur finds neither car nor wall."""

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def clean_foreground(pixels: Pixels, alpha: Pixels) -> Pixels:
    """The car's own colours, (H, W, 3) uint8, same colour order as ``pixels``.

    ``pixels`` is (H, W, 3) uint8, ``alpha`` (H, W) uint8. Where alpha is 255 the result is
    ``pixels``, bit for bit; in the soft edge and just outside it is the estimated colour; and
    black beyond.
    """
    clean: Pixels = np.ascontiguousarray(cv2.copyTo(pixels, alpha))
    band = _band(alpha)
    box = cv2.boundingRect(band)
    if box[2] == 0:
        return clean
    place = np.flatnonzero(band)  # (N,)
    factor = max(1.0, max(alpha.shape) / _REDUCED_SIDE)
    rows, columns = _around(box, alpha, margin=round(_WIDE / 2 * factor))
    car, wall = _spread(*_reduce(pixels[rows, columns], alpha[rows, columns], factor))

    y, x = np.divmod(place, alpha.shape[1])
    inside = (
        y - rows.start,
        x - columns.start,
        (rows.stop - rows.start, columns.stop - columns.start),
    )
    a = alpha.reshape(-1)[place].astype(np.float32)[:, None] / 255  # (N, 1)
    seen = pixels.reshape(-1, 3)[place].astype(np.float32)  # (N, 3)
    near = _sample(car, *inside)
    near += a * (seen - a * near - (1 - a) * _sample(wall, *inside))
    clean.reshape(-1, 3)[place] = np.clip(np.rint(near), 0, 255).astype(np.uint8)
    return clean


def _band(alpha: Pixels) -> Pixels:
    """Mask, 0 or 255, of the soft edge and of ``_SPREAD`` pixels beyond it."""
    reached = cv2.dilate(alpha, np.ones((2 * _SPREAD + 1, 2 * _SPREAD + 1), np.uint8))
    outside = cv2.inRange(alpha, 0, 254)
    return np.asarray(cv2.copyTo(outside, reached), dtype=np.uint8)


def _around(box: Sequence[int], alpha: Pixels, *, margin: int) -> tuple[slice, slice]:
    left, top, width, height = box
    return (
        slice(max(0, top - margin), min(alpha.shape[0], top + height + margin)),
        slice(max(0, left - margin), min(alpha.shape[1], left + width + margin)),
    )


def _reduce(pixels: Pixels, alpha: Pixels, factor: float) -> tuple[Floats, Floats]:
    """Block averages: pixels (h, w, 3) in 0..255 and alpha (h, w, 1) in 0..1, float32."""
    height, width = alpha.shape
    size = max(1, round(width / factor)), max(1, round(height / factor))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    small_alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    a = small_alpha.astype(np.float32)[..., None] / np.float32(255)
    return small.astype(np.float32), a


def _spread(seen: Floats, a: Floats) -> tuple[Floats, Floats]:
    """Car and wall colours, (h, w, 3) each, carried across the edge. The two stages in turn."""
    b: Floats = np.float32(1) - a
    # Cubes, so that pixels which are surely car, or surely wall, outweigh the mixed ones.
    car_weight, wall_weight = a * a * a, b * b * b
    car = wall = car_near = wall_near = seen
    for side in (_WIDE, _NARROW):
        car_near = _blur(car, car_weight, side, otherwise=car)
        wall_near = _blur(wall, wall_weight, side, otherwise=wall)
        error = seen - a * car_near - b * wall_near
        car, wall = car_near + a * error, wall_near + b * error
    return car_near, wall_near


def _blur(colours: Floats, weight: Floats, side: int, *, otherwise: Floats) -> Floats:
    """Weighted mean over a box of ``side``; ``otherwise`` where the box has no weight."""
    total = cv2.blur(weight, (side, side))[..., None] + _STEADY
    mean = (cv2.blur(colours * weight, (side, side)) + _STEADY * otherwise) / total
    return np.asarray(mean, dtype=np.float32)


def _sample(
    colours: Floats, y: NDArray[np.intp], x: NDArray[np.intp], size: tuple[int, int]
) -> Floats:
    """Colours (N, 3) at pixels (y, x) of a picture of ``size`` (H, W), of which ``colours`` is a
    reduced form; between its pixels, linearly."""
    count = -(-y.size // _ROW) * _ROW
    maps = np.zeros((2, count), np.float32)
    maps[0, : x.size] = (x + 0.5) * (colours.shape[1] / size[1]) - 0.5
    maps[1, : y.size] = (y + 0.5) * (colours.shape[0] / size[0]) - 0.5
    to_x, to_y = maps.reshape(2, -1, _ROW)
    found = cv2.remap(
        colours, to_x, to_y, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(found.reshape(-1, 3)[: y.size], dtype=np.float32)
