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


MUCH_GLASS = 0.18
"""Share of the car's area; about half of the real frames have more."""
_WINDOWS_ABOVE, _BODY = 0.52, (0.45, 0.75)
"""Parts of the car's height, from the top: windows lie above the first, and between the others its
sides show paint rather than glass or tyres."""
_COLOURED, _FADED = 20.0, 0.5
"""Chroma (CIELAB) from which paint has a colour, and the part of it below which it is glass."""
_LIGHT, _DARKER = 55.0, 12.0
"""Lightness (CIELAB) from which paint without a colour is lighter than glass, and by how much."""
_REDUCED_PX = 480


def slices_of(pixels: Picture, truth: Picture, *, angle: int | None) -> dict[str, str]:
    """The slices that a picture (H, W, 3) uint8 sRGB with its mask (H, W) uint8 belongs to:
    ``paint``, ``size`` and, where they can be told, ``glass`` (``little`` or ``much``) and
    ``angle``."""
    found = {"paint": _paint(pixels, truth), "size": _size(truth)}
    glass = glass_share(pixels, truth)
    if glass is not None:
        found["glass"] = "much" if glass >= MUCH_GLASS else "little"
    return found if angle is None else found | {"angle": f"{angle:02}"}


def glass_share(pixels: Picture, truth: Picture) -> float | None:
    """The part of the car's area that is windows, in [0, 1], as far as one picture tells.

    ``pixels`` is (H, W, 3) uint8 sRGB, ``truth`` its mask (H, W) uint8. A mask does not tell glass
    from paint, so that this is a stand-in: what lies in the upper half of the car and has less
    colour than its coloured paint, or is darker than its light paint. Tail lamps and tyres that
    reach up there are taken along; ``None`` for dark paint, which glass cannot be told from.
    """
    scale = min(1.0, _REDUCED_PX / truth.shape[1])
    pixels, truth = (
        np.asarray(
            cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
        for part in (pixels, truth)
    )
    car = binary(truth)
    rows = np.flatnonzero(car.any(axis=1))
    if not rows.size:
        return None
    top, height = int(rows[0]), int(rows[-1] - rows[0] + 1)
    lab = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lightness, chroma = lab[..., 0], np.hypot(lab[..., 1], lab[..., 2])
    start, stop = (top + round(part * height) for part in _BODY)
    body = car[start:stop]
    if not body.any():
        return None
    paint, colour = (float(np.median(part[start:stop][body])) for part in (lightness, chroma))
    if colour >= _COLOURED:
        unlike = chroma < _FADED * colour
    elif paint >= _LIGHT:
        unlike = lightness < paint - _DARKER
    else:
        return None
    unlike[top + round(_WINDOWS_ABOVE * height) :] = False
    glass = cv2.morphologyEx(
        (unlike & car).view(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)
    )
    return float(glass.sum() / car.sum())


def _paint(pixels: Picture, truth: Picture) -> str:
    subject = binary(truth)
    if not subject.any():
        return "none"
    hsv = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[subject], np.uint8)
    _, saturation, value = np.median(hsv, axis=0)
    if saturation >= GREY_BELOW and value >= 60:
        hue = _mean_hue(hsv)
        return next(name for highest, name in _HUES if hue <= highest)
    return "dark" if value < 85 else "white" if value > 190 else "grey"


def _mean_hue(hsv: Picture) -> float:
    """Of pixels (N, 3) uint8 HSV: hue in [0, 180], weighted by saturation. The mean is circular,
    because red lies at both ends."""
    turn, weight = np.deg2rad(2.0 * hsv[:, 0]), hsv[:, 1].astype(np.float64)
    mean = np.arctan2(weight @ np.sin(turn), weight @ np.cos(turn))
    return float(np.rad2deg(mean) / 2 % 180)


def _size(truth: Picture) -> str:
    rows, columns = (np.flatnonzero(binary(truth).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return "none"
    height, width = truth.shape
    share = ((rows[-1] - rows[0] + 1) / height + (columns[-1] - columns[0] + 1) / width) / 2
    return "large" if share > LARGE else "small" if share < SMALL else "middle"
