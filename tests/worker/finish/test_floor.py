"""Shadows whose light is known, drawn onto floors of many kinds, and found again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.worker.finish.drawn_car import DrawnCar, draw_car
from unet_core.booth import Booth
from worker.finish.floor import real_shadow
from worker.finish.presets import SoftShadow
from worker.finish.shadow import soft_shadow

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
TRUTH = SoftShadow(kind="soft", opacity=0.7, softness=0.08, reach=0.08)
TYRE = 242


@pytest.fixture(scope="module")
def car() -> DrawnCar:
    return draw_car()


@pytest.fixture(scope="module")
def light(car: DrawnCar) -> Floats:
    return soft_shadow(car.alpha, TRUTH)


def floor(
    level: float = 190.0, *, slope: float = 40.0, size: tuple[int, int] = (480, 320)
) -> Floats:
    """An even, slightly warm floor that falls off to the right and to the front."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    grey = level - slope * x / size[0] - 0.5 * slope * y / size[1]
    return np.stack([grey * 1.03, grey, grey * 0.96], axis=-1).astype(np.float32)


def photo(car: DrawnCar, ground: Floats, light: Floats) -> Pixels:
    a = car.alpha[..., None] / np.float32(255)
    mixed = a * car.car + (1 - a) * ground * light[..., None]
    noise = np.random.default_rng(1).normal(0, 1.5, mixed.shape)
    return np.clip(np.rint(mixed + noise), 0, 255).astype(np.uint8)


def error(found: Floats, light: Floats, car: DrawnCar) -> float:
    """Mean absolute error where the shadow is, outside the car."""
    zone = (light < 0.97) & (car.alpha < 8)
    return float(np.abs(found - light)[zone].mean())


def test_the_shadow_in_the_photo_is_found_far_better_than_none_or_a_drawn_one(
    car: DrawnCar, light: Floats
) -> None:
    found = real_shadow(photo(car, floor(), light), car.alpha).light
    drawn = soft_shadow(car.alpha, SoftShadow(kind="soft"))
    assert error(found, light, car) < 0.05
    assert error(found, light, car) < 0.5 * error(drawn, light, car)
    assert error(found, light, car) < 0.25 * error(np.ones_like(light), light, car)


def test_with_a_plate_it_is_found_on_a_floor_that_no_smooth_surface_fits(
    car: DrawnCar, light: Floats
) -> None:
    patchy = floor()
    patchy[:, 200:330] *= 0.8
    plate = np.rint(patchy * 0.95).astype(np.uint8)  # exposed a little darker
    seen = photo(car, patchy, light)
    assert error(real_shadow(seen, car.alpha, plate=plate).light, light, car) < 0.05


def test_light_is_full_away_from_the_car_and_never_more_than_full(
    car: DrawnCar, light: Floats
) -> None:
    found = real_shadow(photo(car, floor(), light), car.alpha).light
    assert found.shape == car.alpha.shape
    assert found.dtype == np.float32
    assert found.max() == 1
    assert found.min() >= 0
    assert (found[:90] == 1).all()


def test_lines_letters_and_a_turntables_edge_do_not_come_along(
    car: DrawnCar, light: Floats
) -> None:
    lined = floor()
    cv2.ellipse(lined, (240, 235), (230, 60), 0, 0, 360, (60, 60, 60), 2)
    cv2.rectangle(lined, (150, 20), (330, 60), (40, 40, 40), 8)  # a letter on the wall
    plain = real_shadow(photo(car, floor(), light), car.alpha).light
    found = real_shadow(photo(car, lined, light), car.alpha).light
    assert (found[:90] == 1).all()
    away = car.alpha == 0
    difference = np.abs(found - plain)[away]
    assert difference.max() < 0.2  # of lines that are two thirds darker than the floor
    assert difference.mean() < 0.005


def test_paper_in_the_shade_under_the_car_does_not_come_along(car: DrawnCar, light: Floats) -> None:
    littered = floor()
    littered[228:233, 230:242] *= 1.9
    plain = real_shadow(photo(car, floor(), light), car.alpha).light
    found = real_shadow(photo(car, littered, light), car.alpha).light
    assert np.abs(found - plain)[226:235, 226:246].max() < 0.06


def test_a_coloured_floor_casts_no_colour(car: DrawnCar, light: Floats) -> None:
    red = floor() * np.array([1.1, 0.7, 0.6], np.float32)
    assert error(real_shadow(photo(car, red, light), car.alpha).light, light, car) < 0.05


def test_strength_is_a_power_of_the_light(car: DrawnCar, light: Floats) -> None:
    seen = photo(car, floor(), light)
    once = real_shadow(seen, car.alpha).light
    assert np.allclose(real_shadow(seen, car.alpha, strength=2).light, once**2, atol=0.02)
    assert (real_shadow(seen, car.alpha, strength=0).light == 1).all()


