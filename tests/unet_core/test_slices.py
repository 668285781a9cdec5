from __future__ import annotations

import numpy as np
import pytest

from tests.carvana import disc
from unet_core.slices import slices_of


@pytest.mark.parametrize(
    ("colour", "paint"),
    [
        ((200, 30, 30), "red"),
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
    assert slices_of(pixels, mask, angle=3) == {"paint": paint, "size": "middle", "angle": "03"}


def test_size_is_that_of_the_cars_box() -> None:
    pixels = np.zeros((64, 96, 3), np.uint8)
    sizes = [
        slices_of(pixels, disc(64, 96, centre=(32, 48), radius=r), angle=None)["size"]
        for r in (8, 20, 30)
    ]
    assert sizes == ["small", "middle", "large"]
    assert slices_of(pixels, pixels[..., 0], angle=None) == {"paint": "none", "size": "none"}
