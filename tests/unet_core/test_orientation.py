"""A picture is turned only where another way up is clearly surer, and that way is plain to see."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from unet_core.orientation import BELIEVED, CLEARLY, SURE, doubt, turned, upright

Picture = NDArray[np.uint8]


def blurred_box(sigma: float) -> Picture:
    mask = np.zeros((256, 384), np.uint8)
    mask[80:180, 90:290] = 255
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma), np.uint8)


def lit(rows: slice, columns: slice, level: int) -> Picture:
    mask = np.zeros((256, 384), np.uint8)
    mask[rows, columns] = level
    return mask


CLEAR, BLURRED, LOST = blurred_box(1.5), blurred_box(2.6), blurred_box(12)
SPECK = lit(np.s_[100:108], np.s_[100:108], 255)
FAINT = lit(np.s_[100:110], np.s_[100:120], 40)


class Shown:
    """A network that sees what a picture's first pixel says, turned as the picture is."""

    def __init__(self, *seen: Picture) -> None:
        self._seen, self.looks = seen, 0

    def __call__(self, pictures: Sequence[Picture]) -> list[Picture]:
        self.looks += len(pictures)
        return [self._seen[int(picture.flat[0])] for picture in pictures]


def picture_of_corners() -> Picture:
    """Its first pixel tells by how many times 90° it is turned anticlockwise."""
    picture = np.zeros((256, 384, 3), np.uint8)
    picture[0, -1], picture[-1, -1], picture[-1, 0] = 1, 2, 3
    return picture


def found(*seen: Picture) -> tuple[int, Picture]:
    """What comes of a picture that looks like that, turned by 0, 1, 2 and 3 times 90°."""
    return upright([picture_of_corners()], [seen[0]], Shown(*seen))[0]


def test_the_examples_are_what_they_are_called() -> None:
    assert doubt(CLEAR) < SURE < doubt(BLURRED) < BELIEVED < doubt(LOST) < doubt(SPECK)


def test_a_sure_picture_is_not_looked_at_again() -> None:
    look = Shown(CLEAR, CLEAR, CLEAR, CLEAR)

    ((times, mask),) = upright([picture_of_corners()], [CLEAR], look)

    assert (times, look.looks) == (0, 0)
    assert mask is CLEAR


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("first", [BLURRED, LOST, SPECK])
def test_the_way_that_is_surest_is_taken_with_its_mask(times: int, first: Picture) -> None:
    seen = [first, LOST, LOST, LOST]
    seen[times] = CLEAR

    assert found(*seen) == (times, CLEAR)


@pytest.mark.parametrize(
    ("first", "others"),
    [
        (LOST, LOST),
        (BLURRED, LOST),
        (BLURRED, blurred_box(2.5)),
        (BLURRED, SPECK),
        (LOST, FAINT),
        (SPECK, FAINT),
    ],
)
def test_a_picture_stays_as_it_is_where_no_other_way_is_clearly_surer(
    first: Picture, others: Picture
) -> None:
    assert found(first, others, others, others) == (0, first)


def test_what_is_in_doubt_every_way_is_not_believed_though_one_is_surer() -> None:
    surer = blurred_box(8)
    assert BELIEVED < doubt(surer) < doubt(LOST) / CLEARLY

    assert found(LOST, surer, surer, surer) == (0, LOST)


def test_only_the_doubtful_pictures_of_a_batch_are_looked_at_again() -> None:
    look = Shown(LOST, CLEAR, LOST, LOST)

    ways = upright([picture_of_corners()] * 3, [CLEAR, BLURRED, CLEAR], look)

    assert [times for times, _ in ways] == [0, 1, 0]
    assert look.looks == 3


@pytest.mark.parametrize("times", range(4))
def test_turning_and_back_changes_nothing(times: int) -> None:
    picture = picture_of_corners()
    assert (turned(turned(picture, times), -times) == picture).all()
    assert turned(picture, times).flags.c_contiguous


def test_doubt_is_the_same_for_larger_subjects() -> None:
    large = np.zeros((512, 768), np.uint8)
    large[160:360, 180:580] = 255
    assert doubt(np.asarray(cv2.GaussianBlur(large, (0, 0), 1.5), np.uint8)) == pytest.approx(
        doubt(CLEAR), rel=0.03
    )


def test_doubt_grows_at_the_pictures_border_and_where_nothing_is_seen() -> None:
    whole = np.full((100, 100), 255, np.uint8)
    assert doubt(whole) == pytest.approx(4.0)
    for nothing in (np.zeros((100, 100), np.uint8), SPECK, FAINT):
        assert doubt(nothing) == float("inf")
