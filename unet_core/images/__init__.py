"""Any photo a studio may drop, as pixels; and results back to bytes.

The one place where picture files are read and written, for training and the worker alike. Told
by content and never by name; upright; 8 bits; RGB in the photo's own colour space. Imports no
torch, so that the watcher can use ``check_complete``.

    path ─ read once ─ sniff ─ header: size ─ whole? ─ decode ─ upright ─ RGB + alpha + ICC + EXIF

What can go wrong (drawn with its codes in ``errors``):

    ImageError
    ├── UnreadableImage
    ├── UnsupportedImage
    ├── ImageTooLarge
    └── ImageTooSmall
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from unet_core.images.encode import encode_jpeg, encode_mask, encode_png, encode_webp
from unet_core.images.errors import (
    ImageError,
    ImageTooLarge,
    ImageTooSmall,
    UnreadableImage,
    UnsupportedImage,
    shown,
    unsupported,
)
from unet_core.images.files import (
    ImageFile,
    check_pixels,
    decode_errors,
    open_header,
    read_image_file,
)
from unet_core.images.jpeg import jpeg_pixels
from unet_core.images.kinds import Kind
from unet_core.images.profiles import fitting_rgb_profile, is_srgb, leads_back, to_srgb
from unet_core.images.raw import develop
from unet_core.images.tiff import grey_levels, upright_exif

__all__ = [
    "ImageError",
    "ImageTooLarge",
    "ImageTooSmall",
    "Photo",
    "UnreadableImage",
    "UnsupportedImage",
    "check_complete",
    "decode",
    "encode_jpeg",
    "encode_mask",
    "encode_png",
    "encode_webp",
    "read_mask",
]

Pixels = npt.NDArray[np.uint8]

_MAX_PIXELS = 200_000_000
_CHECKED_PIXELS = 50_000_000
"""Larger ones are not decoded only to see whether they are whole: about half a gigabyte."""
_MIN_SIDE = 16
_BYTES_PER_PIXEL, _EXTRA_BYTES = 8, 64 << 20  # 16-bit RGBA without compression, and metadata

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_TIFF_EXIF_TAGS = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.XResolution,
    ExifTags.Base.YResolution,
    ExifTags.Base.ResolutionUnit,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
)
"""What describes the photo in a TIFF's first directory; the rest describes the file."""


@dataclass(frozen=True)
class Photo:
    """One decoded photo, upright."""

    pixels: Pixels
    """(H, W, 3) uint8 RGB in the colour space of ``icc``, C-contiguous, writable."""
    alpha: Pixels | None
    """(H, W) uint8, straight; ``None`` unless the file brought some transparency."""
    icc: bytes | None
    """The ICC profile that describes ``pixels``; ``None`` means sRGB."""
    exif: bytes | None
    """The EXIF block (from ``Exif\\0\\0`` on) with Orientation 1 and no thumbnail."""
    sha256: str = ""
    """Hex digest of the file's bytes, just those that were decoded."""

    def srgb(self) -> Pixels:
        """(H, W, 3) uint8 RGB in sRGB: ``pixels`` itself where they are sRGB already."""
        if self.icc is None or is_srgb(self.icc):
            return self.pixels
        return np.array(to_srgb(Image.fromarray(self.pixels), self.icc))

    def on_white(self) -> Photo:
        """The photo laid on white as far as it is transparent, so that its edge is mixed with
        what is behind it as any photo's is; ``alpha`` stays, and what is opaque, bit for bit."""
        if self.alpha is None:
            return self
        share = self.alpha[..., None].astype(np.uint16)
        mixed = (self.pixels * share + 255 * (255 - share) + 127) // 255
        return replace(self, pixels=mixed.astype(np.uint8))


def decode(path: Path, *, max_pixels: int = _MAX_PIXELS, within: Path | None = None) -> Photo:
    """The photo in ``path``: the first one, where the file holds several.

    RGB keeps its profile and its bits; 16 bits become 8; CMYK, Lab and profiled grey become
    sRGB. Size is checked in the header, before anything is decoded. A file that links lead to
    outside of the folder ``within`` is refused. Safe to call from many threads. Raises
    ``ImageError``, and nothing else, for whatever is wrong with the file.
    """
    file = read_image_file(path, max_bytes=_max_bytes(max_pixels), within=within)
    with decode_errors(file):
        image, pixels = _opened(file, max_pixels=max_pixels), None
        if file.kind is Kind.JPEG and image.mode == "RGB" and _method(image) is None:
            pixels = jpeg_pixels(file.data, image.size)
        if pixels is None:
            image.load()
        if min(image.size) < _MIN_SIDE:
            raise ImageTooSmall(
                f"{shown(path)} is only {image.width}×{image.height} pixels",
                code="too-small",
                cure=f"Use the original photo; both sides must have at least {_MIN_SIDE} pixels.",
            )
        exif, digest = _exif(file, image), hashlib.sha256(file.data).hexdigest()
        if pixels is not None:
            icc = fitting_rgb_profile(image.info.get("icc_profile") or None)
            if icc is not None and not leads_back(icc):
                pixels, icc = np.array(to_srgb(Image.fromarray(pixels), icc)), None
            return Photo(pixels, None, icc, exif, digest)
        image = _upright(image)
        alpha = _alpha(image)
        rgb, icc = _rgb(file, image)
        return Photo(np.array(rgb), alpha, icc, exif, digest)


