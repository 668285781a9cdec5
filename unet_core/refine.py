"""From the network's mask to a mask of the picture's own full size.

Up to the network's size the mask is at full size already. Above it, the mask is enlarged and,
where its edge runs, pulled to the picture's own edge by a guided filter (He, Sun, Tang, TPAMI
2013): alpha is modelled as a·luma + b in every small window, and the cost follows the edge's
length, because only tiles that the edge crosses are filtered.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Floats = NDArray[np.floating]

TILE_PX = 256


def refine(mask: Picture, pixels: Picture) -> Picture:
    """``mask`` (h, w) uint8 of ``pixels`` (H, W, 3) uint8, perhaps reduced → (H, W) uint8."""
    mask = without_specks(mask)
    height, width = pixels.shape[:2]
    if mask.shape == (height, width):
        return mask
    factor = max(height / mask.shape[0], width / mask.shape[1])
    large = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    if factor > 1:
        _refine_edge_tiles(large, pixels, radius=max(2, round(2 * factor)))
    return large


def _refine_edge_tiles(mask: Picture, pixels: Picture, *, radius: int) -> None:
    """Filters, in place, the tiles of ``mask`` that hold an edge."""
    source, margin = mask.copy(), 2 * radius
    height, width = mask.shape
    for top in range(0, height, TILE_PX):
        for left in range(0, width, TILE_PX):
            tile = np.s_[top : top + TILE_PX, left : left + TILE_PX]
            up, before = max(0, top - margin), max(0, left - margin)
            wide = np.s_[up : top + TILE_PX + margin, before : left + TILE_PX + margin]
            inner = np.s_[top - up : top - up + TILE_PX, left - before : left - before + TILE_PX]
            soft = cv2.inRange(source[wide], 1, 254)
            band = cv2.dilate(soft, np.ones((3, 3), np.uint8))[inner] > 0
            if not band.any():
                continue
            luma = np.asarray(cv2.cvtColor(pixels[wide], cv2.COLOR_RGB2GRAY), np.uint8)
            filtered = guided_filter(luma, source[wide], radius=radius)
            mask[tile][band] = filtered[inner][band]


def guided_filter(
    guide: Picture, mask: Picture, *, radius: int, epsilon: float = 1e-4
) -> NDArray[np.uint8]:
    """Grey guide (H, W) uint8 and mask (H, W) uint8 → mask whose edges follow the guide's.

    ``epsilon`` is the variance (of luma in [0, 1]) below which a window counts as flat.
    """
    i = guide.astype(np.float32) / 255
    p = mask.astype(np.float32) / 255

    def mean(x: Floats) -> Floats:
        side = 2 * radius + 1
        return np.asarray(cv2.blur(x, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)

    mean_i, mean_p = mean(i), mean(p)
    a = (mean(i * p) - mean_i * mean_p) / (mean(i * i) - mean_i * mean_i + epsilon)
    b = mean_p - a * mean_i
    alpha = mean(a) * i + mean(b)
    return np.asarray(np.clip(alpha * 255 + 0.5, 0, 255), np.uint8)


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
