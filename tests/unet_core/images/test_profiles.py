"""ICC profiles of every colour space, built here byte by byte where Pillow has none to give."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from unet_core import images

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# With the red and green primaries exchanged, whoever converts must exchange the channels.
SWAPPED = (
    SRGB.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)
)


def profile(device_class: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A version 2 ICC profile (ICC.1:2001-04, sections 6.1 and 6.2)."""
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, at + len(body), len(data))
        body += padded
    size = at + len(body)
    header = struct.pack(
        ">I4sI4s4s4s12s4s", size, b"", 0x02400000, device_class, space, pcs, b"", b"acsp"
    )
    header = header.ljust(68, b"\0") + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


WHITE = b"XYZ \0\0\0\0" + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
LINEAR_GREY = profile(
    b"mntr", b"GRAY", b"XYZ ", {b"wtpt": WHITE, b"kTRC": b"curv\0\0\0\0" + struct.pack(">I", 0)}
)


def cmyk_profile() -> bytes:
    """Ink that no printer has: cyan prints green, black prints black, the rest prints nothing."""
    ramp = bytes(range(256))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    paper, green, black = bytes((255, 128, 128)), bytes((128, 78, 178)), bytes((0, 128, 128))
    corners = [
        black if corner & 1 else green if corner & 8 else paper  # bits: C M Y K
        for corner in range(16)
    ]
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + ramp * 4 + b"".join(corners) + ramp * 3
    return profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": WHITE, b"A2B0": lut})


def scanner_profile() -> bytes:
    """One that only leads out of its colours: to a lightness that is half of what RGB says."""
    ramp = bytes(range(256))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    corners = [bytes((corner.bit_count() * 42, 128, 128)) for corner in range(8)]
    lut = b"mft1\0\0\0\0" + bytes((3, 3, 2, 0)) + identity + ramp * 3 + b"".join(corners) + ramp * 3
    return profile(b"scnr", b"RGB ", b"Lab ", {b"wtpt": WHITE, b"A2B0": lut})


def stored(tmp_path: Path, image: Image.Image, form: str, icc: bytes | None) -> images.Photo:
    path = tmp_path / "a"
    image.save(path, form, **({"icc_profile": icc} if icc else {}))
    return images.decode(path)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_an_rgb_profile_stays_with_the_untouched_pixels(tmp_path: Path, form: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    photo = stored(tmp_path, Image.fromarray(noise), form, SWAPPED)
    np.testing.assert_array_equal(photo.pixels, noise)
    assert photo.icc == SWAPPED


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_profile_that_leads_nowhere_back_is_applied_at_once(tmp_path: Path, form: str) -> None:
    grey = Image.new("RGB", (40, 40), "#808080")
    photo = stored(tmp_path, grey, form, scanner_profile())
    assert photo.icc is None
    assert 55 < photo.pixels.min() <= photo.pixels.max() < 65  # L* of 25
    assert images.profiles.leads_back(SRGB)
    assert not images.profiles.leads_back(b"broken")


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF"])
def test_a_profile_survives_the_lossy_formats(tmp_path: Path, form: str) -> None:
    assert stored(tmp_path, Image.new("RGB", (32, 32)), form, SWAPPED).icc == SWAPPED


def test_srgb_converts_what_the_profile_describes(tmp_path: Path) -> None:
    photo = stored(tmp_path, Image.new("RGB", (32, 32), (200, 10, 50)), "PNG", SWAPPED)
    np.testing.assert_allclose(photo.srgb()[0, 0], (10, 200, 50), atol=2)
    assert photo.srgb().flags.c_contiguous and photo.srgb().flags.writeable


def test_srgb_is_the_very_pixels_when_the_profile_says_srgb_or_there_is_none(
    tmp_path: Path,
) -> None:
    for icc in (SRGB, None):
        photo = stored(tmp_path, Image.new("RGB", (32, 32), (200, 10, 50)), "PNG", icc)
        assert photo.icc == icc
        assert photo.srgb() is photo.pixels


def test_srgb_leaves_pixels_alone_under_a_profile_that_broke_later() -> None:
    pixels = np.full((16, 16, 3), 99, np.uint8)
    assert images.Photo(pixels, None, b"not a profile", None).srgb() is pixels


@pytest.mark.parametrize("icc", [b"no profile", SRGB[:200], SRGB[:128], bytes(500), LINEAR_GREY])
def test_a_broken_or_foreign_profile_is_dropped(tmp_path: Path, icc: bytes) -> None:
    photo = stored(tmp_path, Image.new("RGB", (32, 32), (200, 10, 50)), "PNG", icc)
    assert photo.icc is None
    assert tuple(photo.pixels[0, 0]) == (200, 10, 50)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_with_a_grey_profile_becomes_srgb(tmp_path: Path, mode: str) -> None:
    photo = stored(tmp_path, Image.new("L", (32, 32), 55).convert(mode), "PNG", LINEAR_GREY)
    np.testing.assert_allclose(photo.pixels[0, 0], 128, atol=1)  # sRGB of 55/255 linear light
    assert photo.icc is None


@pytest.mark.parametrize("icc", [None, SRGB, b"broken"])
def test_grey_without_a_grey_profile_is_taken_as_it_is(tmp_path: Path, icc: bytes | None) -> None:
    photo = stored(tmp_path, Image.new("L", (32, 32), 55), "PNG", icc)
    assert tuple(photo.pixels[0, 0]) == (55, 55, 55)
    assert photo.icc is None


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
@pytest.mark.parametrize("icc", [None, SRGB, b"broken"])
def test_cmyk_without_a_cmyk_profile_is_converted_plainly(
    tmp_path: Path, form: str, icc: bytes | None
) -> None:
    inks = {(0, 0, 0, 0): (255, 255, 255), (255, 0, 0, 0): (0, 255, 255), (0, 0, 0, 255): (0, 0, 0)}
    for ink, colour in inks.items():
        photo = stored(tmp_path, Image.new("CMYK", (32, 32), ink), form, icc)
        np.testing.assert_allclose(photo.pixels[5, 5], colour, atol=2)
        assert photo.icc is None


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_is_converted_by_its_own_profile(tmp_path: Path, form: str) -> None:
    icc = cmyk_profile()
    white = stored(tmp_path, Image.new("CMYK", (32, 32), (0, 255, 255, 0)), form, icc)
    np.testing.assert_allclose(white.pixels[5, 5], (255, 255, 255), atol=3)
    assert white.icc is None
    red, green, blue = stored(
        tmp_path, Image.new("CMYK", (32, 32), (255, 0, 0, 0)), form, icc
    ).pixels[5, 5]
    assert green > 100 and red < green - 50 and blue < green - 50


def test_a_lab_tiff_becomes_srgb(tmp_path: Path) -> None:
    lab = ImageCms.createProfile("LAB")
    source = Image.new("RGB", (32, 32), (180, 60, 40))
    image = ImageCms.profileToProfile(source, ImageCms.createProfile("sRGB"), lab, outputMode="LAB")
    assert image is not None
    np.testing.assert_allclose(
        stored(tmp_path, image, "TIFF", None).pixels[5, 5], (180, 60, 40), atol=4
    )


def test_a_profile_is_written_into_every_output(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    for encode in (images.encode_jpeg, images.encode_webp, images.encode_png):
        assert Image.open(io.BytesIO(encode(pixels, icc=SWAPPED))).info["icc_profile"] == SWAPPED
