"""Errors of alpha, colours and light count where they can be seen, and are those of the papers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.carvana import disc
from unet_core.edge_metrics import (
    BAND_PX,
    alpha_error,
    colour_error,
    edge_band,
    light_error,
    near_ground,
    true_light,
)

TRUTH = disc(120, 160, centre=(60, 80), radius=30)


def half(left: float) -> NDArray[np.uint8]:
    """(40, 60) uint8: 255 on the left, up to column ``left``, which may be parted."""
    row = np.clip(left - np.arange(60), 0, 1)
    return np.tile(np.uint8(np.rint(255 * row)), (40, 1))


def test_the_truth_has_no_error() -> None:
    error = alpha_error(TRUTH, TRUTH)

    assert (error.sad, error.mse, error.gradient) == pytest.approx((0, 0, 0), abs=1e-9)


def test_an_edge_two_pixels_off_costs_two_pixels_a_row() -> None:
    error = alpha_error(half(32), half(30))

    assert error.sad == pytest.approx(2 * 40 / 1000)
    assert error.mse == pytest.approx(2 * 40 / edge_band(half(30)).sum())
    assert error.gradient > 0


def test_a_soft_edge_costs_gradient_although_its_place_is_right() -> None:
    softer, hardly = half(30).copy(), half(30).copy()
    softer[:, 27:33] = [230, 190, 150, 105, 65, 25]
    hardly[:, 29:31] = [230, 25]

    assert alpha_error(softer, half(30)).gradient > 3 * alpha_error(hardly, half(30)).gradient


def test_errors_far_from_the_true_edge_do_not_count() -> None:
    blotted = TRUTH.copy()
    blotted[:10, :10] = 255

    assert alpha_error(blotted, TRUTH).sad == 0


def test_the_band_reaches_its_distance_on_both_sides_of_soft_and_of_hard_edges() -> None:
    for truth in (half(30), half(30.5)):
        columns = np.flatnonzero(edge_band(truth)[20])
        assert columns.size == pytest.approx(2 * BAND_PX + 2, abs=1)
        assert columns.mean() == pytest.approx(29.75, abs=0.8)


def test_colours_weigh_by_what_the_mask_shows_of_them() -> None:
    truth = half(30.5)
    foreground = np.full((40, 60, 3), 100, np.uint8)
    found = foreground.copy()
    found[:20, 30] = 140
    shown = truth.copy()
    shown[20:, 30] = 0

    error = colour_error(found, foreground, truth=truth, mask=truth)
    assert error == pytest.approx(20)
    assert colour_error(found, foreground, truth=truth, mask=shown) == pytest.approx(40)


def test_light_is_what_the_car_leaves_of_the_floors() -> None:
    plate = np.full((120, 160, 3), 200, np.uint8)
    dimmed = plate // 2

    light = true_light(dimmed, plate)

    np.testing.assert_allclose(light, 0.5)
    assert light_error(light, light, alpha=TRUTH) == 0
    assert light_error(np.ones_like(light), light, alpha=TRUTH) == pytest.approx(0.5)


def test_the_floor_lies_around_the_cars_lower_part_and_never_under_the_car() -> None:
    place = near_ground(TRUTH)

    assert place[95, 80]
    assert place[80, 46]
    assert not place[60:91, 80].any()
    assert not place[:60].any()


def test_what_cannot_be_measured_is_said() -> None:
    empty = np.zeros((20, 30), np.uint8)
    light = np.ones((20, 30), np.float32)
    colours = np.zeros((20, 30, 3), np.uint8)

    with pytest.raises(ValueError, match="bring them to one"):
        alpha_error(empty, TRUTH)
    with pytest.raises(ValueError, match="no edge"):
        alpha_error(empty, empty)
    with pytest.raises(ValueError, match="nothing to compare"):
        colour_error(colours, colours, truth=empty, mask=empty)
    with pytest.raises(ValueError, match="no floor"):
        light_error(light, light, alpha=empty)
