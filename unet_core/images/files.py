"""From a path to an opened picture: reads the bytes once, names what is wrong, opens the header.

Bytes are read once and decoded from memory, so that a file that changes meanwhile gives a clean
error and never half of one picture and half of another.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from PIL import Image, UnidentifiedImageError

from unet_core.images.errors import (
    ImageError,
    ImageTooLarge,
    UnreadableImage,
    UnsupportedImage,
    corrupt,
    not_an_image,
    outside,
    shown,
    truncated,
    unsupported,
)
from unet_core.images.kinds import HEAD_BYTES, Kind, may_become_image, sniff, unsupported_name
from unet_core.images.wholeness import ends_in_zeros, file_state

# Pillow's own limit is one global number that warns at half of it and raises another error tree.
# Every open in this package goes through ``open_header``, whose callers check the size first.
Image.MAX_IMAGE_PIXELS = None

_CERTAIN = frozenset({Kind.JPEG, Kind.PNG, Kind.WEBP, Kind.HEIC, Kind.AVIF, Kind.RAW})
"""Kinds whose structure proves truncation; the others are decoded and judged by that."""


@dataclass(frozen=True)
class ImageFile:
    """One picture file in memory, its kind told by its content."""

    path: Path
    data: bytes
    kind: Kind

    @property
    def proves_itself(self) -> bool:
        """Whether structure alone says if the file is whole, so that no decoding is needed."""
        return self.kind in {Kind.JPEG, Kind.PNG, Kind.RAW}

    def require_whole(self) -> None:
        """Raises ``UnreadableImage`` where the structure proves the file truncated or damaged."""
        if self.kind not in _CERTAIN:
            return
        state = file_state(self.data, self.kind)
        if state == "truncated":
            raise truncated(self.path, len(self.data))
        if state == "corrupt":
            raise corrupt(self.path, f"its {self.kind} structure is broken")


def read_image_file(path: Path, *, max_bytes: int, within: Path | None = None) -> ImageFile:
    """The file's bytes and kind. Raises ``ImageError``; a non-picture is not read to its end, and
    nothing is read of a file outside of the folder ``within``."""
    with _disk_errors(path):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
            is_folder = stat.S_ISDIR(mode)
            raise not_an_image(path, "a folder" if is_folder else "not a regular file")
        with path.open("rb") as file:
            if within is not None and not _lies_in(within, path, file.fileno()):
                raise outside(path)
            head = file.read(HEAD_BYTES)
            if sniff(head) is None:
                raise _no_picture(path, head)
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise ImageTooLarge(
                    f"{shown(path)} has {size:,} bytes; the limit is {max_bytes:,}",
                    code="too-large",
                    cure="Export it as JPEG in its normal size.",
                )
            file.seek(0)
            data = file.read()
    kind = sniff(data)
    if kind is None:
        raise _no_picture(path, data)
    return ImageFile(path, data, kind)


def _lies_in(folder: Path, path: Path, handle: int) -> bool:
    """Whether the file that was opened as ``path`` lies in ``folder``, however links lead there.
    Asked of the open file where the system can tell: a name may be turned into a link at any time,
    also between a look at it and its use."""
    try:
        where = Path(f"/proc/self/fd/{handle}").readlink()
    except OSError:
        where = path.resolve(strict=True)
        if not os.path.samestat(where.lstat(), os.fstat(handle)):
            return False
    return where.is_relative_to(folder.resolve())


def open_header(file: ImageFile) -> Image.Image:
    """The picture with its header read and its pixels still encoded (HEIC included, RAW not)."""
    if file.kind is Kind.HEIC:
        try:
            import pillow_heif  # an optional extra
        except ImportError as error:
            raise UnsupportedImage(
                f"{shown(file.path)} is a HEIC photo, and HEIC support is not installed",
                code="needs-heic",
                cure="Install it with: pip install pillow-heif, or export the photo as JPEG.",
            ) from error
        opener: Any = pillow_heif.HeifImageFile  # untyped
        return cast("Image.Image", opener(io.BytesIO(file.data)))
    return Image.open(io.BytesIO(file.data), formats=[file.kind])


def check_pixels(file: ImageFile, size: tuple[int, int], max_pixels: int) -> None:
    """Raises ``ImageTooLarge`` when the (width, height) that a header names is over the limit."""
    width, height = size
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"{shown(file.path)} has {width:,}×{height:,} pixels; "
            f"the limit is {max_pixels / 1e6:g} million",
            code="too-large",
            cure="Export it in the camera's normal size.",
        )


@contextmanager
def decode_errors(file: ImageFile) -> Iterator[None]:
    """Maps whatever a decoder raises inside the block to ``ImageError``, once, with its cause."""
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageTooLarge(
            f"{shown(file.path)} needs more memory than there is",
            code="too-large",
            cure="Export it smaller, or give the worker more memory.",
        ) from error
    except Exception as error:
        # Decoders of damaged files raise nearly anything (SyntaxError, struct.error, KeyError,
        # AssertionError, …); a bad photo must be a result and never a failed batch.
        state = file_state(file.data, file.kind)
        if state == "truncated" or ends_in_zeros(file.data) or "truncated" in str(error).lower():
            raise truncated(file.path, len(file.data)) from error
        if state == "whole" and isinstance(error, UnidentifiedImageError | NotImplementedError):
            raise unsupported(file.path, f"an unusual form of {file.kind}") from error
        raise corrupt(file.path, str(error) or type(error).__name__) from error


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnreadableImage(
            f"{shown(path)} is not there",
            code="missing",
            cure="It was moved or deleted; put it back.",
        ) from error
    except PermissionError as error:
        raise UnreadableImage(
            f"{shown(path)} may not be read by this program",
            code="no-permission",
            cure="Give the program's user the right to read it.",
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise UnreadableImage(
            f"{shown(path)} could not be read ({error})",
            code="read-failed",
            cure="Check the disk or the network share, then put the file there again.",
        ) from error


def _no_picture(path: Path, head: bytes) -> ImageError:
    if not head:
        return UnreadableImage(
            f"{shown(path)} is empty (0 bytes)",
            code="empty-file",
            cure="Copy it again from the camera or card.",
        )
    if may_become_image(head):
        return truncated(path, len(head))
    if name := unsupported_name(head):
        return unsupported(path, name)
    return not_an_image(path, f"it begins with {_readable(head[:12])}")


def _readable(start: bytes) -> str:
    """Bytes for people: text in quotes, anything else in hexadecimal."""
    text = start.decode("latin-1")
    is_text = text.isascii() and "".join(text.split()).isprintable()
    return repr(text) if is_text else start.hex(" ")
