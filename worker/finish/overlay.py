"""The studio's logo, or a dealer's plate, laid over every finished frame."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unet_core.images import ImageError, decode
from unet_core.images.profiles import from_srgb
from worker.errors import PresetError
from worker.finish.presets import Overlay

Pixels = NDArray[np.uint8]


def lay_over(
    composite: Pixels, overlay: Overlay, icc: bytes | None = None, *, digest: str = ""
) -> Pixels:
    """``composite``, (H, W, 3) RGB or (H, W, 4) RGBA uint8, with the overlay's picture on it; in
    place. The picture keeps its shape and never grows beyond the frame. ``digest`` is the preset's:
    with another one the file is read anew.

    Raises :class:`PresetError` when the picture cannot be used.
    """
    height, width = composite.shape[:2]
    logo = _drawn(overlay, (width, height), icc, digest)
    margin = _margin(overlay, (width, height))
    across, down = width - logo.width - 2 * margin, height - logo.height - 2 * margin
    vertical, _, horizontal = overlay.position.partition("-")
    x = margin + round(across * {"left": 0.0, "": 0.5, "centre": 0.5, "right": 1.0}[horizontal])
    y = margin + round(down * {"top": 0.0, "centre": 0.5, "bottom": 1.0}[vertical])
    part = composite[y : y + logo.height, x : x + logo.width]
    below = Image.fromarray(np.ascontiguousarray(part))
    if below.mode == "RGBA":
        below.alpha_composite(logo)
    else:
        below.paste(logo, (0, 0), logo)
    part[:] = np.asarray(below)
    return composite


def _margin(overlay: Overlay, size: tuple[int, int]) -> int:
    """Free pixels to the border of a frame of ``size`` (W, H), with room for one more at least."""
    return min(round(overlay.margin * size[0]), (min(size) - 1) // 2)


@lru_cache(maxsize=8)
def _drawn(overlay: Overlay, size: tuple[int, int], icc: bytes | None, _digest: str) -> Image.Image:
    """The picture at its size on a frame of ``size`` (W, H), RGBA in the frame's colours."""
    try:
        photo = decode(overlay.picture, within=overlay.picture.parent)
    except ImageError as error:
        raise PresetError(
            f"The overlay {overlay.picture} cannot be used: {error.what}", cure=error.cure
        ) from error
    colours = photo.srgb() if icc is None else from_srgb(photo.srgb(), icc)
    alpha = np.full(colours.shape[:2], 255, np.uint8) if photo.alpha is None else photo.alpha
    logo = Image.fromarray(np.dstack([colours, alpha]))
    room = [side - 2 * _margin(overlay, size) for side in size]
    scale = min(overlay.width * size[0] / logo.width, room[0] / logo.width, room[1] / logo.height)
    target = max(1, round(logo.width * scale)), max(1, round(logo.height * scale))
    # Pillow weighs colours with alpha when it resizes RGBa: no dark fringe around the letters.
    logo = logo.convert("RGBa").resize(target, Image.Resampling.LANCZOS).convert("RGBA")
    if overlay.opacity < 1:
        logo.putalpha(logo.getchannel("A").point(lambda a: round(a * overlay.opacity)))
    return logo
