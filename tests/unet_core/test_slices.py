from __future__ import annotations

import numpy as np
import pytest

from tests.carvana import disc
from unet_core.slices import MUCH_GLASS, glass_share, slices_of


@pytest.mark.parametrize(
    ("colour", "paint"),
    [
        ((200, 30, 30), "red"),
        ((180, 20, 25), "red"),
        ((220, 190, 20), "yellow"),
        ((30, 120, 60), "green"),
        ((20, 60, 160), "blue"),
        ((240, 240, 236), "white"),
        ((130, 132, 134), "grey"),
        ((20, 20, 24), "dark"),
    ],
)
def test_paint_is_told_whatever_the_booth_looks_like(
    colour: tuple[int, int, int], paint: str
) -> None:
    mask = disc(64, 96, centre=(32, 48), radius=20)
    pixels = np.full((64, 96, 3), (90, 160, 90), np.uint8)
    pixels[mask >= 128] = colour
    found = slices_of(pixels, mask, angle=3)
    found.pop("glass", None)
    assert found == {"paint": paint, "size": "middle", "angle": "03"}


def test_red_that_lies_at_both_ends_of_the_hues_is_red() -> None:
    mask = disc(64, 96, centre=(32, 48), radius=20)
    pixels = np.full((64, 96, 3), (180, 25, 20), np.uint8)
    pixels[::2] = (180, 20, 25)
    assert slices_of(pixels, mask, angle=None)["paint"] == "red"


def test_size_is_that_of_the_cars_box() -> None:
    pixels = np.zeros((64, 96, 3), np.uint8)
    sizes = [
        slices_of(pixels, disc(64, 96, centre=(32, 48), radius=r), angle=None)["size"]
        for r in (8, 20, 30)
    ]
    assert sizes == ["small", "middle", "large"]
    assert slices_of(pixels, pixels[..., 0], angle=None) == {"paint": "none", "size": "none"}


def glazed(paint: tuple[int, int, int], glass: tuple[int, int, int], width: int) -> tuple:
    """A car 80 px long and 40 high with a window 10 px high and ``width`` long above its middle,
    and wheels as dark as glass; the picture and the mask."""
    pixels, mask = np.full((64, 96, 3), 235, np.uint8), np.zeros((64, 96), np.uint8)
    mask[12:52, 8:88] = 255
    pixels[mask > 0] = paint
    pixels[16:26, 20 : 20 + width] = glass
    pixels[42:52, 14:26] = pixels[42:52, 70:82] = 20
    return pixels, mask


@pytest.mark.parametrize(
    ("paint", "glass"),
    [
        ((240, 240, 236), (60, 70, 75)),
        ((170, 172, 174), (90, 95, 100)),
        ((200, 30, 30), (225, 226, 228)),
        ((20, 60, 160), (50, 55, 58)),
    ],
)
def test_glass_is_what_lies_high_and_is_unlike_the_paint(
    paint: tuple[int, int, int], glass: tuple[int, int, int]
) -> None:
    assert glass_share(*glazed(paint, glass, 60)) == pytest.approx(10 * 60 / (80 * 40), abs=0.01)
    assert glass_share(*glazed(paint, glass, 0)) == 0


def test_much_and_little_glass_are_two_slices() -> None:
    much, little = (glazed((240, 240, 236), (60, 70, 75), width) for width in (64, 20))
    assert 10 * 64 / (80 * 40) > MUCH_GLASS > 10 * 20 / (80 * 40)
    assert slices_of(*much, angle=None)["glass"] == "much"
    assert slices_of(*little, angle=None)["glass"] == "little"


def test_a_dark_car_has_no_glass_slice_because_nothing_tells_it() -> None:
    dark = glazed((25, 25, 28), (50, 52, 55), 60)
    assert glass_share(*dark) is None
    assert "glass" not in slices_of(*dark, angle=None)
