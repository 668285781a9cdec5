"""The views of a frame show its errors where they are, however thin."""

from __future__ import annotations

import numpy as np
import pytest

from tests.carvana import disc, picture_of
from unet_core.evaluation_views import BLUE, RED, TILE_PX, YELLOW, ZOOM_PX, views_of, worst_spot

TRUTH = disc(640, 960, centre=(320, 480), radius=200)
PHOTO = picture_of(TRUTH)


def where(error: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """(H, W) bool."""
    return np.asarray((error == colour).all(axis=2))


def test_what_is_too_much_is_red_and_what_is_missing_is_blue() -> None:
    mask = TRUTH.copy()
    mask[300:310, 20:40] = 255
    mask[300:340, 460:500] = 0

    whole, spot = views_of(PHOTO, mask, TRUTH)

    assert where(spot.error, BLUE).sum() == 40 * 40
    assert not where(spot.error, RED).any(), "the worst spot is around the larger error"
    red, blue = where(whole.error, RED), where(whole.error, BLUE)
    assert [points.min(axis=0).tolist() for points in map(np.argwhere, (red, blue))] == [
        [99, 6], [99, 153]
    ]  # fmt: skip
    assert not (red & blue).any()


def test_the_four_pictures_of_a_view_have_one_size_and_the_spot_is_cut_pixel_by_pixel() -> None:
    mask = np.roll(TRUTH, 5, axis=1)

    whole, spot = views_of(PHOTO, mask, TRUTH)

    for view, shape in ((whole, (213, TILE_PX)), (spot, ZOOM_PX)):
        for picture in (view.photo, view.mask, view.truth, view.error):
            assert picture.shape[:2] == shape
            assert picture.dtype == np.uint8
    rows, columns = worst_spot(mask != TRUTH)
    np.testing.assert_array_equal(spot.photo, PHOTO[rows, columns])
    np.testing.assert_array_equal(spot.mask, mask[rows, columns])
    np.testing.assert_array_equal(spot.truth, TRUTH[rows, columns])


def test_an_error_one_pixel_thin_is_seen_in_the_reduced_picture_and_framed() -> None:
    mask = TRUTH.copy()
    mask[100, 5:300] = 255

    whole, _ = views_of(PHOTO, mask, TRUTH)

    assert where(whole.error, RED).sum() > 90
    assert where(whole.error, YELLOW).any()


@pytest.mark.parametrize("centre", [(0, 0), (639, 959), (320, 480), (5, 700)])
def test_the_worst_spot_lies_in_the_picture_with_the_error_in_its_middle(
    centre: tuple[int, int],
) -> None:
    wrong = np.zeros((640, 960), np.bool_)
    y, x = centre
    wrong[max(0, y - 9) : y + 10, max(0, x - 9) : x + 10] = True
    wrong[200:203, 100:103] = True

    rows, columns = worst_spot(wrong)

    assert (rows.stop - rows.start, columns.stop - columns.start) == ZOOM_PX
    assert min(rows.start, columns.start) >= 0
    assert rows.stop <= 640
    assert columns.stop <= 960
    assert abs((rows.start + rows.stop) / 2 - min(max(y, 106), 534)) <= 10
    assert abs((columns.start + columns.stop) / 2 - min(max(x, 160), 800)) <= 10


def test_a_picture_smaller_than_the_page_is_shown_as_it_is() -> None:
    truth = disc(20, 30, centre=(10, 15), radius=6)
    photo = picture_of(truth)

    whole, spot = views_of(photo, truth, truth)

    np.testing.assert_array_equal(whole.photo, photo)
    np.testing.assert_array_equal(spot.photo, photo)
