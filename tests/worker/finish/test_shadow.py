from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.worker.finish.drawn_car import DrawnCar, draw_car
from worker.finish.floor import real_shadow
from worker.finish.presets import SoftShadow
from worker.finish.shadow import contact, find_ground, soft_shadow

SOFT = SoftShadow(kind="soft")
TYRE, SILL, FLOOR = 242, 224, 270  # rows of the drawn car: foot of the tyres, sill, well below


def test_the_floor_is_darkest_where_a_tyre_stands(drawn: DrawnCar) -> None:
    light = soft_shadow(drawn.alpha, SOFT)
    assert light[TYRE + 2, 130] < light[TYRE + 2, 242]
    assert light[TYRE + 2, 130] < 0.45


def test_the_floor_under_the_car_is_dark_and_fades_towards_the_viewer(drawn: DrawnCar) -> None:
    column = soft_shadow(drawn.alpha, SOFT)[:, 242]
    assert column[SILL + 6] < 0.4
    assert column[FLOOR] > 0.9
    assert np.all(np.diff(column[TYRE:FLOOR]) > 0)


def end_on() -> np.ndarray:
    """A car's front: a bumper between two tyres that hardly stand out below it."""
    alpha = np.zeros((320, 480), np.uint8)
    alpha[110:240, 170:310] = 255
    alpha[240:246, 172:196] = alpha[240:246, 284:308] = 255
    return alpha


def test_end_on_the_floor_is_dark_further_down_than_the_bumper() -> None:
    column = soft_shadow(end_on(), SOFT)[:, 240]
    assert column[252] < 0.35
    assert column[264] > column[252] + 0.2
    assert column[300] > 0.9


def test_from_the_side_light_comes_through_between_the_wheels(drawn: DrawnCar) -> None:
    row = soft_shadow(drawn.alpha, SOFT)[TYRE - 8]
    assert row[242] > row[160] + 0.03
    assert row[242] < 0.6


def test_a_straight_sill_is_no_tyre(drawn: DrawnCar) -> None:
    ground = find_ground(drawn.alpha)
    assert ground
    feet = contact(ground, cv2.convexHull(ground.outline), drawn.alpha.shape)
    assert feet[:, 115:145].max() == 1
    assert feet[:, 180:300].max() == 0


def test_there_is_no_halo_around_the_roof(drawn: DrawnCar) -> None:
    light = soft_shadow(drawn.alpha, SOFT)
    assert np.all(light[:150] == 1)
    assert light[:180].min() > 0.85


def test_far_from_the_car_all_light_arrives(drawn: DrawnCar) -> None:
    light = soft_shadow(drawn.alpha, SOFT)
    assert light.dtype == np.float32
    assert light.max() == 1
    assert np.all(light[-10:, :20] > 0.99)


def test_mirrors_high_on_the_flanks_cast_nothing() -> None:
    alpha = np.zeros((300, 400), np.uint8)
    alpha[100:220, 150:250] = 255
    plain = soft_shadow(alpha, SOFT)
    alpha[130:140, 120:150] = 255
    assert np.abs(soft_shadow(alpha, SOFT) - plain).max() < 0.02


def test_a_speck_that_the_network_left_on_the_floor_casts_nothing(drawn: DrawnCar) -> None:
    specked = drawn.alpha.copy()
    specked[305:310, 30:40] = 255
    assert np.array_equal(soft_shadow(specked, SOFT), soft_shadow(drawn.alpha, SOFT))


@pytest.mark.parametrize("angle", [-12, 12])
def test_a_car_that_stands_askew_has_its_shadow_along_both_tyres(angle: int) -> None:
    turn = cv2.getRotationMatrix2D((240, 200), angle, 1)
    alpha = np.asarray(cv2.warpAffine(draw_car().alpha, turn, (480, 320)), dtype=np.uint8)
    light = soft_shadow(alpha, SOFT)
    for x in (130, 355):
        foot_x, foot_y = np.round(turn @ (x, TYRE + 2, 1)).astype(int)
        assert light[foot_y, foot_x] < 0.5


def test_the_shadow_is_the_same_at_any_size() -> None:
    small = soft_shadow(draw_car(480, 320).alpha, SOFT)
    large = soft_shadow(draw_car(1440, 960).alpha, SOFT)
    again = cv2.resize(large, (480, 320), interpolation=cv2.INTER_AREA)
    assert np.abs(small - again).mean() < 0.01


def test_no_opacity_is_no_shadow_and_more_opacity_is_darker(drawn: DrawnCar) -> None:
    levels = [
        soft_shadow(drawn.alpha, SoftShadow(kind="soft", opacity=opacity)).mean()
        for opacity in (0.0, 0.4, 0.8)
    ]
    assert levels[0] == 1
    assert levels[1] > levels[2]


def test_a_larger_reach_darkens_more_floor_in_front_of_the_car(drawn: DrawnCar) -> None:
    near, far = (
        soft_shadow(drawn.alpha, SoftShadow(kind="soft", reach=reach))[TYRE + 12, 242]
        for reach in (0.0, 0.2)
    )
    assert far < near - 0.1


@pytest.mark.parametrize("level", [0, 100, 255])
def test_a_mask_without_a_car_and_one_that_is_all_car_give_light_in_range(level: int) -> None:
    light = soft_shadow(np.full((40, 60), level, np.uint8), SOFT)
    assert light.shape == (40, 60)
    assert 0 <= light.min() <= light.max() <= 1
    assert level == 255 or light.min() == 1


@pytest.mark.parametrize("rows", [1, 2])
def test_a_streak_that_was_taken_for_a_car_casts_no_shadow(rows: int) -> None:
    streak = np.zeros((300, 400), np.uint8)
    streak[100 : 100 + rows, 50:90] = 255
    assert (soft_shadow(streak, SOFT) == 1).all()
    assert (real_shadow(np.full((300, 400, 3), 180, np.uint8), streak).light == 1).all()


@pytest.mark.parametrize("shape", [(1600, 20), (4000, 16), (16, 4000)])
def test_a_sliver_of_a_photo_has_a_shadow_too(shape: tuple[int, int]) -> None:
    alpha = np.zeros(shape, np.uint8)
    alpha[shape[0] // 8 : -shape[0] // 8] = 255
    light = soft_shadow(alpha, SOFT)
    assert light.shape == shape
    assert 0 <= light.min() <= light.max() <= 1
