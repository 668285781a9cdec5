"""A mask's soft pixels are solved from the photo; where it tells nothing, the mask's word holds."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.carvana import disc
from unet_core.matting import solve_alpha as solve

Picture = NDArray[np.uint8]
CAR, WALL = np.array([40, 60, 150]), np.array([205, 215, 220])


def solve_alpha(alpha: Picture, pixels: Picture) -> Picture:
    """Everywhere."""
    return solve(alpha, pixels, np.ones(alpha.shape, np.bool_))


def photo_of(alpha: Picture) -> Picture:
    """Car and wall of one colour each, mixed by ``alpha``, with a little noise."""
    share = alpha[..., None] / 255
    noise = np.random.default_rng(3).normal(0, 0.7, (*alpha.shape, 3))
    return np.uint8(np.clip(np.rint(share * CAR + (1 - share) * WALL + noise), 0, 255))


def doubt(alpha: Picture, sigma: float) -> Picture:
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), sigma), np.uint8)


def test_a_ramp_in_the_wrong_place_moves_to_the_photos_edge() -> None:
    truth = disc(96, 128, centre=(48, 64), radius=30)
    wrong = doubt(disc(96, 128, centre=(48, 66), radius=30), 3)

    solved = solve_alpha(wrong, photo_of(truth))

    before, after = (np.abs(mask.astype(int) - truth).sum() for mask in (wrong, solved))
    assert after < 0.25 * before


def test_an_edge_that_is_soft_in_the_photo_stays_as_soft() -> None:
    truth = doubt(disc(96, 128, centre=(48, 64), radius=30), 2)
    unsure = np.where((truth > 0) & (truth < 255), np.uint8(128), truth)

    solved = solve_alpha(unsure, photo_of(truth))

    assert (
        np.abs(solved.astype(int) - truth).mean() < 0.1 * np.abs(unsure.astype(int) - truth).mean()
    )


def test_where_the_photo_shows_no_edge_the_networks_word_holds() -> None:
    ramp = np.tile(np.uint8(np.clip(np.arange(-20, 44) * 6, 0, 255)), (40, 1))

    solved = solve_alpha(ramp, np.full((40, 64, 3), 30, np.uint8))

    assert np.abs(solved.astype(int) - ramp).max() <= 12


def test_what_is_sure_stays_and_the_given_pictures_too() -> None:
    alpha = doubt(disc(64, 64, centre=(32, 32), radius=20), 2)
    pixels = np.random.default_rng(5).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    before = alpha.copy(), pixels.copy()

    solved = solve_alpha(alpha, pixels)

    sure = (alpha == 0) | (alpha == 255)
    np.testing.assert_array_equal(solved[sure], alpha[sure])
    assert not np.array_equal(solved, alpha)
    np.testing.assert_array_equal(alpha, before[0])
    np.testing.assert_array_equal(pixels, before[1])


def test_only_what_is_marked_is_solved() -> None:
    alpha = doubt(disc(64, 64, centre=(32, 32), radius=20), 2)
    pixels = np.random.default_rng(5).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    left = np.arange(64) < 32 + np.zeros((64, 1))

    solved = solve(alpha, pixels, left)

    np.testing.assert_array_equal(solved[~left], alpha[~left])
    assert not np.array_equal(solved[left], alpha[left])


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (9, 1), (40, 30)])
@pytest.mark.parametrize("level", [0, 1, 128, 254, 255])
def test_masks_of_one_level_stay_so_at_any_size(size: tuple[int, int], level: int) -> None:
    pixels = np.random.default_rng(6).integers(0, 256, (*size, 3)).astype(np.uint8)

    solved = solve_alpha(np.full(size, level, np.uint8), pixels)

    assert solved.shape == size
    assert np.abs(solved.astype(int) - level).max() <= 1
