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


def refine(mask: Picture, pixels: Picture) -> Picture:
    """``mask`` (h, w) uint8 of ``pixels`` (H, W, 3) uint8, perhaps reduced → (H, W) uint8."""
    mask = without_specks(mask)
    height, width = pixels.shape[:2]
    if mask.shape == (height, width):
        return mask
    large = cv2.resize(mask, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.uint8)


def without_specks(mask: Picture, *, share: float = 0.01) -> Picture:
    """The mask without islands smaller than ``share`` of its largest piece.

    Works on the pixels above 8 of 255, so that an island's soft rim goes with it.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask > 8).astype(np.uint8))
    if count <= 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    small = (areas < share * areas.max()).astype(np.uint8)
    small[0] = 0
    if not small.any():
        return mask
    return np.where(small[labels] > 0, np.uint8(0), mask)
