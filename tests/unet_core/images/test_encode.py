"""What the encoders write, read back by Pillow."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
import pytest
from PIL import Image, ImageCms

from unet_core import images

RNG = np.random.default_rng(3)
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3), (20, 30, 4)])
def test_png_gives_every_bit_back(shape: tuple[int, ...]) -> None:
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(np.array(opened(images.encode_png(pixels))), pixels)


def test_a_mask_is_an_eight_bit_grey_png_that_gives_every_bit_back() -> None:
    alpha = RNG.integers(0, 256, (37, 53), dtype=np.uint8)
    for mask in (alpha, alpha[::2, ::-1]):  # views of any layout too
        image = opened(images.encode_mask(mask))
        assert (image.format, image.mode) == ("PNG", "L")
        np.testing.assert_array_equal(np.array(image), mask)


def test_lossless_webp_keeps_the_colours_under_transparency() -> None:
    pixels = RNG.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    pixels[:10, :, 3] = 0
    np.testing.assert_array_equal(
        np.array(opened(images.encode_webp(pixels, lossless=True))), pixels
    )


def test_jpeg_subsampling_and_quality_are_obeyed() -> None:
    pixels = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    half, full = (images.encode_jpeg(pixels, subsampling=each) for each in ("4:2:0", "4:4:4"))
    assert opened(half).layer[0][1:3] == (2, 2) and opened(full).layer[0][1:3] == (1, 1)
    assert len(half) < len(full)
    assert len(images.encode_jpeg(pixels, quality=50)) < len(half)


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_jpeg_is_what_pillow_writes(subsampling: Literal["4:2:0", "4:4:4"]) -> None:
    pixels = RNG.integers(0, 256, (67, 101, 3), dtype=np.uint8)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = io.BytesIO()
    Image.fromarray(pixels).save(
        file, "JPEG", quality=92, subsampling=subsampling, icc_profile=icc, exif=EXIF
    )
    written = images.encode_jpeg(pixels, subsampling=subsampling, icc=icc, exif=EXIF)
    assert np.array_equal(np.asarray(opened(written)), np.asarray(opened(file.getvalue())))
    assert opened(written).info == opened(file.getvalue()).info


@pytest.mark.parametrize("length", [1, 65_519, 65_520, 700_000])
def test_a_profile_of_any_length_goes_along_in_a_jpeg(length: int) -> None:
    icc = RNG.bytes(length)
    found = opened(images.encode_jpeg(np.zeros((16, 16, 3), np.uint8), icc=icc, exif=EXIF))
    assert (found.info["icc_profile"], found.info["exif"]) == (icc, EXIF)


def test_exif_that_jpeg_cannot_hold_is_left_out() -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    block = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    assert "exif" not in opened(images.encode_jpeg(pixels, exif=block)).info
    assert len(opened(images.encode_png(pixels, exif=block)).getexif()[0x010E]) == 70_000


def test_exif_is_accepted_with_and_without_its_mark() -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0110] = "Camera X"
    bare = exif.tobytes().removeprefix(b"Exif\0\0")
    for encode in (images.encode_jpeg, images.encode_webp, images.encode_png):
        assert encode(pixels, exif=bare) == encode(pixels, exif=b"Exif\0\0" + bare)
        assert opened(encode(pixels, exif=bare)).getexif()[0x0110] == "Camera X"


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((16, 16, 3), np.float32),
        np.zeros((16, 16, 2), np.uint8),
        np.zeros((16, 16, 1), np.uint8),
        np.zeros((16,), np.uint8),
        np.zeros((0, 16, 3), np.uint8),
        np.zeros((1, 16, 16, 3), np.uint8),
    ],
)
def test_other_shapes_and_types_are_refused_by_name(pixels: np.ndarray) -> None:
    for encode in (
        images.encode_jpeg,
        images.encode_webp,
        images.encode_png,
        images.encode_mask,
    ):
        with pytest.raises(ValueError, match=str(pixels.shape).strip("()").split(",")[0]):
            encode(pixels)


def test_a_result_too_long_for_its_format_names_png_as_the_cure() -> None:
    for encode, side in ((images.encode_webp, 16_384), (images.encode_jpeg, 65_501)):
        with pytest.raises(images.ImageTooLarge, match="PNG"):
            encode(np.zeros((1, side, 3), np.uint8))