def test_where_the_floor_is_too_dark_to_measure_a_soft_shadow_stands_in(car: DrawnCar) -> None:
    black = np.full((320, 480, 3), 12, np.float32)
    found = real_shadow(photo(car, black, np.ones((320, 480), np.float32)), car.alpha).light
    assert found[TYRE + 3, 130] < 0.8
    assert found[:90].min() == 1


def test_on_rendered_floors_it_is_nearer_the_truth_than_a_drawn_shadow() -> None:
    booth = Booth(seed=2, width=320, height=213, samples=4)
    frame, behind = booth.render(3), booth.background(3)
    light = np.clip(behind.mean(axis=2) / frame.plate.mean(axis=2), 0, 1).astype(np.float32)
    seen = (frame.alpha < 128) & (light < 0.97)
    drawn = soft_shadow(frame.alpha, SoftShadow(kind="soft"))
    without = np.abs(real_shadow(frame.image, frame.alpha).light - light)[seen].mean()
    plated = np.abs(real_shadow(frame.image, frame.alpha, plate=frame.plate).light - light)[
        seen
    ].mean()
    assert plated < without < 0.5 * np.abs(drawn - light)[seen].mean()


def test_no_bright_rim_is_left_below_a_tyre(car: DrawnCar, light: Floats) -> None:
    column = real_shadow(photo(car, floor(), light), car.alpha).light[TYRE - 2 : TYRE + 12, 130]
    assert np.all(np.diff(column) > -1e-3)
    assert column[-1] > column[0] + 0.3
    assert column[0] < 0.85 * column[6]


def test_the_edge_of_a_turntable_darker_than_the_floor_hardly_comes_along(
    car: DrawnCar, light: Floats
) -> None:
    disc = np.zeros((320, 480), np.float32)
    cv2.ellipse(disc, (240, 225), (215, 60), 0, 0, 360, 1.0, -1)
    table = floor(slope=10) * (1 - 0.15 * disc)[..., None]
    found = real_shadow(photo(car, table, light), car.alpha).light
    near = np.ones((9, 9), np.uint8)
    edge = (cv2.dilate(disc, near) != cv2.erode(disc, near)) & (light > 0.99)
    assert found[edge].mean() > 0.99
    assert found[edge].min() > 0.88  # right beside the car's bumpers


@pytest.mark.parametrize("exposure", [0.8, 1.25])
def test_a_plate_of_another_exposure_fits_a_car_that_fills_the_photo(exposure: float) -> None:
    alpha, ground = np.zeros((250, 375), np.uint8), floor(150.0, size=(375, 250))
    alpha[15:232, 2:373] = 255
    alpha[232:244, 70:105] = alpha[232:244, 270:305] = 255
    shadow = soft_shadow(alpha, TRUTH)
    close = np.where(alpha[..., None] > 0, 120, ground * shadow[..., None]).astype(np.uint8)

    found = [
        real_shadow(close, alpha, plate=(ground * gain).astype(np.uint8)).light
        for gain in (1.0, exposure)
    ]

    assert np.abs(found[1] - found[0])[alpha == 0].mean() < 0.02
    assert np.abs(found[1] - shadow)[alpha == 0].mean() < 0.1


def test_a_plate_of_another_booth_is_passed_over(car: DrawnCar, light: Floats) -> None:
    other = np.random.default_rng(2).integers(20, 250, (20, 30, 3), dtype=np.uint8)
    plate = np.asarray(cv2.resize(other, (480, 320), interpolation=cv2.INTER_NEAREST), np.uint8)
    seen = photo(car, floor(), light)
    found = real_shadow(seen, car.alpha, plate=plate)
    assert not found.plate_fits
    assert np.array_equal(found.light, real_shadow(seen, car.alpha).light)
    assert error(found.light, light, car) < 0.05


def test_the_shadow_is_the_same_in_many_threads_and_at_other_sizes(light: Floats) -> None:
    large = draw_car(1920, 1280)
    big = np.asarray(cv2.resize(light, (1920, 1280)), np.float32)
    seen = photo(large, floor(size=(1920, 1280)), big)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: real_shadow(seen, large.alpha).light, range(4)))
    assert all(np.array_equal(each, found[0]) for each in found)
    assert error(found[0], big, large) < 0.05


def test_no_car_no_shadow(car: DrawnCar) -> None:
    seen = np.rint(floor()).astype(np.uint8)
    assert (real_shadow(seen, np.zeros_like(car.alpha)).light == 1).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"alpha": np.zeros((10, 10), np.uint8)}, "differ in size"),
        ({"plate": np.zeros((480, 320, 3), np.uint8)}, "differ in proportions"),
        ({"strength": -1.0}, "0 or more"),
    ],
)
def test_what_does_not_fit_is_refused(
    car: DrawnCar, changes: dict[str, object], words: str
) -> None:
    given: dict[str, object] = {"pixels": car.photo, "alpha": car.alpha} | changes
    with pytest.raises(ValueError, match=words):
        real_shadow(**given)  # type: ignore[arg-type]
