"""ICC profiles: which one describes a picture, and the way from it to sRGB.

Conversions are relative colorimetric with black point compensation, as photo editors do by
default. Nothing is cached or shared between threads: building a matrix transform costs about a
millisecond, and little CMS makes few promises about sharing.
"""

from __future__ import annotations

import io
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab "}  # Pillow mode -> ICC space
_BROKEN = (ImageCms.PyCMSError, OSError, ValueError, TypeError)
"""What a broken profile raises: cameras and old scanners write them."""


def _transform(mode: str, icc: bytes | None) -> ImageCms.ImageCmsTransform | None:
    """The transform from a picture of this Pillow mode to sRGB; ``None`` if ``icc`` does not fit.

    Without ``icc`` only ``LAB`` is defined.
    """
    try:
        if icc is not None:
            source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            if source.profile.xcolor_space != _SPACES[mode]:
                return None
        elif mode == "LAB":
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        else:
            return None
        return _way(source, _srgb(), mode)
    except _BROKEN:
        return None


def _way(
    source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile, mode: str
) -> ImageCms.ImageCmsTransform:
    """From one profile to the other, from ``mode`` to RGB; raises one of ``_BROKEN``."""
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    return ImageCms.buildTransform(source, target, mode, "RGB", intent, flags)


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """The picture (mode RGB, L, CMYK or LAB) as sRGB, mode RGB.

    Where ``icc`` is missing, broken or meant for another colour space, RGB and L are taken to be
    sRGB already and CMYK is converted plainly.
    """
    transform = _transform(image.mode, icc) or (
        _transform("LAB", None) if image.mode == "LAB" else None
    )
    if transform is None:
        return image.convert("RGB")
    # Pillow types the answer as optional for the in-place form only.
    return cast("Image.Image", ImageCms.applyTransform(image, transform))


def fitting_rgb_profile(icc: bytes | None) -> bytes | None:
    """``icc`` when it is sound and describes RGB, else ``None``."""
    return icc if icc is not None and _transform("RGB", icc) is not None else None


def leads_back(icc: bytes) -> bool:
    """Whether colours can be brought into the RGB profile ``icc``, too: those of some cameras and
    scanners only lead out of it, and no backdrop could be given their colours."""
    return _way_back(icc) is not None


def from_srgb(pixels: NDArray[np.uint8], icc: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 from sRGB into the colour space of the RGB profile ``icc``; as they are
    where it is damaged, or leads out of it alone: no viewer can use it either."""
    way = _way_back(icc)
    if way is None:
        return pixels
    return np.array(ImageCms.applyTransform(Image.fromarray(pixels), way), dtype=np.uint8)


def _way_back(icc: bytes) -> ImageCms.ImageCmsTransform | None:
    try:
        return _way(_srgb(), ImageCms.ImageCmsProfile(io.BytesIO(icc)), "RGB")
    except _BROKEN:
        return None


def is_srgb(icc: bytes) -> bool:
    """Whether the RGB profile ``icc`` means sRGB: no colour of a coarse grid moves by over 1/255.

    Told by what the profile does, because names lie ("sRGB linear", nameless tiny profiles).
    """
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    moved = np.asarray(to_srgb(Image.fromarray(grid), icc))
    return bool(np.abs(moved.astype(np.int16) - grid).max() <= 1)
