"""How good a mask is, at the picture's own full size.

Masks are (H, W) arrays: bool, or uint8 where 128 and more is subject. Two empty masks agree (1.0).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8] | NDArray[np.bool_]


def dice(mask: Mask, truth: Mask) -> float:
    """Dice coefficient 2·|A∩B| / (|A|+|B|), in [0, 1] (Dice 1945, Sørensen 1948)."""
    a, b = binary(mask), binary(truth)
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def iou(mask: Mask, truth: Mask) -> float:
    """Intersection over union |A∩B| / |A∪B|, in [0, 1] (Jaccard 1912)."""
    a, b = binary(mask), binary(truth)
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def boundary_f(mask: Mask, truth: Mask, *, tolerance_px: float) -> float:
    """F-score of the two outlines, in [0, 1]: a point of one is right when the other passes
    within ``tolerance_px`` (Martin, Fowlkes, Malik 2004; Perazzi et al. 2016, the F of DAVIS).
    Where one of them has no outline (all or nothing is subject), only equal masks agree."""
    a, b = outline(binary(mask)), outline(binary(truth))
    if not a.any() or not b.any():
        return float(np.array_equal(binary(mask), binary(truth)))
    precision = float((distance_to(b)[a] <= tolerance_px).mean())
    recall = float((distance_to(a)[b] <= tolerance_px).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def binary(mask: Mask) -> NDArray[np.bool_]:
    """(H, W) bool: True is subject."""
    return np.asarray(mask, np.bool_) if mask.dtype == np.bool_ else mask >= 128


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The subject's own pixels that touch what is not subject (4-neighbours)."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inner = cv2.erode(mask.astype(np.uint8), cross, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(mask & (inner == 0), np.bool_)


def distance_to(points: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) Euclidean distance in pixels from every pixel to the nearest True one."""
    inverse = (~points).astype(np.uint8)
    distances = cv2.distanceTransform(inverse, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distances, np.float32)
