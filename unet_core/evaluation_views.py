"""What a person looks at to see where a mask went wrong: photo, mask, truth and error, of the
whole frame and of its worst spot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_core.data import Picture
from unet_core.metrics import binary

TILE_PX = 320
"""Width of a whole frame when reduced, and of the part that is shown pixel by pixel."""
ZOOM_PX = (TILE_PX * 2 // 3, TILE_PX)
"""Height and width of that part."""
RED, BLUE, YELLOW = (235, 40, 40), (50, 120, 255), (255, 214, 10)


@dataclass(frozen=True)
class Views:
    """Four pictures of one part of a frame: uint8, of one size."""

    photo: Picture
    """(h, w, 3) sRGB."""
    mask: Picture
    truth: Picture
    """(h, w), 255 = subject."""
    error: Picture
    """(h, w, 3): the photo, grey; red what only the mask has, blue what only the truth has."""


def views_of(pixels: Picture, mask: Picture, truth: Picture) -> tuple[Views, Views]:
    """The whole frame at most ``TILE_PX`` wide, and its worst spot pixel by pixel.

    Takes (H, W, 3) uint8 sRGB and two (H, W) uint8. A pixel of the reduced error picture is
    coloured where any of those that it stands for is wrong: no thin error is averaged away.
    A yellow frame in it marks the worst spot.
    """
    extra, missing = binary(mask) & ~binary(truth), binary(truth) & ~binary(mask)
    spot = worst_spot(extra | missing)
    photo, near_mask, near_truth = pixels[spot], mask[spot], truth[spot]
    near = Views(photo, near_mask, near_truth, error_view(photo, extra[spot], missing[spot]))
    scale = min(1.0, TILE_PX / mask.shape[1])
    photo, far_mask, far_truth = (reduced(part, scale) for part in (pixels, mask, truth))
    wrong = (reduced(part.astype(np.float32), scale) > 0 for part in (extra, missing))
    error = error_view(photo, *wrong)
    rows, columns = ((round(s.start * scale), round(s.stop * scale) - 1) for s in spot)
    cv2.rectangle(error, (columns[0], rows[0]), (columns[1], rows[1]), YELLOW)
    return Views(photo, far_mask, far_truth, error), near


def worst_spot(wrong: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of a part of at most ``ZOOM_PX``, inside the picture, around the place
    where ``wrong`` (H, W) is densest."""
    height, width = (min(most, side) for most, side in zip(ZOOM_PX, wrong.shape, strict=True))
    density, box = wrong.astype(np.float32), (width // 2, height // 2)
    for _ in range(2):  # boxes twice weigh the middle most, so that an error lies there
        blurred = cv2.boxFilter(density, -1, box, borderType=cv2.BORDER_CONSTANT)
        density = np.asarray(blurred, np.float32)
    y, x = (int(index) for index in np.unravel_index(density.argmax(), density.shape))
    top = min(max(0, y - height // 2), wrong.shape[0] - height)
    left = min(max(0, x - width // 2), wrong.shape[1] - width)
    return slice(top, top + height), slice(left, left + width)


def error_view(pixels: Picture, extra: NDArray[np.bool_], missing: NDArray[np.bool_]) -> Picture:
    """(H, W, 3) uint8 sRGB → the same as :attr:`Views.error` shows it."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) // 2 + 30
    view = np.repeat(grey[..., None], 3, axis=2)
    view[extra], view[missing] = RED, BLUE
    return np.asarray(view, np.uint8)


def reduced(picture: NDArray[Any], scale: float) -> NDArray[Any]:
    """(H, W) or (H, W, 3) by ``scale``, at most 1: each pixel the mean of those it stands for."""
    height, width = picture.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
