"""What kind of car a labelled picture shows, told from its pixels and its true mask alone."""

from __future__ import annotations

import cv2
import numpy as np

from unet_core.data import Picture
from unet_core.metrics import binary

LARGE, SMALL = 0.55, 0.35
"""Share of the picture's width and height that a car's box fills, as a mean of both."""
GREY_BELOW = 45
"""Saturation of 255 below which paint has no colour of its own."""
_HUES = ((15, "red"), (35, "yellow"), (85, "green"), (130, "blue"), (180, "red"))
"""Up to which hue (OpenCV's, 0 to 180) a colour goes."""


def slices_of(pixels: Picture, truth: Picture, *, angle: int | None) -> dict[str, str]:
    """The slices that a picture (H, W, 3) uint8 sRGB with its mask (H, W) uint8 belongs to:
    ``paint``, ``size`` and, where it has one, ``angle``."""
    found = {"paint": _paint(pixels, truth), "size": _size(truth)}
    return found if angle is None else found | {"angle": f"{angle:02}"}


def _paint(pixels: Picture, truth: Picture) -> str:
    subject = binary(truth)
    if not subject.any():
        return "none"
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[subject]
    hue, saturation, value = np.median(hsv, axis=0)
    if saturation >= GREY_BELOW and value >= 60:
        return next(name for highest, name in _HUES if hue <= highest)
    return "dark" if value < 85 else "white" if value > 190 else "grey"


def _size(truth: Picture) -> str:
    rows, columns = (np.flatnonzero(binary(truth).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return "none"
    height, width = truth.shape
    share = ((rows[-1] - rows[0] + 1) / height + (columns[-1] - columns[0] + 1) / width) / 2
    return "large" if share > LARGE else "small" if share < SMALL else "middle"
