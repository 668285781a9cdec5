"""Areas, edges and confidence against values by hand and by brute force."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from tests.carvana import disc
from unet_core.metrics import (
    NEAR_EDGE_PX,
    Counts,
    binary,
    boundary_f,
    compare,
    dice,
    distance_to,
    hausdorff_95,
    iou,
    openings,
    outline,
    total,
)

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


def brute_hausdorff_95(a: Bits, b: Bits) -> float:
    def directed(points: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
        nearest = [min(np.hypot(y - v, x - u) for v, u in others) for y, x in points]
        return float(np.percentile(nearest, 95))

    outlines = brute_outline(a), brute_outline(b)
    return max(directed(*outlines), directed(*outlines[::-1]))


def brute_calibration_error(alphas: list[int], truths: list[bool]) -> float:
    bins: dict[int, list[tuple[int, bool]]] = {}
    for alpha, true in zip(alphas, truths, strict=True):
        bins.setdefault(min(alpha // 17, 14), []).append((alpha, true))
    wrong = 0.0
    for members in bins.values():
        promised = sum(alpha / 255 for alpha, _ in members) / len(members)
        share = sum(true for _, true in members) / len(members)
        wrong += len(members) / len(alphas) * abs(promised - share)
    return wrong


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


@pytest.mark.parametrize("seed", range(20))
def test_openings_are_what_cannot_be_reached_from_the_border(seed: int) -> None:
    mask = random_blobs(seed)
    height, width = mask.shape
    edges = {*((y, x) for y in (0, height - 1) for x in range(width))}
    edges |= {*((y, x) for y in range(height) for x in (0, width - 1))}
    reached, todo = np.zeros_like(mask), [p for p in edges if not mask[p]]
    while todo:
        y, x = todo.pop()
        reached[y, x] = True
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inside = [(v, u) for v, u in around if 0 <= v < height and 0 <= u < width]
        todo += [p for p in inside if not (mask[p] or reached[p])]
    assert (openings(mask) == ~(mask | reached)).all()
    assert openings(mask).any(), "or the test says nothing"


def test_a_comparison_counts_what_is_left_open_of_the_truths_openings() -> None:
    truth = SQUARE.copy()
    truth[5:7, 5:7] = 0
    mask = SQUARE.copy()
    mask[5, 5] = 127
    assert compare(mask, truth).opening_counts.left_open == 0.25
    assert compare(truth, truth).opening_counts.left_open == 1
    assert compare(truth, SQUARE).opening_counts.left_open == 1, "there is none to leave open"
    assert compare(truth, SQUARE).opening_counts.pixels.sum() == 0


def test_a_subject_begins_at_128_and_bool_masks_are_themselves() -> None:
    assert binary(np.array([[0, 127, 128, 255]], np.uint8)).tolist() == [[False, False, True, True]]
    assert dice(SQUARE, SQUARE > 0) == 1


@pytest.mark.parametrize("seed", range(6))
def test_hausdorff_95_is_what_brute_force_finds(seed: int) -> None:
    a, b = random_blobs(seed), random_blobs(seed + 50)

    assert hausdorff_95(a, b) == pytest.approx(brute_hausdorff_95(a, b), rel=1e-6)
    assert hausdorff_95(a, b) == hausdorff_95(b, a)


def test_hausdorff_95_is_the_shift_of_an_edge_and_overlooks_a_speck() -> None:
    truth = np.zeros((60, 400), np.uint8)
    truth[:, 200:] = 255
    moved = np.zeros_like(truth)
    moved[:, 207:] = 255
    speck = truth.copy()
    speck[30, 5] = 255  # one outline point of 61

    assert hausdorff_95(moved, truth) == 7
    assert hausdorff_95(speck, truth) == 0


def test_hausdorff_95_without_an_outline_is_0_for_equal_masks_else_the_diagonal() -> None:
    diagonal = pytest.approx(math.hypot(12, 12))
    nothing, everything = np.zeros_like(SQUARE), np.full_like(SQUARE, 255)

    assert hausdorff_95(nothing, nothing) == hausdorff_95(everything, everything) == 0
    assert hausdorff_95(nothing, SQUARE) == hausdorff_95(SQUARE, nothing) == diagonal
    assert hausdorff_95(nothing, everything) == hausdorff_95(SQUARE, everything) == diagonal


@settings(deadline=None, max_examples=60)
@given(
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12)),
    st.tuples(*[st.integers(0, 25)] * 4),
)
def test_a_comparison_in_the_box_is_that_of_the_whole_picture(
    alpha: NDArray[np.uint8], margins: tuple[int, int, int, int]
) -> None:
    top, below, left, right = margins
    mask = np.pad(alpha, ((top, below), (left, right)))
    truth = np.roll(mask, (1, -2), axis=(0, 1)) >= 100
    found = compare(mask, truth)

    subject = mask >= 128
    shared, either = int((subject & truth).sum()), int((subject | truth).sum())
    assert found.counts.iou == iou(mask, truth) == (shared / either if either else 1)
    assert found.counts.dice == dice(mask, truth)
    np.testing.assert_array_equal(found.counts.pixels, Counts.of(mask, truth).pixels)
    band = distance_to(outline(truth)) <= NEAR_EDGE_PX
    np.testing.assert_array_equal(
        found.edge_counts.pixels, Counts.of(mask[band], truth[band]).pixels
    )
    a, b = outline(mask >= 128), outline(truth)
    if a.any() and b.any():
        # OpenCV rounds the last bit by how wide the picture is.
        np.testing.assert_allclose(found.outlines.from_mask, distance_to(b)[a], rtol=1e-6)
        np.testing.assert_allclose(found.outlines.from_truth, distance_to(a)[b], rtol=1e-6)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.booleans()), min_size=1, max_size=60))
def test_the_calibration_error_is_what_one_counts_pixel_by_pixel(
    pixels: list[tuple[int, bool]],
) -> None:
    alphas, truths = [alpha for alpha, _ in pixels], [true for _, true in pixels]
    half = len(pixels) // 2
    parts = [
        Counts.of(np.array(alphas[part], np.uint8), np.array(truths[part], np.bool_))
        for part in (slice(half), slice(half, None))
    ]

    assert total(parts).calibration_error == pytest.approx(brute_calibration_error(alphas, truths))


def test_honest_confidence_has_no_calibration_error_and_false_confidence_has() -> None:
    truth = np.arange(1000) % 5 == 0  # one in five
    honest, boastful = np.full(1000, 51, np.uint8), np.full(1000, 255, np.uint8)

    assert Counts.of(honest, truth).calibration_error == pytest.approx(0)
    assert Counts.of(boastful, truth).calibration_error == pytest.approx(0.8)
    assert Counts.none().calibration_error == 0


def test_the_reliability_table_covers_every_alpha_once() -> None:
    counts = Counts.of(np.arange(256, dtype=np.uint8), np.arange(256) >= 128)
    table = counts.reliability()

    assert [(row.first, row.last) for row in table[:2] + table[-1:]] == [
        (0, 16), (17, 33), (238, 255)
    ]  # fmt: skip
    assert sum(row.pixels for row in table) == 256
    assert (table[0].true, table[-1].true) == (0, 1)
    assert table[7].promised == pytest.approx(127 / 255)
    assert table[7].true == pytest.approx(8 / 17)


def test_masks_of_two_shapes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"\(12, 12\).*\(9, 11\)"):
        compare(SQUARE, EMPTY)
