"""Camera RAW and TIFF directories, on a DNG that is built here byte by byte."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unet_core import images
from unet_core.images.kinds import Kind, sniff
from unet_core.images.tiff import upright_exif

SHORT, LONG, RATIONAL, BYTE, ASCII, SRATIONAL = 3, 4, 5, 1, 2, 10
LETTERS = {SHORT: "H", LONG: "I", RATIONAL: "I", BYTE: "B", ASCII: "B", SRATIONAL: "i"}


def tiff(entries: dict[int, tuple[int, list[int]]], tail: bytes, pointer: int = 273) -> bytes:
    """A little-endian TIFF with one directory; tag ``pointer`` points to ``tail``, the end."""
    table, body, start = b"", b"", 8 + 2 + 12 * len(entries) + 4
    sizes = {tag: struct.calcsize(f"<{len(v)}{LETTERS[k]}") for tag, (k, v) in entries.items()}
    tail_at = start + sum(size + size % 2 for size in sizes.values() if size > 4)
    for tag, (kind, given) in sorted(entries.items()):
        values = [tail_at] if tag == pointer else given
        packed = struct.pack(f"<{len(values)}{LETTERS[kind]}", *values)
        count = len(values) // (2 if kind in (RATIONAL, SRATIONAL) else 1)
        field = packed.ljust(4, b"\0")
        if len(packed) > 4:
            field = struct.pack("<I", start + len(body))
            body += packed + bytes(len(packed) % 2)
        table += struct.pack("<HHI", tag, kind, count) + field
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    return head + table + bytes(4) + body + tail


def dng(*, orientation: int = 1, width: int = 96, height: int = 64) -> bytes:
    """A grey ramp from left to right, as a sensor with an RGGB filter would see it."""
    ramp = np.tile(np.linspace(1000, 60000, width).astype("<u2"), (height, 1))
    identity = [10000 if i in (0, 4, 8) else 0 for i in range(9)]
    entries = {
        254: (LONG, [0]),
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [16]),
        259: (SHORT, [1]),
        262: (SHORT, [32803]),
        271: (ASCII, list(b"Maker\0")),
        272: (ASCII, list(b"Camera X\0")),
        273: (LONG, [0]),
        274: (SHORT, [orientation]),
        277: (SHORT, [1]),
        278: (LONG, [height]),
        279: (LONG, [ramp.nbytes]),
        33421: (SHORT, [2, 2]),
        33422: (BYTE, [0, 1, 1, 2]),
        50706: (BYTE, [1, 4, 0, 0]),
        50708: (ASCII, list(b"Maker Camera X\0")),
        50717: (LONG, [65535]),
        50721: (SRATIONAL, [part for value in identity for part in (value, 10000)]),
        50728: (RATIONAL, [1, 1] * 3),
        50778: (SHORT, [21]),
    }
    return tiff(entries, ramp.tobytes())


def test_a_raw_photo_is_developed_to_srgb(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    (tmp_path / "a.dng").write_bytes(dng())
    photo = images.decode(tmp_path / "a.dng")
    assert photo.pixels.shape == (64, 96, 3) and photo.pixels.dtype == np.uint8
    assert photo.icc is None and photo.alpha is None
    shown = photo.pixels[32, 4:-4].mean(axis=1)
    assert np.all(np.diff(shown) >= 0)
    linear = np.linspace(1000, 60000, 96)[4:-4] / 60000  # the brightest is white
    srgb = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    assert np.abs(shown - 255 * srgb).max() < 4
    assert images.check_complete(tmp_path / "a.dng")


@pytest.mark.parametrize(
    ("orientation", "dark"), [(1, "left"), (3, "right"), (6, "top"), (8, "bottom")]
)
def test_a_raw_photo_is_turned_upright_once(tmp_path: Path, orientation: int, dark: str) -> None:
    pytest.importorskip("rawpy")
    (tmp_path / "a.dng").write_bytes(dng(orientation=orientation))
    pixels = images.decode(tmp_path / "a.dng").pixels
    edges = {
        "left": pixels[:, :9],
        "right": pixels[:, -9:],
        "top": pixels[:9],
        "bottom": pixels[-9:],
    }
    assert min(edges, key=lambda name: edges[name].mean()) == dark
    assert pixels.shape == ((64, 96, 3) if orientation in (1, 3) else (96, 64, 3))


def test_raw_is_told_by_content_whatever_the_name(tmp_path: Path) -> None:
    assert sniff(dng()) is Kind.RAW
    assert sniff(b"II*\0\x10\0\0\0CR\x02\0" + bytes(99)) is Kind.RAW
    assert sniff(b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(99)) is Kind.RAW
    Image.new("RGB", (32, 32)).save(tmp_path / "a.nef", "TIFF")
    assert sniff((tmp_path / "a.nef").read_bytes()) is Kind.TIFF


def test_raw_over_the_pixel_limit_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    (tmp_path / "a.dng").write_bytes(dng())
    with pytest.raises(images.ImageTooLarge):
        images.decode(tmp_path / "a.dng", max_pixels=1000)


@pytest.mark.parametrize("missing", [1, 100, 5000, 11000])
def test_a_raw_photo_cut_short_is_truncated(tmp_path: Path, missing: int) -> None:
    (tmp_path / "a.dng").write_bytes(dng()[:-missing])
    with pytest.raises(images.UnreadableImage) as caught:
        images.decode(tmp_path / "a.dng")
    assert caught.value.code == "truncated"
    assert not images.check_complete(tmp_path / "a.dng")


def test_raw_without_the_extra_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.dng").write_bytes(dng())
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(images.UnsupportedImage) as caught:
        images.decode(tmp_path / "a.dng")
    assert caught.value.code == "needs-raw"
    assert "pip install rawpy" in caught.value.cure
    assert images.check_complete(tmp_path / "a.dng")


def test_a_raw_file_that_libraw_cannot_read_is_corrupt(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    (tmp_path / "a.raf").write_bytes(b"FUJIFILMCCD-RAW 0201" + b"\x55" * 5000)
    with pytest.raises(images.UnreadableImage) as caught:
        images.decode(tmp_path / "a.raf")
    assert caught.value.code == "corrupt"


def exif_with_thumbnail(*, after: bytes) -> bytes:
    """Orientation 6 and a model in IFD0; IFD1 with a thumbnail, and ``after`` behind it."""
    second = struct.pack("<HHHIIHHIII", 2, 513, 4, 1, 8 + 2 + 24 + 4 + 30, 514, 4, 1, 9, 0)
    first = struct.pack(
        "<HHHIIHHIII", 2, 272, 2, 3, int.from_bytes(b"X1\0", "little"), 274, 3, 1, 6, 38
    )
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + first + second + b"THUMBNAIL" + after


@pytest.mark.parametrize("after", [b"", b"maker note"])
def test_exif_loses_its_thumbnail_and_keeps_the_place_of_all_else(after: bytes) -> None:
    exif = exif_with_thumbnail(after=after)
    assert exif.index(b"THUMBNAIL") == 6 + 8 + 2 + 24 + 4 + 30
    upright = upright_exif(exif)
    assert upright is not None and b"THUMBNAIL" not in upright
    assert upright.endswith(after) and (len(upright) == len(exif)) == bool(after)
    loaded = Image.Exif()
    loaded.load(upright)
    assert dict(loaded) == {272: "X1", 274: 1}
    assert loaded.get_ifd(1) == {}


def test_upright_exif_accepts_a_block_without_its_mark() -> None:
    exif = exif_with_thumbnail(after=b"")
    assert upright_exif(exif.removeprefix(b"Exif\0\0")) == upright_exif(exif)
    assert upright_exif(b"Exif\0\0nonsense") is None


def test_a_thumbnail_that_points_into_the_tags_is_only_unlinked() -> None:
    exif = bytearray(exif_with_thumbnail(after=b""))
    exif[6 + 38 + 2 + 8 : 6 + 38 + 2 + 12] = struct.pack("<I", 10)  # would wipe IFD0
    upright = upright_exif(bytes(exif))
    assert upright is not None
    loaded = Image.Exif()
    loaded.load(upright)
    assert dict(loaded) == {272: "X1", 274: 1}
