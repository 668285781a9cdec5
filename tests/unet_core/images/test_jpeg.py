from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from unet_core.images.jpeg import jpeg_pixels

RNG = np.random.default_rng(7)


def jpeg(width: int, height: int, **options: object) -> bytes:
    """A smooth picture with some noise."""
    small = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    noisy = np.clip(pixels + RNG.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", **options)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(64, 48), (101, 67)])
def test_the_pixels_are_pillows_bit_for_bit(
    subsampling: str, progressive: bool, size: tuple[int, int]
) -> None:
    data = jpeg(*size, subsampling=subsampling, progressive=progressive, quality=88)
    pixels = jpeg_pixels(data, size)
    assert pixels is not None
    assert np.array_equal(pixels, np.asarray(Image.open(io.BytesIO(data))))
    assert pixels.flags.c_contiguous and pixels.flags.writeable


def test_an_orientation_is_left_to_the_caller() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = jpeg(64, 48, exif=exif)
    pixels = jpeg_pixels(data, (64, 48))
    assert pixels is not None and pixels.shape == (48, 64, 3)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"no picture", jpeg(64, 48)[:200]])
def test_what_cannot_be_decoded_is_none(data: bytes) -> None:
    assert jpeg_pixels(data, (64, 48)) is None


def test_a_picture_of_another_size_than_its_header_says_is_none() -> None:
    assert jpeg_pixels(jpeg(64, 48), (48, 64)) is None
