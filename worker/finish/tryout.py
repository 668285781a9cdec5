"""What a preset looks like: one rendered car, finished with it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unet_core.images import decode, read_mask
from worker.finish.composite import compose
from worker.finish.framing import FrameShape, fit, reframe, subject_box
from worker.finish.presets import Preset

_PHOTO = Path(__file__).with_name("tryout_photo")
_CHECKS = 8  # px of the finished picture's 160ths

Pixels = NDArray[np.uint8]


def try_out(preset: Preset, size: tuple[int, int]) -> Image.Image:
    """The car finished with ``preset``, RGB, as large as fits into ``size`` (W, H); a chequered
    ground shows where the picture is transparent.

    Raises :class:`PresetError` when a picture of the preset cannot be used.
    """
    pixels, alpha = _photo()
    framing = preset.framing.model_copy(update={"width": None})  # a preview is small anyway
    if preset.framing.mode == "fit":
        height, width = alpha.shape
        (placement,) = fit([FrameShape((width, height), subject_box(alpha))], framing)
        pixels, alpha = reframe(pixels, alpha, placement)
    picture = Image.fromarray(compose(pixels, alpha, preset).composite)
    picture.thumbnail(size, Image.Resampling.LANCZOS)
    if picture.mode == "RGBA":
        ground = _chequered(picture.size)
        ground.paste(picture, (0, 0), picture)
        return ground
    return picture


@cache
def _photo() -> tuple[Pixels, Pixels]:
    return decode(_PHOTO / "car.jpg").pixels, read_mask(_PHOTO / "mask.png")


def _chequered(size: tuple[int, int]) -> Image.Image:
    side = max(2, size[0] * _CHECKS // 160)
    rows, columns = np.indices((size[1], size[0])) // side
    return Image.fromarray(np.where((rows + columns) % 2, 255, 214).astype(np.uint8)).convert("RGB")
