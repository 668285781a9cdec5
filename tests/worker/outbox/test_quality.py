from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from worker.outbox.quality import (
    LOW_CERTAINTY,
    confidence,
    edge_certainty,
    flags,
    mask_area,
)

Mask = NDArray[np.uint8]


def car(value: int = 255) -> Mask:
    """A subject in the middle that fills a quarter of the picture."""
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = value
    return mask


def codes(mask: Mask) -> list[str]:
    return [flag.code for flag in flags(mask, certainty=1.0)]


def test_the_area_is_the_share_of_the_picture() -> None:
    assert mask_area(car()) == 0.25
    assert mask_area(np.full((4, 4), 51, np.uint8)) == pytest.approx(0.2)


def test_a_sure_mask_has_full_confidence_and_an_empty_one_none() -> None:
    assert confidence(car()) == 1.0
    assert confidence(np.zeros((4, 4), np.uint8)) == 0.0


def test_confidence_is_the_dice_that_the_probabilities_promise() -> None:
    mask = np.array([[255, 204, 51, 0]], np.uint8)  # probabilities 1, 0.8, 0.2, 0; two are chosen
    assert confidence(mask) == pytest.approx(2 * (1 + 0.8) / (2 + 2))


def test_half_is_chosen_from_128_on() -> None:
    assert confidence(np.array([[127]], np.uint8)) == 0.0
    assert confidence(np.array([[128]], np.uint8)) == pytest.approx(2 * 128 / 255 / (128 / 255 + 1))


@given(st.lists(st.integers(0, 255), min_size=1, max_size=64))
def test_confidence_agrees_with_its_definition_pixel_by_pixel(values: list[int]) -> None:
    p = np.array(values) / 255
    chosen = p >= 0.5
    both = p.sum() + chosen.sum()
    expected = 2 * p[chosen].sum() / both if both else 0.0
    assert confidence(np.array([values], np.uint8)) == pytest.approx(expected)


def test_a_good_mask_has_no_flag() -> None:
    assert codes(car()) == []


def test_an_empty_mask_is_flagged_and_nothing_else_is_said_of_it() -> None:
    assert codes(np.zeros((40, 40), np.uint8)) == ["nothing-found"]
    speck = np.zeros((40, 40), np.uint8)
    speck[0, :7] = 255  # 7 of 1600 pixels, at the border
    assert codes(speck) == ["nothing-found"]


def test_an_unsure_edge_is_flagged_with_its_certainty() -> None:
    (flag,) = flags(car(), certainty=LOW_CERTAINTY - 0.1)
    assert (flag.code, flag.value) == ("low-confidence", pytest.approx(LOW_CERTAINTY - 0.1))
    assert flags(car(), certainty=LOW_CERTAINTY) == []
    assert flags(car(), certainty=None) == []


@pytest.mark.parametrize(
    ("turned", "words"), [(1, "to the left"), (2, "180°"), (3, "to the right")]
)
def test_a_photo_that_lies_is_flagged_with_what_to_do(turned: int, words: str) -> None:
    (flag,) = flags(car(), certainty=1.0, turned=turned)
    assert (flag.code, flag.value) == ("not-upright", 90 * turned)
    assert words in flag.sentence


def test_a_hard_edge_is_certain_and_a_soft_one_less_so() -> None:
    hard = np.zeros((120, 120), np.uint8)
    hard[40:80, 40:80] = 255
    certainties = [
        edge_certainty(np.asarray(cv2.GaussianBlur(hard, (0, 0), sigma), np.uint8))
        for sigma in (0.5, 2, 5)
    ]
    assert edge_certainty(hard) == 1.0
    assert certainties[0] > LOW_CERTAINTY > certainties[1] > certainties[2] > 0


def test_only_what_is_near_the_outline_counts_for_its_certainty() -> None:
    mask = np.zeros((120, 120), np.uint8)
    mask[40:80, 40:80] = 255
    mask[5:20, 5:20] = 120  # unsure, and far from the outline
    assert edge_certainty(mask) == 1.0


