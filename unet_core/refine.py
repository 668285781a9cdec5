"""From the network's mask to a mask of the picture's own full size.

    mask ─ no veil, specks or fog ─ enlarged ─ steepened ─ edge solved from the photo ─ mask

A soft mask knows its edge to a fraction of a pixel, and a cubic enlargement keeps it. Its ramp is
wider than a camera's: a network is never quite sure, and a pixel of its own is several of the
photo's. Steepened about one half it gets as narrow as an edge is, and the edge stays in its place.
What is soft then, within a few pixels of the edge, is left to the photo (`matting`): thin parts get
their own softness. Where the ramp is so wide that the network doubts where the edge is, the photo
is not asked: it would settle a doubt by whatever line comes its way. There the network's word is
taken a little more decided than it is, which lifts the fog beside mirrors and rails.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_core.matting import solve_alpha

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
Places = NDArray[np.intp]


VEIL = 8
"""Levels of 255 next to empty and to full that say nothing: a network is never quite sure."""
FOG, THIN_PX = 40, 7
"""Where a doubt is wider than an antenna, in pixels of the mask, so many levels next to empty and
to full say nothing either: a smear beside a mirror looks worse than an edge out of place."""
SPECK_SHARE = 0.01
"""A piece is a speck below this share of the largest one's area."""
NEAR_SHARE = 0.02
"""A piece is near the largest one up to this share of the picture's long side…"""
APART_SHARE = 0.25
"""…and one that lies apart is the subject's from this share of the largest one's area."""
CLEAR_PX, DOUBTFUL_PX = 2.0, 5.0
"""Ramps up to the first are an edge that the network knows, those from the second on are doubt;
widths from empty to full in pixels of its own mask, where a sharp edge has about 2."""
KNOWN = 0.15
"""From 0 (doubt) to 1 (clear): from here on the photo is asked about an edge…"""
REACH_PX = 4
"""…and about the pixels so near it, in the size at which it is asked."""
FINEST = 2
"""The photo is asked at this many times the mask's size, at most: beyond, the cost grows faster
than what it tells."""


def _without(levels: int) -> Picture:
    """(256,): what each level becomes where so many next to empty and to full say nothing."""
    steeper = (np.arange(256) - levels) * 255 / (255 - 2 * levels)
    return np.asarray(np.clip(steeper + 0.5, 0, 255), np.uint8)


_WITHOUT_VEIL, _WITHOUT_FOG = _without(VEIL), _without(FOG)


def _through(table: Picture, levels: cv2.typing.MatLike) -> Picture:
    """``levels``, each as ``table`` (256,) has it."""
    return np.asarray(cv2.LUT(levels, table), np.uint8)


def refine(mask: Picture, pixels: Picture) -> Picture:
    """``mask`` (h, w) uint8 of ``pixels`` (H, W, 3) uint8, at any size → (H, W) uint8.

    Far from the edge the result is exactly 0 or 255: no veil of the old wall, paint untouched.
    """
    mask = _cleared(_through(_WITHOUT_VEIL, mask))
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
    large, soft, known = _enlarged(mask, photo.shape[1::-1])
    asked = np.zeros(large.shape, np.bool_)
    asked.reshape(-1)[soft] = known > KNOWN
    car = _around(large, REACH_PX + 1)
    part = _through(_WITHOUT_VEIL, large[car])
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * REACH_PX + 1,) * 2)
    edge = cv2.morphologyEx(cv2.inRange(part, 128, 255), cv2.MORPH_GRADIENT, disc) > 0
    large[car] = solve_alpha(part, photo[car], edge & asked[car])
    return large


def _cleared(mask: Picture) -> Picture:
    """``mask`` (h, w) uint8, changed in place: without specks and fog."""
    car = _around(mask, THIN_PX)
    mask[car] = without_fog(without_specks(mask[car]))
    return mask


def _around(mask: Picture, margin: int) -> tuple[slice, slice]:
    """Rows and columns of what is not empty in a mask, with a margin in pixels."""
    left, top, width, height = cv2.boundingRect(mask)
    return (
        slice(max(0, top - margin), top + height + margin),
        slice(max(0, left - margin), left + width + margin),
    )


