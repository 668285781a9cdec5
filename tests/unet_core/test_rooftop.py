"""Rails and antennas on photos of cars: what they cover is subject, what is seen below is wall."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from unet_core.metrics import openings
from unet_core.rooftop import find_roof, with_rooftop

WALL, CAR = (200, 190, 180), (30, 40, 120)


def car(*, antenna: bool = False) -> tuple[Tensor, Tensor]:
    """A car from the side, 800 px long: picture (3, 600, 1200) and mask (1, 600, 1200)."""
    mask = np.zeros((600, 1200), np.uint8)
    cv2.rectangle(mask, (200, 320), (1000, 480), 255, -1)
    cv2.ellipse(mask, (600, 320), (280, 140), 0, 180, 360, 255, -1)
    if antenna:
        cv2.line(mask, (760, 220), (790, 100), 255, 4)
    picture = np.where(mask[..., None] > 0, CAR, WALL).astype(np.uint8)
    return torch.from_numpy(picture).permute(2, 0, 1), torch.from_numpy(mask)[None]


def rng(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def added(before: Tensor, after: Tensor) -> NDArray[np.int16]:
    return np.asarray(after[0].numpy().astype(np.int16) - before[0].numpy())


def test_a_rail_is_subject_and_the_wall_below_it_is_not() -> None:
    picture, mask = car()
    open_below = 0
    for seed in range(20):
        new_picture, new_mask = with_rooftop(picture, mask, rng(seed))
        more = added(mask, new_mask)

        assert more.min() == 0 and more.max() == 255
        assert not more[320:].any(), "nothing but the roof gets something"
        wall = new_mask[0] == 0
        assert torch.equal(new_picture[:, wall], picture[:, wall])
        covered = torch.from_numpy(more == 255)
        assert (new_picture[:, covered] != picture[:, covered]).any(0).float().mean() > 0.95
        open_below += bool((openings(new_mask[0].numpy() >= 128) & wall.numpy()).any())
    assert open_below >= 12


def test_what_is_drawn_follows_from_the_generator_and_leaves_what_came_in() -> None:
    picture, mask = car()
    first, again, other = (with_rooftop(picture, mask, rng(seed)) for seed in (3, 3, 4))

    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[1], other[1])
    assert all(torch.equal(a, b) for a, b in zip((picture, mask), car(), strict=True))


def test_an_antenna_is_no_roof() -> None:
    plain, with_antenna = (find_roof(car(antenna=each)[1][0].numpy()) for each in (False, True))

    assert plain is not None and with_antenna is not None
    columns = np.arange(560.0, 640.0)
    assert np.abs(plain.at(columns) - 180).max() < 8
    assert np.abs(with_antenna.at(columns) - 180).max() < 8


def test_where_there_is_no_roof_nothing_is_drawn() -> None:
    picture, mask = car()
    nothing = torch.zeros_like(mask)
    on_its_side = torch.rot90(mask, 1, (1, 2))
    cut_off = mask[:, 200:]  # its roof lies outside of the picture
    for case in (nothing, on_its_side, cut_off):
        size = case.shape[-2:]
        same = picture.new_zeros(3, *size)
        assert with_rooftop(same, case, rng(1)) == (same, case)
