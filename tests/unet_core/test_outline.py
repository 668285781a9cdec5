"""The minimal cut: short outlines, where the photo has edges, against the network's word."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from unet_core.outline import cut

Picture = NDArray[np.uint8]


def grey(levels: NDArray[np.generic]) -> Picture:
    """(h, w, 3) uint8 of the same levels (h, w)."""
    return np.repeat(np.asarray(levels, np.uint8)[..., None], 3, axis=2)


def energy(labels: NDArray[np.bool_], mask: Picture, photo: Picture) -> float:
    """What these ``labels`` (h, w) cost, in nats, pixel by pixel."""
    likely = np.clip(mask / 255, 0.02, 0.98)
    against = -np.log(np.where(labels, likely, 1 - likely)).sum()
    lab = cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    length = 0.0
    for axis in (0, 1):
        apart = np.square(np.diff(lab, axis=axis)).sum(axis=2)
        crossed = np.diff(labels.astype(int), axis=axis) != 0
        length += float(((0.05 + 3 * np.exp(-apart / 2)) * crossed).sum())
    return float(against) + length


@pytest.mark.parametrize("seed", range(12))
def test_no_other_decision_is_cheaper(seed: int) -> None:
    random = np.random.default_rng(seed)
    mask = random.integers(0, 256, (3, 4)).astype(np.uint8)
    photo = random.integers(100, 108, (3, 4, 3)).astype(np.uint8)
    where = random.random((3, 4)) < 0.8
    known = mask >= 128

    decided = cut(mask, photo, where)

    costs = []
    for choice in product((False, True), repeat=int(where.sum())):
        labels = known.copy()
        labels[where] = choice
        costs.append(energy(labels, mask, photo))
    assert energy(decided >= 128, mask, photo) <= min(costs) + 0.05
    assert max(costs) > min(costs) + 5  # most decisions are much dearer
    np.testing.assert_array_equal(decided[~where], mask[~where])


def test_an_outline_moves_to_where_the_photo_has_its_edge() -> None:
    """The network's half lies at column 20, the photo's edge at 24."""
    mask = np.tile(np.linspace(255, 0, 41).astype(np.uint8), (30, 1))
    photo = grey(np.where(np.arange(41) < 24, 240, 225) * np.ones((30, 1), int))

    decided = cut(mask, photo, (mask > 60) & (mask < 195))

    assert (decided[:, :24] >= 128).all()
    assert (decided[:, 24:] < 128).all()


def test_what_is_a_little_likely_amid_what_is_not_goes() -> None:
    mask = np.full((40, 40), 100, np.uint8)
    mask[10:14, 10:30] = 150
    before = mask.copy()
    where = np.zeros((40, 40), np.bool_)
    where[5:35, 5:35] = True

    decided = cut(mask, grey(np.full((40, 40), 230)), where)

    assert decided[where].max() < 5
    np.testing.assert_array_equal(mask, before)


def test_where_nothing_is_in_doubt_the_mask_is_returned_as_it_is() -> None:
    mask = np.full((4, 5), 100, np.uint8)

    assert cut(mask, grey(mask), np.zeros((4, 5), np.bool_)) is mask


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_row_has_nothing_to_do_with_the_end_of_its_neighbour(side: str) -> None:
    """A doubtful column at the border goes with what is beside it, and not with the other one."""
    mask = np.full((6, 9), 255, np.uint8)
    mask[:, 0], mask[:, -1] = 120, 0
    where = np.zeros((6, 9), np.bool_)
    where[:, 0] = True
    if side == "right":
        mask, where = np.ascontiguousarray(mask[:, ::-1]), np.ascontiguousarray(where[:, ::-1])

    decided = cut(mask, grey(np.full((6, 9), 200)), where)

    assert decided[where].min() > 250
