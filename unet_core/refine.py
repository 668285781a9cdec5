"""From the network's mask to a mask of the picture's own full size.

    mask ─ no veil ─ doubt decided ─ enlarged ─ steepened ─ edge solved from the photo ─ mask

A soft mask knows its edge to a fraction of a pixel, and a cubic enlargement keeps it. Its ramp is
wider than a camera's: a network is never quite sure, and a pixel of its own is several of the
photo's. Steepened about one half it gets as narrow as an edge is, and the edge stays in its place.
What is soft then, within a few pixels of the edge, is left to the photo (`matting`): thin parts get
their own softness. Where the ramp is so wide that the network doubts where the edge is, even
after that was decided (`doubt`, which asks the photo for a short outline alone), the photo is not
asked: it would settle a doubt by whatever line comes its way.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_core.doubt import around, decide, known, ramps, without
from unet_core.matting import solve_alpha

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
Places = NDArray[np.intp]


VEIL = 8
"""Levels of 255 next to empty and to full that say nothing: a network is never quite sure."""
KNOWN = 0.15
"""From 0 (doubt) to 1 (clear): from here on the photo is asked about an edge…"""
REACH_PX = 4
"""…and about the pixels so near it, in the size at which it is asked."""
_CUBIC_PX = 8
"""Farther from all that is not empty an enlarged mask is empty, and no slope reaches there."""
FINEST = 2
"""The photo is asked at this many times the mask's size, at most: beyond, the cost grows faster
than what it tells."""

_WITHOUT_VEIL = without(VEIL)


def _through(table: Picture, levels: cv2.typing.MatLike) -> Picture:
    """``levels``, each as ``table`` (256,) has it."""
    return np.asarray(cv2.LUT(levels, table), np.uint8)


def refine(mask: Picture, pixels: Picture) -> Picture:
    """``mask`` (h, w) uint8 of ``pixels`` (H, W, 3) uint8, at any size → (H, W) uint8.

    Far from the edge the result is exactly 0 or 255: no veil of the old wall, paint untouched.
    """
    mask = _through(_WITHOUT_VEIL, mask)
    decide(mask, pixels)
    height, width = mask.shape
    full = pixels.shape[1::-1]
    if full[0] < width:  # the network saw more than the photo shows
        return np.asarray(cv2.resize(mask, full, interpolation=cv2.INTER_AREA), np.uint8)
    if full[0] <= FINEST * width:
        return _solved(mask, pixels)
    finest = FINEST * width, FINEST * height
    photo = np.asarray(cv2.resize(pixels, finest, interpolation=cv2.INTER_AREA), np.uint8)
    return _enlarged(_solved(mask, photo), full)[0]


def _solved(mask: Picture, photo: Picture) -> Picture:
    """``mask`` (h, w) uint8 at the size of ``photo`` (H, W, 3) uint8, its known edge solved."""
    large, soft, clear = _enlarged(mask, photo.shape[1::-1])
    asked = np.zeros(large.shape, np.bool_)
    asked.reshape(-1)[soft] = clear > KNOWN
    car = around(large, REACH_PX + 1)
    part = _through(_WITHOUT_VEIL, large[car])
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * REACH_PX + 1,) * 2)
    edge = cv2.morphologyEx(cv2.inRange(part, 128, 255), cv2.MORPH_GRADIENT, disc) > 0
    large[car] = solve_alpha(part, photo[car], edge & asked[car])
    return large


def _enlarged(mask: Picture, size: tuple[int, int]) -> tuple[Picture, Places, Floats]:
    """``mask`` (h, w) uint8 at ``size`` (width, height), no smaller, its ramps as narrow as they
    may be; where it is soft, (N,) flat indices, and how well the edge is known there, (N,) in
    [0, 1]."""
    large = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    car = around(mask, _CUBIC_PX)
    ramp_px = ramps(mask[car])
    clear = known(ramp_px)
    # A sharp edge is sampled 2 pixels wide; enlarged, less of that is true.
    narrow_px = 1 + mask.shape[1] / size[0]
    gain = cv2.blur(1 + np.maximum(ramp_px / narrow_px - 1, 0) * clear, (5, 5))
    soft = np.flatnonzero(cv2.inRange(large, 1, 254) != 0)
    y, x = np.divmod(soft, size[0])
    row = y * mask.shape[0] // size[1] - car[0].start
    below = row * clear.shape[1] + x * mask.shape[1] // size[0] - car[1].start
    level = large.reshape(-1)[soft] - np.float32(127.5)
    steep = level * gain.reshape(-1)[below] + np.float32(127.5)
    large.reshape(-1)[soft] = np.rint(np.clip(steep, 0, 255)).astype(np.uint8)
    return large, soft, clear.reshape(-1)[below]