def _enlarged(mask: Picture, size: tuple[int, int]) -> tuple[Picture, Places, Floats]:
    """``mask`` (h, w) uint8 at ``size`` (width, height), no smaller, its ramps as narrow as they
    may be; where it is soft, (N,) flat indices, and how well the edge is known there, (N,) in
    [0, 1]."""
    large = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    ramp_px = _ramps(mask)
    known = _known(ramp_px)
    # A sharp edge is sampled 2 pixels wide; enlarged, less of that is true.
    narrow_px = 1 + mask.shape[1] / size[0]
    gain = cv2.blur(1 + np.maximum(ramp_px / narrow_px - 1, 0) * known, (5, 5))
    soft = np.flatnonzero(cv2.inRange(large, 1, 254) != 0)
    y, x = np.divmod(soft, size[0])
    below = (y * mask.shape[0] // size[1]) * mask.shape[1] + x * mask.shape[1] // size[0]
    level = large.reshape(-1)[soft] - np.float32(127.5)
    steep = level * gain.reshape(-1)[below] + np.float32(127.5)
    large.reshape(-1)[soft] = np.rint(np.clip(steep, 0, 255)).astype(np.uint8)
    return large, soft, known.reshape(-1)[below]


def _known(ramp_px: Floats) -> Floats:
    """From 0 (doubt) to 1 (clear) for edges whose ramps are so wide."""
    return np.asarray(np.clip((DOUBTFUL_PX - ramp_px) / (DOUBTFUL_PX - CLEAR_PX), 0, 1), np.float32)


def _ramps(mask: Picture) -> Floats:
    """How wide the ramp of the nearest edge of ``mask`` (h, w) uint8 is, from empty to full in
    its pixels, (h, w); ``2 * DOUBTFUL_PX`` at most, and where there is none."""
    slopes = (cv2.Sobel(mask, cv2.CV_32F, *axis, scale=1 / (8 * 255)) for axis in ((1, 0), (0, 1)))
    # The steepest place of a ramp tells its width to the pixels beside it.
    slope = cv2.dilate(cv2.magnitude(*slopes), np.ones((5, 5), np.uint8))
    return np.asarray(1 / np.maximum(slope, 1 / (2 * DOUBTFUL_PX)), np.float32)


def without_fog(mask: Picture) -> Picture:
    """The mask (h, w) uint8, more decided where it is in doubt all around; thin parts stay as
    faint as they are, and so do edges that the network knows."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (THIN_PX, THIN_PX))
    wide = cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc)
    cleared = cv2.subtract(mask, cv2.subtract(wide, _through(_WITHOUT_FOG, wide)))
    wide = cv2.morphologyEx(cleared, cv2.MORPH_CLOSE, disc)
    cleared = cv2.add(cleared, cv2.subtract(_through(_WITHOUT_FOG, wide), wide))
    known = _known(_ramps(mask))
    return np.asarray(cv2.blendLinear(mask, cleared, known, 1 - known), np.uint8)


def without_specks(mask: Picture) -> Picture:
    """The mask (h, w) uint8 without pieces that are none of the subject's: smaller than a
    hundredth of its largest, nowhere more likely subject than not, or lying apart from the
    largest and much smaller than it (a dark corner of the booth; an antenna's tip lies near)."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8))
    if count <= 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    largest = int(areas.argmax())
    sure, near = np.zeros((2, count), np.bool_)
    sure[labels[mask >= 128]] = True
    apart = cv2.distanceTransform((labels != largest).astype(np.uint8), cv2.DIST_L2, 3)
    near[labels[apart <= NEAR_SHARE * max(mask.shape)]] = True
    drop = (areas < SPECK_SHARE * areas.max()) | ~sure
    drop |= ~near & (areas < APART_SHARE * areas.max())
    drop[0] = False
    return np.where(drop[labels], np.uint8(0), mask) if drop.any() else mask
