"""What may happen to a photo on its way here, each with the way back for its mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unet_core.images import encode_jpeg

Picture = NDArray[np.uint8]

STRETCHED_PIXELS = 24e6
WARM = (1.25, 1.0, 0.75)
"""Gains of R, G, B in linear light."""


@dataclass(frozen=True)
class Changed:
    """A photo after a change, and the way back.

    Attributes:
        pixels: (h, w, 3) uint8 sRGB.
        back: a mask (h, w) of ``pixels`` → the mask (H, W) of the plain photo.
        valid: (H, W) bool, where ``pixels`` shows what the plain photo shows.
    """

    pixels: Picture
    back: Callable[[Picture], Picture]
    valid: NDArray[np.bool_]


Change = Callable[[Picture], Changed]


def unmoved(pixels: Picture) -> Changed:
    """A photo whose mask stays where it is."""
    return Changed(pixels, lambda mask: mask, np.ones(pixels.shape[:2], np.bool_))


def relit(*gains: float) -> Change:
    """Light times ``gains``, one for all channels or one for each of R, G, B, in linear light;
    what gets too bright is clipped, as a camera does it."""
    level = np.arange(256) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    lit = np.clip(linear * np.broadcast_to(gains, 3)[:, None], 0, 1)  # (3, 256)
    encoded = np.where(lit <= 0.0031308, lit * 12.92, 1.055 * lit ** (1 / 2.4) - 0.055)
    table = np.asarray(np.rint(encoded * 255), np.uint8)

    def change(pixels: Picture) -> Changed:
        channels = [table[c][pixels[..., c]] for c in range(3)]
        return unmoved(np.stack(channels, axis=-1))

    return change


def grey(pixels: Picture) -> Changed:
    """Without colour."""
    one = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return unmoved(np.asarray(cv2.cvtColor(one, cv2.COLOR_GRAY2RGB), np.uint8))


def saved(quality: int) -> Change:
    """As a JPEG of that quality shows it."""

    def change(pixels: Picture) -> Changed:
        return unmoved(np.array(Image.open(BytesIO(encode_jpeg(pixels, quality=quality)))))

    return change


def flipped(pixels: Picture) -> Changed:
    """Left and right exchanged."""
    valid = np.ones(pixels.shape[:2], np.bool_)
    return Changed(np.ascontiguousarray(pixels[:, ::-1]), lambda mask: mask[:, ::-1], valid)


def quarter_turns(count: int) -> Change:
    """Turned anticlockwise by ``count`` times 90°, as a camera held otherwise."""

    def change(pixels: Picture) -> Changed:
        turned = np.ascontiguousarray(np.rot90(pixels, count))
        valid = np.ones(pixels.shape[:2], np.bool_)
        return Changed(turned, lambda mask: np.rot90(mask, -count), valid)

    return change


def tilted(degrees: float) -> Change:
    """Turned anticlockwise about the middle; the border's colours fill the corners."""

    def change(pixels: Picture) -> Changed:
        height, width = pixels.shape[:2]
        middle = ((width - 1) / 2, (height - 1) / 2)
        matrix = cv2.getRotationMatrix2D(middle, degrees, 1.0)

        def warp(picture: Picture, flags: int, border: int) -> Picture:
            warped = cv2.warpAffine(
                picture, matrix, (width, height), flags=flags, borderMode=border
            )
            return np.asarray(warped, np.uint8)

        way_back = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = warp(np.full((height, width), 255, np.uint8), way_back, cv2.BORDER_CONSTANT)
        return Changed(
            warp(pixels, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE),
            lambda mask: warp(mask, way_back, cv2.BORDER_CONSTANT),
            seen == 255,
        )

    return change


def scaled(factor: float) -> Change:
    """Larger or smaller by ``factor`` on each side."""

    def change(pixels: Picture) -> Changed:
        height, width = pixels.shape[:2]
        size = (max(16, round(width * factor)), max(16, round(height * factor)))
        return Changed(
            _resized(pixels, size),
            lambda mask: _resized(mask, (width, height)),
            np.ones((height, width), np.bool_),
        )

    return change


def megapixels(pixels: Picture) -> Changed:
    """Enlarged to 24 million pixels, 6000×4000 for a picture of 3:2."""
    return scaled(float(np.sqrt(STRETCHED_PIXELS / (pixels.shape[0] * pixels.shape[1]))))(pixels)


def in_portrait(pixels: Picture) -> Changed:
    """In the middle of an upright frame of 2:3, whose rest the colours of the border fill."""
    height, width = pixels.shape[:2]
    tall, wide = max(height, round(width * 1.5)), max(width, round(height / 1.5))
    top, left = (tall - height) // 2, (wide - width) // 2
    sides = (top, tall - height - top, left, wide - width - left)
    framed = np.asarray(cv2.copyMakeBorder(pixels, *sides, cv2.BORDER_REPLICATE), np.uint8)

    def back(mask: Picture) -> Picture:
        return mask[top : top + height, left : left + width]

    return Changed(framed, back, np.ones((height, width), np.bool_))


def cropped_to_portrait(pixels: Picture) -> Changed:
    """The middle of the picture, upright 2:3: a car seen from the side is cut at both ends."""
    height, width = pixels.shape[:2]
    tall, wide = min(height, round(width * 1.5)), min(width, round(height / 1.5))
    top, left = (height - tall) // 2, (width - wide) // 2
    window = np.s_[top : top + tall, left : left + wide]

    def back(mask: Picture) -> Picture:
        whole = np.zeros((height, width), np.uint8)
        whole[window] = mask
        return whole

    valid = np.zeros((height, width), np.bool_)
    valid[window] = True
    return Changed(np.ascontiguousarray(pixels[window]), back, valid)


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    smaller = size[0] < picture.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=method), np.uint8)


CHANGES: dict[str, Change] = {
    "flipped": flipped,
    "tilted 5°": tilted(5),
    "tilted -5°": tilted(-5),
    "tilted 15°": tilted(15),
    "tilted -15°": tilted(-15),
    "turned 90°": quarter_turns(1),
    "turned 180°": quarter_turns(2),
    "turned 270°": quarter_turns(3),
    "half size": scaled(0.5),
    "quarter size": scaled(0.25),
    "24 megapixels": megapixels,
    "portrait frame": in_portrait,
    "portrait crop": cropped_to_portrait,
    "JPEG quality 40": saved(40),
    "one stop darker": relit(0.5),
    "one stop brighter": relit(2.0),
    "warmer light": relit(*WARM),
    "cooler light": relit(*WARM[::-1]),
    "no colour": grey,
}
"""What a studio's photos may differ by, or what is stored and sent may do to them."""
