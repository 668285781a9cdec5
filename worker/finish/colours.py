"""Clean foreground colours: what the car looks like at its edge without the old wall in it.

An edge pixel shows ``I = a F + (1 - a) B``: part car, part wall. Blended as it is onto another
backdrop it brings the old wall along as a halo. As in Forte and Pitié, "Approximate Fast
Foreground Colour Estimation" (ICIP 2021), F and B are first guessed as blurs around the pixel that
count car or wall only, wide ones first and narrow ones next, and F is then corrected so that the
equation holds. Unlike the paper we make the wide blur on a reduced picture (averaging blocks keeps
the equation true), count only sure pixels in the narrow ones, and correct nothing but the edge.

    photo, mask ─ reduced ─ wide guess ─ sampled at the edge ─ narrow guesses ─ corrected ─ F
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

_REDUCED_SIDE = 480
"""The long side of the picture on which the wide guess is made, roughly."""
_WIDE = (25, 5)
"""Sides of the wide blurs, in pixels of the reduced picture, one after the other."""
_NARROW = (5, 3)
"""Sides of the narrow blurs, in pixels of the photo, one after the other."""
_SURE = 235
"""Alpha from which a pixel counts as car alone; the wall alike, from the other end."""
_PRIOR = 0.3
"""Sure pixels that the guess so far weighs as much as, in a narrow blur."""
_SPREAD = 5
"""How far, in pixels of the photo, car colours reach past the edge (for resized cut-outs)."""
_ROW = 16_384  # OpenCV wants its list of places as a picture, of 32,767 rows at most

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Places = NDArray[np.intp]


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
    factor = max(1.0, max(alpha.shape) / _REDUCED_SIDE)
    around = _around(box, alpha, margin=round(_WIDE[0] / 2 * factor))
    seen, mask = pixels[around].copy(), np.ascontiguousarray(alpha[around])
    place = np.flatnonzero(band[around] != 0)  # (N,)
    car, wall = _guess_wide(*_reduce(seen, mask, factor))
    f = _guess_narrow(_sample(car, place, mask), place, seen, cv2.inRange(mask, _SURE, 255))
    b = _guess_narrow(_sample(wall, place, mask), place, seen, cv2.inRange(mask, 0, 255 - _SURE))

    a = mask.reshape(-1)[place].astype(np.float32)[:, None] / 255  # (N, 1)
    f += a * (seen.reshape(-1, 3)[place] - a * f - (1 - a) * b)
    seen.reshape(-1, 3)[place] = np.clip(np.rint(f), 0, 255).astype(np.uint8)
    cv2.copyTo(seen, band[around], clean[around])
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


def _guess_wide(seen: Floats, a: Floats) -> tuple[Floats, Floats]:
    """Car and wall colours, (h, w, 3) each: means over wide boxes, in two stages."""
    b: Floats = np.float32(1) - a
    # Cubes, so that pixels which are mostly car, or mostly wall, outweigh the mixed ones.
    car_weight, wall_weight = a * a * a, b * b * b
    car = wall = f = g = seen
    for side in _WIDE:
        f = _mean(car, car_weight, side, otherwise=f)
        g = _mean(wall, wall_weight, side, otherwise=g)
        error = seen - a * f - b * g
        car, wall = f + a * error, g + b * error
    return f, g


def _mean(colours: Floats, weight: Floats, side: int, *, otherwise: Floats) -> Floats:
    """Weighted mean over a box; ``otherwise`` where the box has no weight."""
    box, little = (side, side), np.float32(1e-3)
    total = cv2.blur(weight, box)[..., None] + little
    mean = (cv2.blur(colours * weight, box) + little * otherwise) / total
    return np.asarray(mean, dtype=np.float32)


def _guess_narrow(guess: Floats, place: Places, seen: Pixels, sure: cv2.typing.MatLike) -> Floats:
    """``guess`` (N, 3) at ``place``, drawn towards the ``sure`` (0 or 255) pixels close by."""
    counted = cv2.copyTo(seen, sure)
    for side in _NARROW:
        box = (side, side)
        total = cv2.boxFilter(counted, cv2.CV_16U, box, normalize=False).reshape(-1, 3)[place]
        count = cv2.boxFilter(sure, cv2.CV_16U, box, normalize=False).reshape(-1)[place]
        weight = count.astype(np.float32)[:, None] / 255 + _PRIOR
        guess = np.asarray((total + _PRIOR * guess) / weight, dtype=np.float32)
    return guess


def _sample(colours: Floats, place: Places, full: Pixels) -> Floats:
    """Colours (N, 3) at ``place``, flat indices into ``full``, of which ``colours`` is a reduced
    form; linear between its pixels."""
    y, x = np.divmod(place, full.shape[1])
    maps = np.zeros((2, -(-place.size // _ROW) * _ROW), np.float32)
    maps[0, : x.size] = (x + 0.5) * (colours.shape[1] / full.shape[1]) - 0.5
    maps[1, : y.size] = (y + 0.5) * (colours.shape[0] / full.shape[0]) - 0.5
    to_x, to_y = maps.reshape(2, -1, _ROW)
    found = cv2.remap(
        colours, to_x, to_y, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(found.reshape(-1, 3)[: place.size], dtype=np.float32)
