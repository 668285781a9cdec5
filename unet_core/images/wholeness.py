"""Whether a file is all there, told from its structure without decoding a pixel.

Decoders forgive too much: libjpeg fills what is missing with grey and only mumbles, and a copy
in progress often has its final size already, with zeros for what is still to come. But each
format says where it ends, and walking its segments, chunks or boxes is nearly free.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from typing import Literal

from unet_core.images.kinds import Kind
from unet_core.images.tiff import reaches_beyond_end

State = Literal["whole", "truncated", "corrupt"]

_ZERO_TAIL = bytes(1024)
"""Longer than any run of zeros in which an entropy-coded picture could plausibly end."""

# In entropy-coded data 0xFF is followed by a stuffed 0, a restart mark or another 0xFF.
_JPEG_SCAN_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_JPEG_EOI, _JPEG_SOS = 0xD9, 0xDA
_JPEG_AFTER_SCAN = {0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE}
_JPEG_BARE = {0x01, *range(0xD0, 0xD8)}


def ends_in_zeros(data: bytes) -> bool:
    """Whether the last KiB is zeros: the space that a copy reserved and has not filled yet."""
    return data.endswith(_ZERO_TAIL)


def file_state(data: bytes, kind: Kind) -> State:
    """Whether ``data``, a file of this kind, is structurally whole.

    For JPEG, PNG, WebP, HEIC, AVIF and RAW ``truncated`` is certain. TIFF, GIF and BMP files
    that decode well may still claim bytes that they do not have: ask only after a failure.
    """
    walk = _WALKS[kind]
    try:
        state = walk(data)
    except (struct.error, IndexError):  # ran off the end in the middle of a field
        return "truncated"
    return "truncated" if state == "corrupt" and ends_in_zeros(data) else state


def _jpeg(data: bytes) -> State:
    """Walks the segments up to the end mark of the first picture (ITU-T T.81, annex B)."""
    at, scanned = 2, False
    while True:
        if data[at] != 0xFF:
            return "corrupt"
        while data[at] == 0xFF:  # fill bytes may precede a mark
            at += 1
        mark = data[at]
        at += 1
        if mark == _JPEG_EOI:
            return "whole" if scanned else "corrupt"
        if mark in _JPEG_BARE:
            continue
        if scanned and mark not in _JPEG_AFTER_SCAN:
            return "corrupt"  # a damaged byte in a scan, at which the decoder would go grey
        (length,) = struct.unpack_from(">H", data, at)
        at += length
        if mark == _JPEG_SOS:
            scanned = True
            end = _JPEG_SCAN_END.search(data, at)
            if end is None:
                return "truncated"
            at = end.start()


def _png(data: bytes) -> State:
    """Walks the chunks to IEND; checks what Pillow skips, the sums of the critical ones."""
    at = 8
    while True:
        length, name = struct.unpack_from(">I4s", data, at)
        if not name.isalpha():
            return "corrupt"
        end = at + 8 + length
        (expected,) = struct.unpack_from(">I", data, end)
        if name[:1].isupper() and zlib.crc32(memoryview(data)[at + 4 : end]) != expected:
            return "corrupt"
        if name == b"IEND":
            return "whole"
        at = end + 4


def _webp(data: bytes) -> State:
    """The RIFF header names the length; zeros at the end of the picture chunk are a hole."""
    (length,) = struct.unpack_from("<I", data, 4)
    end = length + 8
    if end > len(data):
        return "truncated"
    at = 12
    while at + 8 <= end:
        name, size = struct.unpack_from("<4sI", data, at)
        if name in (b"VP8 ", b"VP8L", b"ANMF") and data.endswith(_ZERO_TAIL, at, at + 8 + size):
            return "truncated"
        at += 8 + size + size % 2
    return "whole"


def _boxes(data: bytes) -> State:
    """Walks the boxes of an ISO base media file: HEIC, AVIF, Canon's CR3."""
    at, name = 0, b""
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if size == 0 and name != b"\0\0\0\0":  # this box takes the rest
            break
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size < 8:
            return "corrupt"
        at += size
    if at > len(data) or (name == b"mdat" and ends_in_zeros(data)):
        return "truncated"
    return "whole"


def _tiff(data: bytes) -> State:
    return "truncated" if reaches_beyond_end(data) or ends_in_zeros(data) else "whole"


def _raw(data: bytes) -> State:
    if data[4:8] == b"ftyp":
        return _boxes(data)
    return "truncated" if reaches_beyond_end(data) else "whole"


def _gif(data: bytes) -> State:
    return "whole" if data.rstrip(b"\0").endswith(b";") else "truncated"


def _bmp(data: bytes) -> State:
    (size,) = struct.unpack_from("<I", data, 2)
    return "whole" if size <= len(data) and not ends_in_zeros(data) else "truncated"


_WALKS: dict[Kind, Callable[[bytes], State]] = {
    Kind.JPEG: _jpeg,
    Kind.PNG: _png,
    Kind.WEBP: _webp,
    Kind.AVIF: _boxes,
    Kind.HEIC: _boxes,
    Kind.RAW: _raw,
    Kind.TIFF: _tiff,
    Kind.GIF: _gif,
    Kind.BMP: _bmp,
}
