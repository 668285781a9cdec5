"""Dice, IoU and boundary F against values by hand and by brute force."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.carvana import disc
from unet_core.metrics import binary, boundary_f, dice, distance_to, iou, outline

Bits = NDArray[np.bool_]
EMPTY, FULL = np.zeros((9, 11), np.uint8), np.full((9, 11), 255, np.uint8)
SQUARE = np.zeros((12, 12), np.uint8)
SQUARE[3:9, 3:9] = 255


def shifted(mask: NDArray[np.uint8], right: int) -> NDArray[np.uint8]:
    return np.roll(mask, right, axis=1)


def boundary_2px(mask: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    return boundary_f(mask, truth, tolerance_px=2)


def random_blobs(seed: int) -> Bits:
    field = np.random.default_rng(seed).random((14, 17))
    smooth = field[:-2, :-2] + field[1:-1, 1:-1] + field[2:, 2:]
    return np.asarray(smooth > 1.6, np.bool_)


def brute_outline(mask: Bits) -> list[tuple[int, int]]:
    height, width = mask.shape
    points = []
    for y in range(height):
        for x in range(width):
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            inside = [(v, u) for v, u in around if 0 <= v < height and 0 <= u < width]
            if mask[y, x] and not all(mask[p] for p in inside):
                points.append((y, x))
    return points


def brute_boundary_f(a: Bits, b: Bits, tolerance: float) -> float:
    def share(points: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
        near = [min(np.hypot(y - v, x - u) for v, u in others) <= tolerance for y, x in points]
        return sum(near) / len(near)

    precision = share(brute_outline(a), brute_outline(b))
    recall = share(brute_outline(b), brute_outline(a))
    return 2 * precision * recall / (precision + recall)


def test_dice_and_iou_are_what_one_counts_by_hand() -> None:
    moved = shifted(SQUARE, 2)  # 36 pixels each, 24 shared, 48 in all

    assert dice(SQUARE, moved) == pytest.approx(2 * 24 / 72)
    assert iou(SQUARE, moved) == pytest.approx(24 / 48)


@pytest.mark.parametrize("metric", [dice, iou, boundary_2px])
def test_equal_masks_score_1_and_so_do_two_empty_and_two_full_ones(
    metric: Callable[..., float],
) -> None:
    for mask in (SQUARE, EMPTY, FULL):
        assert metric(mask, mask) == 1


@pytest.mark.parametrize("metric", [dice, iou, boundary_2px])
def test_an_empty_mask_scores_0_against_any_subject(metric: Callable[..., float]) -> None:
    for mask in (SQUARE, FULL):
        nothing = np.zeros_like(mask)
        assert metric(nothing, mask) == metric(mask, nothing) == 0


@pytest.mark.parametrize("metric", [dice, iou, boundary_2px])
def test_masks_far_apart_score_0(metric: Callable[..., float]) -> None:
    a, b = np.zeros((2, 30, 30), np.uint8)
    a[2:8, 2:8] = b[20:26, 20:26] = 255

    assert metric(a, b) == 0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tolerance", [0, 1, 1.5, 2])
def test_boundary_f_is_what_brute_force_finds(seed: int, tolerance: float) -> None:
    a, b = random_blobs(seed), random_blobs(seed + 50)

    found = boundary_f(a, b, tolerance_px=tolerance)

    assert found == pytest.approx(brute_boundary_f(a, b, tolerance), abs=1e-9)
    assert found == pytest.approx(boundary_f(b, a, tolerance_px=tolerance))


def test_boundary_f_forgives_a_shift_up_to_the_tolerance() -> None:
    truth = disc(60, 60, centre=(30, 30), radius=18)

    assert boundary_2px(shifted(truth, 2), truth) == 1
    assert boundary_2px(shifted(truth, 4), truth) < 0.75


def test_a_subject_cut_by_the_pictures_border_has_no_outline_there() -> None:
    half = np.zeros((6, 8), np.bool_)
    half[:, 4:] = True

    assert np.argwhere(outline(half)).tolist() == [[y, 4] for y in range(6)]


def test_outlines_and_distances_are_what_brute_force_finds() -> None:
    mask = random_blobs(3)
    points = brute_outline(mask)

    assert [tuple(p) for p in np.argwhere(outline(mask)).tolist()] == points
    expected = [
        [min(np.hypot(y - v, x - u) for v, u in points) for x in range(mask.shape[1])]
        for y in range(mask.shape[0])
    ]
    np.testing.assert_allclose(distance_to(outline(mask)), expected, rtol=1e-5)


def test_a_subject_begins_at_128_and_bool_masks_are_themselves() -> None:
    assert binary(np.array([[0, 127, 128, 255]], np.uint8)).tolist() == [[False, False, True, True]]
    assert dice(SQUARE, SQUARE > 0) == 1
