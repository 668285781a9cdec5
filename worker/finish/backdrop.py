"""Backdrops: what stands behind the car, at the frame's size and in the frame's colours."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_core.images import ImageError, decode
from unet_core.images.profiles import from_srgb
from worker.errors import PresetError
from worker.finish.grain import grain
from worker.finish.presets import (
    ColourBackdrop,
    GradientBackdrop,
    NoBackdrop,
    PictureBackdrop,
    Preset,
)

_SMALLEST_SIDE = 64
"""A picture with a shorter side is an icon, or broken; enlarged, it would be a blur."""
_STRIP = 256  # rows; as high as the grain's pattern, so that it shows no seams
_CACHE_BYTES = 256 * 1024 * 1024

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
_Key = tuple[str, tuple[int, int], bytes]

_cache: OrderedDict[_Key, Pixels] = OrderedDict()
_cache_lock = Lock()


def render_backdrop(preset: Preset, size: tuple[int, int], icc: bytes | None = None) -> Pixels:
    """The preset's backdrop for a frame of ``size`` (W, H): (H, W, 3) uint8 RGB, read-only.

    ``icc`` is the frame's profile: the backdrop is converted into it, so that it looks the same
    beside photos of every colour space (None, and profiles that are not RGB, count as sRGB).
    Safe from many threads, and drawn once for frames that are alike. Raises `PresetError` when
    the backdrop picture cannot be used; ``ValueError`` for a preset without a backdrop.
    """
    key = (preset.digest, size, sha256(icc or b"").digest())
    # One lock around the drawing too: a shoot's sixteen frames ask at once, and one draws.
    with _cache_lock:
        if key not in _cache:
            _cache[key] = _draw(preset, size, icc)
            _cache[key].flags.writeable = False
        _cache.move_to_end(key)
        while len(_cache) > 1 and sum(each.nbytes for each in _cache.values()) > _CACHE_BYTES:
            _cache.popitem(last=False)
        return _cache[key]


def _draw(preset: Preset, size: tuple[int, int], icc: bytes | None) -> Pixels:
    match preset.backdrop:
        case ColourBackdrop() as backdrop:
            pixels = _flat(backdrop, size)
        case GradientBackdrop() as backdrop:
            pixels = _studio(backdrop, size)
        case PictureBackdrop() as backdrop:
            pixels = _picture(backdrop, size)
        case NoBackdrop():
            raise ValueError(f'preset "{preset.name}" has no backdrop to draw')
    return pixels if icc is None else from_srgb(pixels, icc)


def _flat(backdrop: ColourBackdrop, size: tuple[int, int]) -> Pixels:
    return np.full((size[1], size[0], 3), _rgb(backdrop.colour), np.uint8)


def _studio(backdrop: GradientBackdrop, size: tuple[int, int]) -> Pixels:
    """Wall and floor without a corner, lit from above: a wash on the wall, a pool on the floor."""
    width, height = size
    x = (np.arange(width, dtype=np.float32) + 0.5)[None, :] / np.float32(width) - 0.5  # (1, W)
    y = (np.arange(height, dtype=np.float32) + 0.5)[:, None] / np.float32(height)  # (H, 1)
    # In strips: as one piece, the floats of a 24-megapixel frame would take a gigabyte.
    strips = [_lit(backdrop, x, y[top : top + _STRIP]) for top in range(0, height, _STRIP)]
    return np.concatenate(strips)


def _lit(backdrop: GradientBackdrop, x: Floats, y: Floats) -> Pixels:
    """The studio at (x, y), in parts of width from the middle and of height from the top."""
    horizon = backdrop.horizon
    wall, floor = _ease(y / horizon), _ease((y - horizon) / (1 - horizon))
    down = (0.5 * wall + 0.5 * floor)[..., None]  # (h, 1, 1): 0 at the top, 1 at the bottom
    base = (1 - down) * _rgb(backdrop.top) + down * _rgb(backdrop.bottom)  # (h, 1, 3)

    wash = np.exp(-((x / 0.62) ** 2) - ((y - horizon) / (0.8 * horizon)) ** 2)
    pool_y = horizon + 0.4 * (1 - horizon)
    pool = np.exp(-((x / 0.45) ** 2) - ((y - pool_y) / (0.55 * (1 - horizon))) ** 2)
    on_floor = _ease((y - horizon + 0.04) / 0.1)  # the bend between wall and floor is soft
    light = backdrop.glow * ((1 - on_floor) * 0.8 * wash + on_floor * pool)  # (h, W)

    lit = base + light[..., None] * (255 - base) + grain(*light.shape)[..., None]
    return np.clip(np.rint(lit), 0, 255).astype(np.uint8)


def _ease(t: Floats) -> Floats:
    """0 to 1 for t from 0 to 1, flat at both ends: no line shows where a gradient begins."""
    t = np.clip(t, 0, 1)
    return np.asarray(t * t * t * (t * (6 * t - 15) + 10), dtype=np.float32)


def _picture(backdrop: PictureBackdrop, size: tuple[int, int]) -> Pixels:
    """The picture, upright, cut evenly to the frame's shape and brought to its size; in sRGB."""
    try:
        photo = decode(backdrop.picture, within=backdrop.picture.parent)
    except ImageError as error:
        raise PresetError(
            f"The backdrop picture {backdrop.picture} cannot be used: {error.what}",
            cure=error.cure,
        ) from error
    pixels = photo.on_white().srgb()
    height, width = pixels.shape[:2]
    if min(height, width) < _SMALLEST_SIDE:
        raise PresetError(
            f"The backdrop picture {backdrop.picture} is only {width}×{height} pixels",
            cure=f"Choose one of at least {size[0]}×{size[1]}",
        )
    scale = min(width / size[0], height / size[1])
    cut_width, cut_height = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    left, top = (width - cut_width) // 2, (height - cut_height) // 2
    cut = pixels[top : top + cut_height, left : left + cut_width]
    how = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(cut, size, interpolation=how), dtype=np.uint8)


def _rgb(colour: str) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)
