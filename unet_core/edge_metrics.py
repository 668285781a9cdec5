"""How good an edge is where the truth is known: its alpha, its colours, the light beside it.

All pictures are sRGB-encoded, as the booth mixes them and as compositors blend. An error counts
only where it can be seen: alpha in a band around the true edge, colours in the soft pixels of
that edge by how much the mask shows of them, light where the floor is in sight.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_core.metrics import distance_to

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
Where = NDArray[np.bool_]

BAND_PX = 10
"""Pixels within this distance of the true edge count."""
SIGMA_PX = 1.4
"""Of the gradient error's derivative filters, as in Rhemann et al. 2009."""
_NEGLIGIBLE = 0.01  # where the filters end, as a share of the Gaussian
_AROUND = (0.42, 0.25, 0.15)
"""The floor that counts: from this share of the car's height above its lowest point to that one
below it, and by that share of its width to either side."""


@dataclass(frozen=True)
class AlphaError:
    """How far one alpha lies from the true one in the band; 0 is best."""

    sad: float
    """Sum of absolute differences, in thousands of pixels."""
    mse: float
    """Mean squared difference, alpha in [0, 1]."""
    gradient: float
    """Sum of squared differences of the gradients' lengths, in thousands."""


def alpha_error(found: Picture, truth: Picture) -> AlphaError:
    """Both (H, W) uint8, 255 = subject: the errors of Rhemann et al., "A perceptually motivated
    online benchmark for image matting" (CVPR 2009), in the band of `edge_band`. Raises
    ``ValueError`` for two shapes, or where the truth has no edge."""
    if found.shape != truth.shape:
        raise ValueError(f"the mask is {found.shape}, the truth {truth.shape}; bring them to one")
    band = edge_band(truth)
    if not band.any():
        raise ValueError("the truth has no edge: use a frame that shows car and wall")
    a, b = (np.asarray(alpha, np.float32) / np.float32(255) for alpha in (found, truth))
    apart = np.abs(a - b)[band].astype(np.float64)
    steps = (_gradient(a) - _gradient(b))[band].astype(np.float64)
    return AlphaError(
        float(apart.sum() / 1000), float(np.mean(apart**2)), float(np.sum(steps**2) / 1000)
    )


def edge_band(truth: Picture, *, reach_px: float = BAND_PX) -> Where:
    """(H, W) bool: what lies within ``reach_px`` of a soft pixel of ``truth`` (H, W) uint8, or
    of the step between 0 and 255 where it has no soft ones."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    step = cv2.morphologyEx(truth, cv2.MORPH_GRADIENT, cross) == 255
    return np.asarray(distance_to(soft(truth) | step) <= reach_px, np.bool_)


def soft(alpha: Picture) -> Where:
    """(H, W) bool: where both car and wall are seen."""
    return np.asarray((alpha > 0) & (alpha < 255), np.bool_)


def colour_error(found: Picture, foreground: Picture, *, truth: Picture, mask: Picture) -> float:
    """How far the colours ``found`` lie from the car's own, in levels of 255, 0 is best.

    Mean over the soft pixels of ``truth`` and over R, G, B; each pixel weighs as much as ``mask``
    will show of it. ``found`` and ``foreground`` are (H, W, 3) uint8, the alphas (H, W) uint8.
    Raises ``ValueError`` where nothing is soft, or ``mask`` shows nothing of it.
    """
    place = soft(truth)
    weight = mask[place].astype(np.float64)
    if not weight.sum():
        raise ValueError("no soft pixel of the truth is seen through the mask: nothing to compare")
    apart = np.abs(found[place].astype(np.float64) - foreground[place]).mean(axis=1)
    return float((apart * weight).sum() / weight.sum())


def true_light(background: Picture, plate: Picture) -> Floats:
    """(H, W) float32: what the car leaves of the floor's light; above 1 where the floor mirrors
    something brighter. Both are (H, W, 3) uint8: the booth behind the car, and without it."""
    behind, empty = (picture.astype(np.float32).mean(axis=2) for picture in (background, plate))
    return np.asarray(behind / np.maximum(empty, 1), np.float32)


def light_error(found: Floats, truth: Floats, *, alpha: Picture) -> float:
    """Mean absolute difference of two lights (H, W) float32 on the floor that is in sight around
    the car of ``alpha`` (H, W) uint8; 0 is best. Raises ``ValueError`` without a car."""
    place = near_ground(alpha)
    if not place.any():
        raise ValueError("no floor is in sight near a car: use a frame that shows both")
    return float(np.abs(found[place].astype(np.float64) - truth[place]).mean())


def near_ground(alpha: Picture) -> Where:
    """(H, W) bool: the floor around the car's lower part, where ``alpha`` (H, W) uint8 is 0."""
    left, top, width, height = cv2.boundingRect(cv2.inRange(alpha, 1, 255))
    above, below, beside = _AROUND
    foot = top + height
    rows = slice(max(0, round(foot - above * height)), round(foot + below * height))
    columns = slice(max(0, round(left - beside * width)), round(left + (1 + beside) * width))
    place = np.zeros(alpha.shape, np.bool_)
    place[rows, columns] = alpha[rows, columns] == 0
    return place


def _gradient(alpha: Floats) -> Floats:
    """Length of the gradient, (H, W): derivatives of a Gaussian, each of unit norm."""
    sigma = SIGMA_PX
    half = int(np.ceil(sigma * np.sqrt(-2 * np.log(np.sqrt(2 * np.pi) * sigma * _NEGLIGIBLE))))
    x = np.arange(-half, half + 1, dtype=np.float64)
    smooth = np.exp(-(x**2) / (2 * sigma**2))
    slope = -x * smooth
    smooth, slope = smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)
    edge = cv2.BORDER_REPLICATE
    across = cv2.sepFilter2D(alpha, cv2.CV_32F, slope, smooth, borderType=edge)
    down = cv2.sepFilter2D(alpha, cv2.CV_32F, smooth, slope, borderType=edge)
    return np.asarray(cv2.magnitude(across, down), np.float32)
