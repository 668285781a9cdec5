from __future__ import annotations

import numpy as np
import pytest

from tests.worker.finish.drawn_car import DrawnCar, draw_car
from worker.finish.colours import clean_foreground


def test_where_the_mask_is_sure_of_the_car_its_pixels_are_the_photos_bit_for_bit(
    drawn: DrawnCar,
) -> None:
    noisy = np.random.default_rng(0).integers(0, 256, drawn.photo.shape, dtype=np.uint8)
    sure = drawn.alpha == 255
    assert np.array_equal(clean_foreground(noisy, drawn.alpha)[sure], noisy[sure])


@pytest.mark.parametrize("width", [480, 1440])
def test_the_edge_gets_the_cars_colours_back_at_any_size(width: int) -> None:
    drawn = draw_car(width, width * 2 // 3)
    edge = (drawn.alpha > 0) & (drawn.alpha < 255)
    before = np.abs(drawn.photo[edge].astype(int) - drawn.car[edge]).mean()
    after = np.abs(clean_foreground(drawn.photo, drawn.alpha)[edge].astype(int) - drawn.car[edge])
    assert before > 50
    assert after.mean() < 4


def test_car_colours_reach_a_little_past_the_edge_and_then_end_in_black(drawn: DrawnCar) -> None:
    clean = clean_foreground(drawn.photo, drawn.alpha)
    top = int(np.argmax(drawn.alpha[:, 240] > 0))
    assert np.abs(clean[top - 3, 240].astype(int) - drawn.car[top - 3, 240]).max() < 12
    assert np.all(clean[: top - 20] == 0)


def test_a_thin_antenna_that_is_never_opaque_loses_most_of_the_walls_colour() -> None:
    alpha = np.zeros((120, 160), np.uint8)
    alpha[20:100, 79:82] = (60, 150, 60)
    a = alpha[..., None] / 255
    photo = np.rint(a * (20, 20, 20) + (1 - a) * (230, 230, 230)).astype(np.uint8)
    middle = clean_foreground(photo, alpha)[30:90, 80].astype(int)
    assert photo[60, 80].max() > 100
    assert middle.max() < 70


@pytest.mark.parametrize("level", [0, 255, 128])
def test_masks_without_an_edge_are_no_trouble(level: int) -> None:
    photo = np.full((50, 60, 3), 90, np.uint8)
    clean = clean_foreground(photo, np.full((50, 60), level, np.uint8))
    assert np.all(clean == (0 if level == 0 else 90))


@pytest.mark.parametrize("free_px", [None, 3])
def test_the_photo_is_not_changed_however_wide_the_car_is(
    drawn: DrawnCar, free_px: int | None
) -> None:
    x = np.flatnonzero(drawn.alpha.any(axis=0))
    beside = slice(None) if free_px is None else slice(x[0] - free_px, x[-1] + free_px)
    photo = np.ascontiguousarray(drawn.photo[:, beside])
    before = photo.copy()
    clean_foreground(photo, np.ascontiguousarray(drawn.alpha[:, beside]))
    assert np.array_equal(photo, before)
