"""Paired augmentation: repeatable, in range, and the mask always follows the picture."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from tests.carvana import disc, picture_of
from unet_core.augment import (
    Augmentation,
    clutter,
    exposure_and_white_balance,
    on_new_background,
    smooth_noise,
    subject_box,
    through_jpeg,
    uniform,
    warp,
)

MASK = torch.from_numpy(disc(80, 120, centre=(38, 66), radius=24))[None]
IMAGE = torch.from_numpy(picture_of(MASK[0].numpy())).permute(2, 0, 1)
CALM = Augmentation(
    crop=(48, 72), long_side_px=120, far=0, on_subject=0, quarter_turn=0, rotation=0,
    new_background=0, no_subject=0, grey=0, blur=0, noise=0, jpeg=0,
)  # fmt: skip
SMALL = Augmentation(crop=(48, 72), long_side_px=120)
EVERYTHING = replace(
    SMALL, far=0.5, quarter_turn=1, rotation=1, new_background=1, grey=1, blur=1, noise=1, jpeg=1
)
GEOMETRY_ONLY = replace(SMALL, far=1, far_scales=(0.3, 2.0), quarter_turn=0.5, rotation=0.5)


def rng(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("augmentation", [SMALL, EVERYTHING])
def test_the_same_generator_gives_the_same_sample(augmentation: Augmentation) -> None:
    torch.manual_seed(1)
    first = augmentation(IMAGE, MASK, rng(5))
    torch.manual_seed(2)  # nothing may be drawn from anywhere else
    again = augmentation(IMAGE, MASK, rng(5))
    other = augmentation(IMAGE, MASK, rng(6))

    for a, b, c in zip(first, again, other, strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_the_pair_that_came_in_is_left_as_it_was() -> None:
    image, mask = IMAGE.clone(), MASK.clone()
    for seed in range(8):
        EVERYTHING(image, mask, rng(seed))

    assert torch.equal(image, IMAGE)
    assert torch.equal(mask, MASK)


@pytest.mark.parametrize("augmentation", [SMALL, EVERYTHING, replace(EVERYTHING, crop=(33, 41))])
@pytest.mark.parametrize("size", [(80, 120), (20, 30), (17, 90)])
def test_samples_are_bytes_of_the_crops_size(
    augmentation: Augmentation, size: tuple[int, int]
) -> None:
    image, mask = IMAGE[:, : size[0], : size[1]], MASK[:, : size[0], : size[1]]
    for seed in range(6):
        for x, channels in zip(augmentation(image, mask, rng(seed)), (3, 1), strict=True):
            assert x.shape == (channels, *augmentation.crop)
            assert x.dtype == torch.uint8


def test_geometry_moves_picture_and_mask_alike() -> None:
    moved = set()
    for seed in range(35):
        image, mask = GEOMETRY_ONLY._geometry(MASK.expand(3, -1, -1), MASK, rng(seed))

        # One channel and three go through different kernels: two levels of 255 apart at most.
        assert int((image.int() - mask.int()).abs().max()) <= 2
        moved.add(round(float(mask.float().mean()), 1))
    assert len(moved) > 20, "the samples differ in scale and place"


def test_colour_leaves_the_mask_alone() -> None:
    wild = replace(CALM, new_background=1, grey=1, blur=1, noise=1, jpeg=1)
    for seed in range(5):
        image, mask = CALM(IMAGE, MASK, rng(seed))
        other_image, same_mask = wild(IMAGE, MASK, rng(seed))

        assert torch.equal(mask, same_mask)
        assert int((image.int() - other_image.int()).abs().max()) > 12


@pytest.mark.parametrize(
    "name", [f.name for f in fields(Augmentation) if f.type == "float" and f.name != "no_subject"]
)
def test_every_field_has_its_effect(name: str) -> None:
    switched: dict[str, Any] = {name: 0.2 if name == "light" else 1}
    on = replace(CALM, **switched)

    if name == "rotation_degrees":
        on, off = replace(CALM, rotation=1), replace(CALM, rotation=1, rotation_degrees=0)
    else:
        off = CALM
    assert any(
        not torch.equal(on(IMAGE, MASK, rng(seed))[0], off(IMAGE, MASK, rng(seed))[0])
        for seed in range(3)
    )


def test_before_a_new_background_there_is_nothing_now_and_then() -> None:
    image, mask = replace(CALM, new_background=1, no_subject=1)(IMAGE, MASK, rng(3))

    assert not mask.any()
    assert int(image.max()) > 0
    assert not replace(CALM, no_subject=1)(IMAGE, MASK, rng(3))[1].eq(0).all()


def test_a_crop_is_centred_in_the_subjects_box_if_asked() -> None:
    corner = torch.from_numpy(disc(80, 120, centre=(14, 104), radius=9))[None]
    near = replace(CALM, on_subject=1)

    assert subject_box(corner) == ((95, 113), (5, 23))
    assert all(near._geometry(corner, corner, rng(seed))[1].any() for seed in range(20))
    assert not all(CALM._geometry(corner, corner, rng(seed))[1].any() for seed in range(20))


def test_an_empty_mask_has_no_box_and_still_gives_a_sample() -> None:
    nothing = torch.zeros_like(MASK)

    assert subject_box(nothing) is None
    image, mask = replace(CALM, on_subject=1)(IMAGE, nothing, rng(1))
    assert image.any() and not mask.any()


def shift(left: float, top: float, scale: float = 1.0) -> Any:
    """The map that cuts a window at (left, top)."""
    return np.array([[scale, 0.0, -scale * left], [0.0, scale, -scale * top]])


def ramp(height: int, width: int) -> Tensor:
    """(1, H, W) uint8: every pixel its own value."""
    return torch.arange(height * width, dtype=torch.uint8).reshape(1, height, width)


@pytest.mark.parametrize(("top", "left"), [(0, 0), (2, 5), (6, 9)])
def test_a_window_of_the_crops_size_is_cut_without_change(top: int, left: int) -> None:
    x = ramp(10, 14)

    assert torch.equal(warp(x, shift(left, top), (4, 5)), x[:, top : top + 4, left : left + 5])


@pytest.mark.parametrize(("top", "left"), [(-3, 0), (0, -2), (-4, -5), (-1, -1)])
def test_where_a_window_leaves_the_picture_the_border_is_repeated(top: int, left: int) -> None:
    x = ramp(10, 14)
    rows = torch.arange(top, top + 14).clamp(0, 9)
    columns = torch.arange(left, left + 19).clamp(0, 13)

    assert torch.equal(warp(x, shift(left, top), (14, 19)), x[:, rows][:, :, columns])


def test_masks_are_shrunk_to_soft_fractions() -> None:
    thin = torch.zeros(1, 64, 64, dtype=torch.uint8)
    thin[:, :, 30] = 255  # an antenna, one pixel wide
    quarter = np.array([[0.25, 0.0, -0.375], [0.0, 0.25, -0.375]])  # by pixel centres

    small = warp(thin, quarter, (16, 16)) / 255

    assert float(small.mean()) == pytest.approx(1 / 64, rel=0.05), "its area is kept"
    assert float(small.max()) < 0.5


def test_a_strongly_reduced_picture_lies_where_an_unreduced_one_would() -> None:
    soft = torch.from_numpy(disc(160, 240, centre=(70.5, 130.5), radius=50))[None]
    for scale in (0.74, 0.5, 0.37):
        size = (round(160 * scale), round(240 * scale))
        small = warp(soft, np.array([[scale, 0, 0.0], [0, scale, 0.0]]), size).float()
        ys, xs = torch.meshgrid(*(torch.arange(side) for side in size), indexing="ij")
        y, x = (float((small[0] * axis).sum() / small.sum()) for axis in (ys, xs))

        assert (y, x) == pytest.approx((70.5 * scale, 130.5 * scale), abs=0.1)


def test_a_new_background_keeps_the_subjects_own_pixels() -> None:
    inside, outside = (MASK == 255).expand_as(IMAGE), (MASK == 0).expand_as(IMAGE)
    for seed in range(12):
        changed = on_new_background(IMAGE, MASK, rng(seed))

        assert torch.equal(changed[inside], IMAGE[inside])
        assert int((changed.int() - IMAGE.int())[outside].abs().max()) > 5
        assert changed.dtype == torch.uint8


@pytest.mark.parametrize("value", [0, 255])
def test_a_new_background_does_with_no_subject_and_with_nothing_else(value: int) -> None:
    mask = torch.full((1, 48, 72), value, dtype=torch.uint8)
    image = torch.randint(0, 256, (3, 48, 72), generator=rng(0), dtype=torch.uint8)
    for seed in range(6):
        assert torch.equal(on_new_background(image, mask, rng(seed)), image) == (value == 255)


def test_clutter_has_hard_edges_and_stays_in_range() -> None:
    wall = torch.full((3, 60, 90), 0.5)
    for seed in range(8):
        filled = clutter(wall, rng(seed))

        assert filled.shape == wall.shape
        assert float(filled.min()) >= 0 and float(filled.max()) <= 1
        assert float(filled.diff(dim=-1).abs().max()) > 0.05


def test_smooth_noise_is_smooth_and_of_about_unit_range() -> None:
    field = smooth_noise(torch.Size((60, 90)), 4, rng(3))

    assert field.shape == (3, 60, 90)
    assert 0.2 < float(field.std()) < 1
    assert float(field.diff(dim=-1).abs().max()) < 0.2


def test_grey_takes_the_colour_but_not_the_light() -> None:
    grey = exposure_and_white_balance(IMAGE, rng(4), grey=True).float() / 255
    ratio = (grey[0] / grey[2].clamp(min=1e-3))[(grey > 0.2).all(0) & (grey < 0.99).all(0)]

    # What is left of colour is the one cast of the white balance, the same hue everywhere.
    assert float(ratio.log().std()) < 0.04
    assert float(grey.std()) > 0.05


def test_jpeg_keeps_colours_in_their_channels_and_loses_more_at_low_quality() -> None:
    losses = []
    for quality in (95, 20):
        back = through_jpeg(IMAGE, quality=quality)
        losses.append(float((back.float() - IMAGE.float()).abs().mean()))
        torch.testing.assert_close(
            back.float().mean((1, 2)), IMAGE.float().mean((1, 2)), atol=3, rtol=0
        )

    assert losses[0] < 5
    assert losses[1] > 1.5 * losses[0]


def test_a_uniform_draw_keeps_to_its_range() -> None:
    drawn = [uniform(rng(seed), 2, 3) for seed in range(50)]

    assert min(drawn) >= 2 and max(drawn) < 3
    assert max(drawn) - min(drawn) > 0.5


def test_rotation_turns_by_no_more_than_its_degrees() -> None:
    turned = replace(CALM, rotation=1, rotation_degrees=10)
    for seed in range(20):
        (a, b), (c, d) = turned._draw_map(MASK, rng(seed))[:, :2]

        assert abs(math.degrees(math.atan2(c, abs(a)))) <= 10
        assert abs(a * d - b * c) == pytest.approx(a * a + c * c)
