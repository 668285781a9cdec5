"""Where a mask is worth a look: the outline's ends and its sharpest turns."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from unet_core.places import places, window


def box_with_antenna() -> NDArray[np.uint8]:
    mask = np.zeros((240, 400), np.uint8)
    mask[100:200, 60:340] = 255
    mask[40:100, 200:203] = 255
    return mask


def test_the_ends_lie_where_the_subject_ends() -> None:
    found = places(box_with_antenna(), turns=0)

    assert list(found) == ["top", "left", "right", "low left", "low right"]
    assert found["top"] == (200, 40)
    assert found["left"][0] == 60
    assert found["right"][0] == 339
    assert found["low left"][1] == found["low right"][1] == 199
    assert found["low left"][0] <= 200 <= found["low right"][0]


def test_the_sharpest_turn_that_no_end_covers_comes_first() -> None:
    mask = box_with_antenna()
    mask[130:133, 340:380] = 255  # an end: the rightmost
    mask[150:200, 20:60] = 255
    mask[80:100, 120:122] = 255  # a thin stub on the roof, far from all ends

    assert places(mask, turns=1, apart_px=50)["turn 1"] in {(120, 80), (121, 80)}


def test_turns_keep_their_distance_and_run_out() -> None:
    points = np.array(list(places(box_with_antenna(), turns=99, apart_px=60).values()))

    assert len(points) < 20
    gaps = np.hypot(*(points[5:, None] - points[None]).transpose(2, 0, 1))
    assert np.sort(gaps, axis=1)[:, 1].min() >= 60


def test_only_the_largest_piece_counts_and_nothing_has_no_place() -> None:
    mask = box_with_antenna()
    mask[5:15, 5:15] = 255

    assert places(mask) == places(box_with_antenna())
    assert places(np.zeros((50, 60), np.uint8)) == {}


@pytest.mark.parametrize(
    ("place", "rows", "columns"),
    [((50, 40), (30, 50), (35, 65)), ((0, 0), (0, 20), (0, 30)), ((99, 79), (60, 80), (70, 100))],
)
def test_a_window_lies_around_its_place_and_inside_the_picture(
    place: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    assert window(place, (80, 100), size=(20, 30)) == (slice(*rows), slice(*columns))


def test_a_picture_smaller_than_the_window_is_shown_whole() -> None:
    small = np.zeros((10, 12))

    assert small[window((5, 5), small.shape, size=(20, 30))].shape == small.shape