@pytest.mark.parametrize("level", [0, 100, 255])
def test_a_mask_without_an_outline_is_not_certain_of_it(level: int) -> None:
    assert edge_certainty(np.full((30, 40), level, np.uint8)) == 0.0


def test_a_car_that_is_cut_off_is_flagged_with_the_sides() -> None:
    mask = car()
    mask[0, 15] = mask[20, -1] = 255
    (flag,) = flags(mask, certainty=1.0)
    assert (flag.code, flag.value) == ("touches-border", 2.0)
    assert "right and the top" in flag.sentence


@pytest.mark.parametrize(
    ("side", "place"),
    [
        ("left", np.s_[15:25, 0]),
        ("right", np.s_[15:25, -1]),
        ("top", np.s_[0, 15:25]),
        ("bottom", np.s_[-1, 15:25]),
    ],
)
def test_each_side_is_told_apart(side: str, place: tuple[slice | int, ...]) -> None:
    mask = car()
    mask[place] = 255
    flag = next(f for f in flags(mask, certainty=1.0) if f.code == "touches-border")
    assert f"at the {side} of" in flag.sentence


def test_a_faint_rim_at_the_border_is_no_car() -> None:
    mask = car()
    mask[0, 15] = 127
    assert "touches-border" not in codes(mask)


def test_a_second_large_piece_and_a_large_hole_are_flagged() -> None:
    wall = np.zeros((80, 80), np.uint8)
    wall[20:60, 20:60] = 255
    wall[5:15, 5:15] = 255
    assert codes(wall) == ["more-pieces"]
    window = np.zeros((80, 80), np.uint8)
    window[20:60, 20:60] = 255
    window[30:40, 30:40] = 0
    assert codes(window) == ["hole"]


def test_a_small_car_is_a_car() -> None:
    mask = np.zeros((200, 200), np.uint8)
    mask[90:110, 90:105] = 255  # 0.75 % of the picture
    assert codes(mask) == []


def test_a_border_that_is_just_more_car_than_not_is_touched() -> None:
    mask = car()
    mask[0, 15] = 128
    assert codes(mask) == ["touches-border"]


@pytest.mark.parametrize(("side", "told"), [(16, []), (26, ["more-pieces"])])
def test_a_piece_is_large_from_a_fiftieth_of_the_car_on(side: int, told: list[str]) -> None:
    mask = np.zeros((400, 400), np.uint8)
    mask[200:360, 100:240] = 255
    mask[20 : 20 + side, 20 : 20 + side] = 255  # 1.1 % and 3 %
    assert codes(mask) == told


@pytest.mark.parametrize(("side", "told"), [(20, []), (28, ["hole"])])
def test_a_hole_is_large_from_a_fortieth_of_the_car_on(side: int, told: list[str]) -> None:
    mask = np.zeros((400, 400), np.uint8)
    mask[200:360, 100:240] = 255
    mask[250 : 250 + side, 150 : 150 + side] = 0  # 1.8 % and 3.5 %
    assert codes(mask) == told


def test_an_antenna_that_lies_apart_and_a_gap_below_the_roof_rail_are_no_flags() -> None:
    mask = np.zeros((400, 400), np.uint8)
    mask[100:300, 50:350] = 255
    mask[60:90, 200:204] = 255
    mask[110:112, 100:250] = 0
    assert codes(mask) == []


def test_the_gap_between_car_and_floor_is_no_hole() -> None:
    mask = np.zeros((400, 400), np.uint8)
    mask[100:300, 50:350] = 255
    mask[260:300, 120:280] = 0
    assert codes(mask) == []


def test_a_hole_larger_than_what_lies_around_the_car_is_still_the_hole() -> None:
    ring = np.zeros((400, 600), np.uint8)
    ring[2:-2, 2:-2] = 255
    ring[60:-60, 60:-60] = 0

    assert [flag.code for flag in flags(ring, certainty=0.9)] == ["hole"]


def test_a_mask_that_is_nowhere_more_car_than_not_has_no_pieces() -> None:
    assert flags(np.full((40, 60), 100, np.uint8), certainty=0.9) == []