def check_complete(path: Path, *, within: Path | None = None) -> bool:
    """Whether ``path`` is done being written, as far as its content can tell.

    ``False``: empty, cut off, a reserved size still filled with zeros, or too large to be looked
    at here: then only time can tell. ``True``: it decodes to its end, or it never will (no
    picture, damaged, an extra missing): that error belongs to the worker. JPEG, PNG and RAW are
    judged by structure alone, in well under the time of reading them. Raises ``OSError`` if the
    file vanished or the disk failed.
    """
    try:
        file = read_image_file(path, max_bytes=_max_bytes(_CHECKED_PIXELS), within=within)
        if file.proves_itself:
            file.require_whole()
        else:
            with decode_errors(file):
                _load(file, max_pixels=_CHECKED_PIXELS)
    except ImageError as error:
        if error.code in ("missing", "read-failed") and isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        return error.code not in ("empty-file", "truncated", "too-large")
    return True


def read_mask(path: Path) -> Pixels:
    """The mask in ``path``: (H, W) uint8, 0 background to 255 subject, upright.

    Alpha where the file has some transparency, else luminance. Masks that count 0 and 1
    (label files, palettes of any two colours, 1-bit files) become 0 and 255. Raises ``ImageError``.
    """
    file = read_image_file(path, max_bytes=_max_bytes(_MAX_PIXELS))
    with decode_errors(file):
        image = _upright(_load(file, max_pixels=_MAX_PIXELS))
        image.info.pop("icc_profile", None)  # its levels are shares, and no colours
        alpha = _alpha(image)
        mask = np.array(_rgb(file, image)[0].convert("L")) if alpha is None else alpha
        if image.mode == "P" and not np.isin(mask, (0, 255)).all():
            indices = np.array(image)
            mask = indices if indices.max() <= 1 else mask
    return mask * np.uint8(255) if mask.max() <= 1 else mask


def _max_bytes(max_pixels: int) -> int:
    return max_pixels * _BYTES_PER_PIXEL + _EXTRA_BYTES


def _opened(file: ImageFile, *, max_pixels: int) -> Image.Image:
    """The picture with its header read, and its pixels where they came along: a file that is
    whole, and not too large."""
    if file.kind is Kind.RAW:
        file.require_whole()
        return develop(file, max_pixels=max_pixels)
    image = open_header(file)
    check_pixels(file, image.size, max_pixels)
    file.require_whole()
    return image


def _load(file: ImageFile, *, max_pixels: int) -> Image.Image:
    """The decoded picture as it lies in the file: any mode, orientation not yet applied."""
    image = _opened(file, max_pixels=max_pixels)
    image.load()
    return image


def _method(image: Image.Image) -> Image.Transpose | None:
    """What makes the picture upright: ``None`` where it is, or its EXIF is broken or nonsense."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF raises nearly anything, and the picture is still good
        return None
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def _upright(image: Image.Image) -> Image.Image:
    """Applies the EXIF orientation 2 to 8."""
    method = _method(image)
    return image if method is None else image.transpose(method)


def _exif(file: ImageFile, image: Image.Image) -> bytes | None:
    if file.kind is not Kind.TIFF:
        block = image.info.get("exif")
        return upright_exif(block) if isinstance(block, bytes) else None
    try:
        found, kept = image.getexif(), Image.Exif()
        kept.update({tag: found[tag] for tag in _TIFF_EXIF_TAGS if tag in found})
        for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            if tags := found.get_ifd(directory):
                kept[directory] = tags
        return kept.tobytes() if kept else None
    except Exception:  # as above: metadata never costs a photo
        return None


def _alpha(image: Image.Image) -> Pixels | None:
    """(H, W) uint8, or ``None`` where the picture is opaque throughout."""
    if not image.has_transparency_data or image.mode.startswith("I"):
        return None
    plain = image.convert("LA") if image.mode == "La" else image
    alpha = plain.convert("RGBA").getchannel("A")
    return None if alpha.getextrema() == (255, 255) else np.array(alpha)


def _rgb(file: ImageFile, image: Image.Image) -> tuple[Image.Image, bytes | None]:
    """The picture as mode RGB, and the profile that describes it then."""
    icc = image.info.get("icc_profile") or None
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and file.kind is Kind.PNG):
        bits, white_is_zero = grey_levels(file.data) if file.kind is Kind.TIFF else (16, False)
        levels = (np.asarray(image).astype(np.uint16) >> bits - 8).astype(np.uint8)
        image = Image.fromarray(255 - levels if white_is_zero else levels)
    elif mode in ("I", "F"):
        raise unsupported(file.path, f"a {file.kind} with 32 bits a channel")
    elif mode in ("1", "LA", "La"):
        image = image.convert("LA").convert("L") if mode == "La" else image.convert("L")
    if image.mode in ("L", "CMYK", "LAB"):
        return to_srgb(image, icc), None
    if image.mode in ("P", "PA", "RGBa"):
        image = image.convert("RGBA")
    rgb, fitting = image.convert("RGB"), fitting_rgb_profile(icc)
    if fitting is not None and not leads_back(fitting):
        return to_srgb(rgb, fitting), None
    return rgb, fitting
