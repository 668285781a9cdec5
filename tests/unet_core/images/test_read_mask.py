"""What ``read_mask`` makes of the many ways in which tools write a mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.unet_core.images.test_profiles import LINEAR_GREY
from unet_core import images

ROWS, COLUMNS = np.mgrid[0:32, 0:48].astype(np.uint8)
SOFT = COLUMNS * np.uint8(5)
BITS = SOFT > 99


def write(path: Path, image: Image.Image, form: str = "PNG", **options: Any) -> Path:
    image.save(path, form, **options)
    return path


@pytest.mark.parametrize(
    "palette", [[0, 0, 0, 255, 255, 255], [0, 0, 0, 1, 1, 1], [0, 0, 0, 128, 0, 0], [7, 7, 7] * 2]
)
@pytest.mark.parametrize("form", ["GIF", "PNG"])
def test_a_palette_mask_of_zeros_and_ones_becomes_0_and_255(
    tmp_path: Path, form: str, palette: list[int]
) -> None:
    image = Image.fromarray(BITS.astype(np.uint8), "P")
    image.putpalette(palette)
    # optimize=False keeps Pillow from renumbering the palette.
    path = write(tmp_path / "a_mask.gif", image, form, optimize=False)
    np.testing.assert_array_equal(images.read_mask(path), BITS * 255)


def test_a_black_and_white_palette_is_believed_even_when_white_comes_first(tmp_path: Path) -> None:
    image = Image.fromarray((~BITS).astype(np.uint8), "P")
    image.putpalette([255, 255, 255, 0, 0, 0])
    np.testing.assert_array_equal(images.read_mask(write(tmp_path / "a", image)), BITS * 255)


def test_one_bit_and_label_masks_become_0_and_255(tmp_path: Path) -> None:
    for stored in (BITS, BITS.astype(np.uint8), BITS * np.uint8(255)):
        path = write(tmp_path / "a.png", Image.fromarray(stored))
        np.testing.assert_array_equal(images.read_mask(path), BITS * 255)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_soft_grey_mask_keeps_every_value(tmp_path: Path, mode: str) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(SOFT).convert(mode))
    np.testing.assert_array_equal(images.read_mask(path), SOFT)


def test_a_grey_masks_profile_changes_no_share(tmp_path: Path) -> None:
    # Photoshop embeds a profile into every grey picture.
    path = write(tmp_path / "a.png", Image.fromarray(SOFT), icc_profile=LINEAR_GREY)
    np.testing.assert_array_equal(images.read_mask(path), SOFT)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_mask_with_transparency_is_its_alpha(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(ROWS).convert(mode)
    image.putalpha(Image.fromarray(SOFT))
    np.testing.assert_array_equal(images.read_mask(write(tmp_path / "a.png", image)), SOFT)


def test_a_mask_with_opaque_alpha_is_its_luminance(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(SOFT).convert("RGBA"))
    np.testing.assert_array_equal(images.read_mask(path), SOFT)


def test_a_sixteen_bit_mask_is_scaled(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 32 * 48).astype(np.uint16).reshape(32, 48)
    np.testing.assert_array_equal(
        images.read_mask(write(tmp_path / "a.png", Image.fromarray(deep))), deep >> 8
    )


def test_an_empty_mask_stays_empty(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", Image.new("L", (30, 20)))
    np.testing.assert_array_equal(images.read_mask(path), np.zeros((20, 30), np.uint8))


def test_a_mask_is_turned_upright_like_its_photo(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write(tmp_path / "a.png", Image.fromarray(SOFT), exif=exif)
    np.testing.assert_array_equal(images.read_mask(path), np.rot90(SOFT, -1))


def test_a_written_mask_reads_back_bit_for_bit(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(images.encode_mask(SOFT))
    np.testing.assert_array_equal(images.read_mask(tmp_path / "a.png"), SOFT)
