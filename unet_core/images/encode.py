"""Pictures to bytes: JPEG, WebP, PNG, and the fast grey PNG of a mask.

``exif`` begins with ``Exif\\0\\0`` (as ``Photo.exif`` does) or with the bare TIFF header.
"""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from unet_core.images.errors import ImageTooLarge

Pixels = npt.NDArray[np.uint8]

_EXIF_MARK = b"Exif\0\0"
_ICC_MARK = b"ICC_PROFILE\0"
_JPEG_SEGMENT_BYTES = 65_533  # what fits into one APP1 segment
_ICC_PART_BYTES = _JPEG_SEGMENT_BYTES - len(_ICC_MARK) - 2


def encode_jpeg(
    pixels: Pixels,
    *,
    quality: int = 92,
    subsampling: Literal["4:2:0", "4:4:4"] = "4:2:0",
    icc: bytes | None = None,
    exif: bytes | None = None,
) -> bytes:
    """A JPEG file of ``pixels``, (H, W, 3) uint8 RGB in the colour space of ``icc``.

    EXIF that JPEG cannot hold (over 64 KiB) is left out. Raises ``ImageTooLarge`` above 65,500
    pixels a side, ``ValueError`` for another shape or type.
    """
    # OpenCV writes what Pillow writes, byte for byte, in two thirds of the time, and lets other
    # threads go on meanwhile; profile and EXIF it does not carry (large ones not at all).
    import cv2

    _require(pixels, channels=(3,))
    _require_room(pixels, "JPEG", 65_500)
    name = f"IMWRITE_JPEG_SAMPLING_FACTOR_{subsampling.replace(':', '')}"
    done, encoded = cv2.imencode(
        ".jpg",
        cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR),
        (
            *(cv2.IMWRITE_JPEG_QUALITY, quality),
            *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, getattr(cv2, name)),
        ),
    )
    if not done:
        raise ValueError(f"OpenCV could not write a picture of shape {pixels.shape} as JPEG")
    return _with_segments(encoded.data, icc, _marked(exif))


def _with_segments(jpeg: memoryview, icc: bytes | None, exif: bytes) -> bytes:
    """``jpeg`` with EXIF and profile behind its first segment (JFIF's), as the standards ask
    (Exif 2.32, 4.5.4; ICC.1:2022, B.4)."""
    first = 4 + int.from_bytes(jpeg[4:6], "big")
    segments = [(0xE1, exif)] if 0 < len(exif) <= _JPEG_SEGMENT_BYTES else []
    parts = [
        (icc or b"")[i : i + _ICC_PART_BYTES] for i in range(0, len(icc or b""), _ICC_PART_BYTES)
    ]
    for number, part in enumerate(parts, 1):
        segments.append((0xE2, _ICC_MARK + bytes((number, len(parts))) + part))
    headed = [
        bytes((0xFF, kind)) + (len(body) + 2).to_bytes(2, "big") + body for kind, body in segments
    ]
    return b"".join((jpeg[:first], *headed, jpeg[first:]))


def encode_webp(
    pixels: Pixels,
    *,
    quality: int = 88,
    lossless: bool = False,
    icc: bytes | None = None,
    exif: bytes | None = None,
) -> bytes:
    """A WebP file of ``pixels``, (H, W, 3) RGB or (H, W, 4) RGBA uint8 with straight alpha.

    Raises ``ImageTooLarge`` above 16,383 pixels a side, ``ValueError`` for another shape or type.
    """
    _require(pixels, channels=(3, 4))
    # exact: the clean foreground colours under alpha 0 are the point of a cut-out.
    extras = _extras(icc, _marked(exif))
    return _encode(pixels, "WEBP", 16_383, quality=quality, lossless=lossless, exact=True, **extras)


def encode_png(
    pixels: Pixels,
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    compress_level: int = 1,
) -> bytes:
    """A PNG file of ``pixels``, uint8: (H, W, 3) RGB, (H, W, 4) RGBA straight alpha, (H, W) grey.

    Raises ``ValueError`` for another shape or type.
    """
    _require(pixels, channels=(1, 3, 4))
    extras = _extras(icc, _marked(exif))
    return _encode(pixels, "PNG", 2**31 - 1, compress_level=compress_level, **extras)


def encode_mask(alpha: Pixels) -> bytes:
    """An 8-bit grey PNG of ``alpha``, (H, W) uint8; ``ValueError`` for another shape or type."""
    # OpenCV's run-length strategy takes half of Pillow's time for a file within 12 % in size.
    # Imported here: the watcher imports this module and never writes a picture.
    import cv2

    _require(alpha, channels=(1,))
    done, encoded = cv2.imencode(".png", alpha)
    if not done:
        raise ValueError(f"OpenCV could not write a mask of shape {alpha.shape} as PNG")
    return bytes(encoded.data)


def _encode(pixels: Pixels, form: str, longest: int, **options: Any) -> bytes:
    _require_room(pixels, form, longest)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def _require_room(pixels: Pixels, form: str, longest: int) -> None:
    height, width = pixels.shape[:2]
    if max(height, width) > longest:
        raise ImageTooLarge(
            f"A result of {width}×{height} pixels does not fit into {form}",
            code="too-large",
            cure=f"Choose PNG, or a frame of at most {longest:,} pixels a side.",
        )


def _require(pixels: Pixels, *, channels: tuple[int, ...]) -> None:
    shapes = {2: 1, 3: pixels.shape[-1]}  # number of axes -> channels; (H, W, 1) is not asked for
    found = shapes.get(pixels.ndim, 0)
    if pixels.dtype != np.uint8 or found not in channels or pixels.shape[2:] == (1,):
        raise ValueError(
            f"pixels are {pixels.dtype} {pixels.shape}; give uint8 with {channels} channels, "
            "grey as (H, W) and colour as (H, W, C)"
        )
    if pixels.size == 0:
        raise ValueError(f"pixels of shape {pixels.shape} hold no picture")


def _marked(exif: bytes | None) -> bytes:
    if not exif:
        return b""
    return exif if exif.startswith(_EXIF_MARK) else _EXIF_MARK + exif


def _extras(icc: bytes | None, exif: bytes) -> dict[str, bytes]:
    return ({"icc_profile": icc} if icc else {}) | ({"exif": exif} if exif else {})
