"""A large picture is looked at where its subject is, and nowhere is any of it lost."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from unet_core.region import MARGIN, REDUCED, STEP_PX, Look, mask_by_region, reduced, region_of

Picture = NDArray[np.uint8]
HEIGHT, WIDTH = SIZE = 1000, 1500


class Bright:
    """A network that takes for subject what is bright, and knows what it looked at."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []

    def __call__(self, picture: Picture) -> Picture:
        self.sizes.append(picture.shape[:2])
        return np.asarray(picture[..., 0], np.uint8)


def with_subject(top: int, left: int, height: int, width: int) -> Picture:
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[top : top + height, left : left + width] = 255
    return picture


def found(picture: Picture, look: Look) -> Picture:
    return mask_by_region(picture, look(reduced(picture)), look)


def test_the_mask_is_that_of_the_whole_picture_for_less_work() -> None:
    network, picture = Bright(), with_subject(400, 500, 203, 601)
    assert (found(picture, network) == picture[..., 0]).all()
    small, part = network.sizes
    assert small == (HEIGHT // 4, WIDTH // 4)
    assert part[0] * part[1] < HEIGHT * WIDTH / 2
    assert part[0] % STEP_PX == part[1] % STEP_PX == 0, "few shapes, and no padding"


def test_a_margin_is_looked_at_with_the_subject() -> None:
    region = region_of(with_subject(400, 500, 200, 600)[::4, ::4, 0], SIZE)
    assert region is not None
    (rows, columns), margin = region, round(WIDTH * MARGIN)
    assert rows.start <= 400 - margin and rows.stop >= 600 + margin
    assert columns.start <= 500 - margin and columns.stop >= 1100 + margin


def test_what_the_small_picture_hides_and_the_margin_shows_is_there() -> None:
    picture = with_subject(400, 500, 200, 600)
    picture[400 - 40 : 400, 800] = 200  # an antenna of one pixel
    assert (found(picture, Bright()) == picture[..., 0]).all()


def test_a_subject_that_goes_on_beyond_the_region_is_looked_at_whole() -> None:
    network, picture = Bright(), with_subject(400, 500, 200, 600)
    picture[20:400, 800] = 200  # a mast that ends far above the margin
    assert (found(picture, network) == picture[..., 0]).all()
    assert network.sizes[-1] == SIZE


@pytest.mark.parametrize(
    "box", [(0, 0, 300, 500), (700, 1000, 300, 500), (0, 1300, 1000, 200), (600, 0, 400, 900)]
)
def test_a_subject_at_the_pictures_border_is_no_subject_cut_off(
    box: tuple[int, int, int, int],
) -> None:
    network, picture = Bright(), with_subject(*box)
    assert (found(picture, network) == picture[..., 0]).all()
    assert SIZE not in network.sizes


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (500, 700, 100, 200), (50, 50, 900, 1400)])
def test_where_little_is_found_or_nearly_all_is_subject_all_is_looked_at(
    box: tuple[int, int, int, int],
) -> None:
    network, picture = Bright(), with_subject(*box)
    assert (found(picture, network) == picture[..., 0]).all()
    assert network.sizes[-1] == SIZE


@pytest.mark.parametrize("where", [(0, 0), (450, 600)])
def test_a_blob_that_only_the_small_picture_shows_costs_no_subject(where: tuple[int, int]) -> None:
    picture = with_subject(400, 500, 200, 600)
    small = (HEIGHT // REDUCED, WIDTH // REDUCED)

    def blind(seen: Picture) -> Picture:
        """In small it sees something else than there is."""
        if seen.shape[:2] != small:
            return Bright()(seen)
        return np.roll(seen[..., 0] // 2, (130, -60), (0, 1))  # unsure, and in the wrong place

    assert (found(picture, blind)[400:600, 500:1100] == 255).all()

    def imagines(seen: Picture) -> Picture:
        if seen.shape[:2] != small:
            return Bright()(seen)
        mask, (top, left) = np.zeros(small, np.uint8), where
        mask[top // REDUCED :, left // REDUCED :][:60, :90] = 255
        return mask

    assert (found(picture, imagines) == picture[..., 0]).all()


@pytest.mark.parametrize("size", [(1001, 1503), (1503, 1001), (3, 1003), (1537, 64)])
def test_any_size_will_do(size: tuple[int, int]) -> None:
    picture = np.zeros((*size, 3), np.uint8)
    cv2.circle(picture, (size[1] // 2, size[0] // 2), 60, (255, 255, 255), -1)
    assert (found(picture, Bright()) == picture[..., 0]).all()
