"""Robustness: who knows only pixels scores 1 under every change, who knows places does not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.carvana import picture_of
from unet_core.changes import CHANGES
from unet_core.robustness import PLAIN, Result, by_change, try_changes

Picture = NDArray[np.uint8]


def car() -> Picture:
    """A mask that no flip and no turn maps onto itself."""
    mask = np.zeros((240, 360), np.uint8)
    mask[110:170, 80:280] = 255
    mask[80:110, 120:200] = 255
    mask[170:185, 95:125] = 255
    return mask


PHOTO = picture_of(car())
QUICK = {name: change for name, change in CHANGES.items() if name != "24 megapixels"}


def bright(pixels: Picture) -> Picture:
    return np.where(pixels.mean(axis=2) > 110, np.uint8(255), np.uint8(0))


def bright_on_the_left(pixels: Picture) -> Picture:
    mask = bright(pixels)
    mask[:, mask.shape[1] // 2 :] = 0
    return mask


def scores(results: list[Result]) -> dict[str, float]:
    return {result.change: result.dice for result in results}


def test_a_cut_by_brightness_scores_1_under_every_change() -> None:
    results = try_changes(bright, PHOTO, frame="a_01.jpg", truth=car())

    assert [result.change for result in results] == [PLAIN, *CHANGES]
    for result in results:
        assert result.frame == "a_01.jpg"
        assert result.dice > 0.975, result  # a quarter of the size rounds the car's corners
        assert result.boundary_f_4px > 0.99, result
        assert result.dice_truth is not None
        assert result.dice_truth > 0.975, result
    exact = scores(results)
    assert all(exact[name] == 1 for name in (PLAIN, "flipped", "turned 90°", "portrait frame"))


def test_a_cut_that_depends_on_the_place_is_found_out() -> None:
    found = scores(try_changes(bright_on_the_left, PHOTO, frame="a", changes=QUICK))

    assert found["flipped"] < 0.2
    assert all(found[f"turned {angle}°"] < 0.7 for angle in (90, 180, 270))
    assert found["tilted 15°"] < 0.97
    assert found[PLAIN] == found["no colour"] == 1
    assert found["half size"] > 0.98


def test_a_cut_that_sees_nothing_agrees_with_itself_and_not_with_the_truth() -> None:
    def blind(pixels: Picture) -> Picture:
        return np.zeros(pixels.shape[:2], np.uint8)

    results = try_changes(blind, PHOTO, frame="a", truth=car(), changes=QUICK)

    assert {result.dice for result in results} == {1.0}
    assert {result.dice_truth for result in results} == {0.0}


def test_where_a_change_does_not_show_the_photo_nothing_is_compared() -> None:
    def corners(pixels: Picture) -> Picture:
        mask = bright(pixels)
        mask[:12, :12] = 255  # out of sight once the photo is tilted
        return mask

    changes = {"tilted 15°": CHANGES["tilted 15°"]}
    tilted = try_changes(corners, PHOTO, frame="a", changes=changes)[1]

    assert tilted.dice > 0.98


def test_the_frame_of_a_crop_is_no_outline() -> None:
    def edgeless(pixels: Picture) -> Picture:
        return np.full(pixels.shape[:2], 255, np.uint8)

    changes = {"portrait crop": CHANGES["portrait crop"]}
    assert try_changes(edgeless, PHOTO, frame="a", changes=changes)[1].boundary_f_4px == 1

    def other(pixels: Picture) -> Picture:
        mask = edgeless(pixels)
        mask[: 40 if pixels.shape == PHOTO.shape else 80] = 0
        return mask

    assert try_changes(other, PHOTO, frame="a", changes=changes)[1].boundary_f_4px == 0


def test_each_changed_photo_is_shown_with_its_own_mask() -> None:
    shown: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}

    try_changes(
        bright,
        PHOTO,
        frame="a",
        changes=QUICK,
        show=lambda result, pixels, mask: shown.update({result.change: (pixels.shape, mask.shape)}),
    )

    assert list(shown) == [PLAIN, *QUICK]
    assert shown["turned 90°"] == ((360, 240, 3), (360, 240))


def test_a_row_a_change_has_the_mean_and_names_the_worst_frame() -> None:
    results = [
        Result("a", "flipped", 0.9, 0.8, 0.7),
        Result("a", "no colour", 1.0, 1.0, 1.0),
        Result("b", "flipped", 0.7, 0.6, 0.5),
        Result("b", "no colour", 0.8, 0.8, None),
    ]

    flipped, colour = by_change(results)

    assert (flipped.change, flipped.frames, flipped.worst_frame) == ("flipped", 2, "b")
    assert flipped.dice_mean == pytest.approx(0.8)
    assert (flipped.dice_worst, flipped.boundary_f_4px_mean) == (0.7, pytest.approx(0.7))
    assert flipped.dice_truth_mean == pytest.approx(0.6)
    assert colour.dice_truth_mean is None, "not each frame has a truth"
