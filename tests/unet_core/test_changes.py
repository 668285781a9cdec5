"""Changes of a photo: each shows what it says, and its way back puts a mask where it was."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from unet_core.changes import CHANGES, cropped_to_portrait, in_portrait, relit, saved, tilted

Picture = NDArray[np.uint8]
EXACT = {"flipped", "turned 90°", "turned 180°", "turned 270°", "portrait frame", "portrait crop"}
RELIT = {"one stop darker", "one stop brighter", "warmer light", "cooler light", "no colour"}


def gradient(height: int = 120, width: int = 180) -> Picture:
    """A picture in which each place has its own colour: a mistake of one pixel shows."""
    y, x = np.mgrid[0:height, 0:width]
    return np.uint8(np.stack([40 + x, 40 + y, 40 + (x + y) / 2], axis=-1))


@pytest.mark.parametrize("shape", [(120, 180), (180, 120), (121, 181)])
@pytest.mark.parametrize("name", sorted(CHANGES.keys() - RELIT))
def test_what_a_change_moves_its_way_back_puts_where_it_was(
    name: str, shape: tuple[int, int]
) -> None:
    pixels = gradient(*shape)
    changed = CHANGES[name](pixels)

    assert changed.valid.shape == shape
    assert changed.pixels.dtype == np.uint8
    for channel in range(3):
        back = changed.back(changed.pixels[..., channel])
        assert back.shape == shape
        off = np.abs(back.astype(int) - pixels[..., channel])[changed.valid]
        inner = np.percentile(off, 95)  # a resized picture has no neighbours beyond its border
        assert inner == 0 if name in EXACT else inner <= 4, name


@pytest.mark.parametrize("shape", [(120, 180), (180, 120)])
def test_what_a_change_does_not_show_is_not_valid(shape: tuple[int, int]) -> None:
    pixels = gradient(*shape)
    whole = {name for name, change in CHANGES.items() if change(pixels).valid.all()}

    assert CHANGES.keys() - whole == {
        *("tilted 5°", "tilted -5°", "tilted 15°", "tilted -15°"),
        *(["portrait crop"] if shape == (120, 180) else []),
    }
    assert 0.6 < tilted(15)(pixels).valid.mean() < tilted(5)(pixels).valid.mean() < 0.97


def test_changes_have_the_sizes_that_they_promise() -> None:
    sizes = {name: change(gradient(400, 600)).pixels.shape[:2] for name, change in CHANGES.items()}

    assert sizes["half size"] == (200, 300)
    assert sizes["quarter size"] == (100, 150)
    assert sizes["24 megapixels"] == (4000, 6000)
    assert sizes["turned 90°"] == (600, 400)
    assert sizes["portrait frame"] == (900, 600)
    assert sizes["portrait crop"] == (400, 267)
    assert sizes["tilted 15°"] == (400, 600)


def test_a_portrait_stays_as_it_is_where_it_already_is_one() -> None:
    pixels = gradient(180, 120)

    for change in (in_portrait, cropped_to_portrait):
        np.testing.assert_array_equal(change(pixels).pixels, pixels)


def test_a_tilt_fills_the_corners_with_the_borders_colours() -> None:
    wall = np.full((120, 180, 3), 200, np.uint8)

    assert (tilted(15)(wall).pixels == 200).all()


def test_one_stop_is_twice_or_half_the_light() -> None:
    card = np.full((16, 16, 3), 118, np.uint8)  # the grey card: 18 % of the light

    assert relit(2.0)(card).pixels[0, 0].tolist() == [162] * 3  # 36 %
    assert relit(0.5)(card).pixels[0, 0].tolist() == [85] * 3  # 9 %
    assert (relit(2.0)(np.full_like(card, 230)).pixels == 255).all(), "clipped, not wrapped"


def test_warmer_light_is_redder_and_cooler_light_bluer() -> None:
    card = np.full((16, 16, 3), 118, np.uint8)
    red, green, blue = CHANGES["warmer light"](card).pixels[0, 0].tolist()

    assert red > green == 118 > blue
    assert CHANGES["cooler light"](card).pixels[0, 0].tolist() == [blue, green, red]


def test_a_jpeg_of_quality_40_is_coarser_than_one_of_90() -> None:
    noise = np.random.default_rng(2).integers(0, 256, (64, 96, 1), dtype=np.uint8).repeat(3, axis=2)
    coarse, fine = (np.abs(noise - saved(q)(noise).pixels.astype(int)).mean() for q in (40, 90))

    assert coarse > 2 * fine > 0


def test_no_change_touches_the_photo_that_it_is_given() -> None:
    pixels = gradient()
    for name, change in CHANGES.items():
        changed = change(pixels).pixels
        if not np.shares_memory(changed, pixels):
            cv2.rectangle(changed, (0, 0), (9, 9), (0, 0, 0), -1)
        np.testing.assert_array_equal(pixels, gradient(), err_msg=name)
