"""From the network's mask to a mask of the picture's own full size.

A soft mask knows its edge to a fraction of a pixel, and a cubic enlargement keeps it. A guided
filter along the edge (He, Sun, Tang, TPAMI 2013) was tried and left out: where paint and wall
share their brightness, it pulls a good edge away.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


VEIL = 8
"""Levels of 255 next to empty and to full that say nothing: a network is never quite sure."""
SPECK_SHARE = 0.01
"""A piece is a speck below this share of the largest one's area."""
NEAR_SHARE = 0.02
"""A piece is near the largest one up to this share of the picture's long side…"""
APART_SHARE = 0.25
"""…and one that lies apart is the subject's from this share of the largest one's area."""
_WITHOUT_VEIL = np.asarray(
    np.clip((np.arange(256) - VEIL) * 255 / (255 - 2 * VEIL) + 0.5, 0, 255), np.uint8
)


def refine(mask: Picture, pixels: Picture) -> Picture:
    """``mask`` (h, w) uint8 of ``pixels`` (H, W, 3) uint8, at any size → (H, W) uint8.

    Far from the edge the result is exactly 0 or 255: no veil of the old wall, paint untouched.
    """
    mask = without_specks(_WITHOUT_VEIL[mask])
    height, width = pixels.shape[:2]
    if mask.shape == (height, width):
        return mask
    how = cv2.INTER_CUBIC if width > mask.shape[1] else cv2.INTER_AREA
    large = cv2.resize(mask, (width, height), interpolation=how)
    return np.asarray(large, np.uint8)


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
