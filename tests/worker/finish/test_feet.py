"""The dark line at a tyre's foot, from the photo at its full size."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.finish.feet import darken_at_feet

Floats = NDArray[np.float32]
LINE = slice(120, 124)


def darkened(trust: float = 1.0) -> Floats:
    """Light around a tyre that ends in row 120, on a floor whose line below it is nearly black."""
    alpha = np.zeros((180, 300), np.uint8)
    alpha[40:120, 120:180] = 255
    photo = np.full((180, 300, 3), 200, np.uint8)
    photo[LINE, 130:170] = 20
    photo[100:180, :60] = 20  # a stain, away from the tyre
    foot = np.zeros((60, 100), np.float32)
    foot[39:41, 42:58] = 1
    light = np.full((180, 300), 0.8, np.float32)
    floor = np.full((60, 100, 3), 200, np.float32)
    darken_at_feet(light, photo, alpha, floor=floor, foot=foot, car_height=100.0, trust=trust)
    return light


def test_the_floor_at_a_foot_is_as_dark_as_in_the_photo_and_as_it_was_elsewhere() -> None:
    light = darkened()
    assert light[121, 150] < 0.2
    assert light[118, 150] < 0.3, "the soft edge of the tyre lies on it"
    assert np.allclose(light[130:], 0.8)
    assert np.allclose(light[:, :100], 0.8)
    assert light.max() <= np.float32(0.8)


@pytest.mark.parametrize("trust", [0.0, 0.5])
def test_a_floor_that_is_not_trusted_tells_as_little_of_its_feet(trust: float) -> None:
    expected = 0.8 + trust * (darkened()[121, 150] - 0.8)
    assert darkened(trust)[121, 150] == pytest.approx(expected, abs=1e-5)
