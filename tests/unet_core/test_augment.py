"""Paired augmentation: repeatable, in range, and the mask always follows the picture."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from tests.carvana import disc, picture_of
from unet_core.augment import (
    Augmentation,
    cut,
    exposure_and_white_balance,
    on_new_background,
    smooth_noise,
    through_jpeg,
    uniform,
    window,
)

MASK = torch.from_numpy(disc(80, 120, centre=(38, 66), radius=24))[None]
IMAGE = torch.from_numpy(picture_of(MASK[0].numpy())).permute(2, 0, 1)
SMALL = Augmentation(crop=(48, 72), long_side_px=120)
EVERYTHING = replace(SMALL, new_background=1, quarter_turn=1, grey=1, blur=1, noise=1, jpeg=1)
GEOMETRY_ONLY = replace(SMALL, quarter_turn=0.5, scales=(0.3, 2.0))


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
def test_samples_are_crop_sized_floats_from_0_to_1(
    augmentation: Augmentation, size: tuple[int, int]
) -> None:
    image, mask = IMAGE[:, : size[0], : size[1]], MASK[:, : size[0], : size[1]]
    for seed in range(6):
        for x, channels in zip(augmentation(image, mask, rng(seed)), (3, 1), strict=True):
            assert x.shape == (channels, *augmentation.crop)
            assert x.dtype == torch.float32
            assert float(x.min()) >= 0 and float(x.max()) <= 1


def test_geometry_moves_picture_and_mask_alike() -> None:
    moved = set()
    for seed in range(35):
        image, mask = GEOMETRY_ONLY._geometry(MASK.expand(3, -1, -1), MASK, rng(seed))

        # One channel and three are resized by different kernels: one level of 255 apart at most.
        assert float((image - mask).abs().max()) <= 1.01 / 255
        moved.add(round(float(mask.mean()), 3))
    assert len(moved) > 20, "the samples differ in scale and place"


def test_colour_leaves_the_mask_alone() -> None:
    plain = replace(SMALL, new_background=0, quarter_turn=0, grey=0, blur=0, noise=0, jpeg=0)
    wild = replace(plain, new_background=1, grey=1, blur=1, noise=1, jpeg=1)
    for seed in range(5):
        image, mask = plain(IMAGE, MASK, rng(seed))
        other_image, same_mask = wild(IMAGE, MASK, rng(seed))

        assert torch.equal(mask, same_mask)
        assert float((image - other_image).abs().max()) > 0.05


@pytest.mark.parametrize(
    "name", [f.name for f in fields(Augmentation) if f.name not in ("crop", "scales")]
)
def test_every_probability_switches_its_effect(name: str) -> None:
    off = replace(SMALL, new_background=0, quarter_turn=0, grey=0, blur=0, noise=0, jpeg=0)
    switched: dict[str, Any] = {name: 1}
    on = replace(off, **switched)

    assert any(
        not torch.equal(on(IMAGE, MASK, rng(seed))[0], off(IMAGE, MASK, rng(seed))[0])
        for seed in range(3)
    )


def test_a_window_lies_inside_a_larger_side_and_around_a_smaller_one() -> None:
    assert window(100, 30) == (0, 70)
    assert window(30, 100) == (-70, 0)
    assert window(50, 50) == (0, 0)


def ramp(height: int, width: int) -> Tensor:
    """(1, H, W) uint8: every pixel its own value."""
    return torch.arange(height * width, dtype=torch.uint8).reshape(1, height, width)


@pytest.mark.parametrize(("top", "left"), [(0, 0), (2, 5), (6, 9)])
def test_a_window_of_the_crops_size_is_cut_without_change(top: int, left: int) -> None:
    x = ramp(10, 14)

    assert torch.equal(
        cut(x, top, left, (4, 5), (4, 5)), x[:, top : top + 4, left : left + 5] / 255
    )


@pytest.mark.parametrize(("top", "left"), [(-3, 0), (0, -2), (-4, -5), (-1, -1)])
def test_where_a_window_leaves_the_picture_the_border_is_repeated(top: int, left: int) -> None:
    x = ramp(10, 14)
    rows = torch.arange(top, top + 14).clamp(0, 9)
    columns = torch.arange(left, left + 19).clamp(0, 13)

    assert torch.equal(cut(x, top, left, (14, 19), (14, 19)), x[:, rows][:, :, columns] / 255)


def test_a_window_far_larger_than_the_crop_still_shows_the_picture() -> None:
    x = torch.full((1, 6, 6), 200, dtype=torch.uint8)
    for top, left in ((-294, -294), (0, 0), (-147, -3)):
        small = cut(x, top, left, (300, 300), (8, 8))

        assert small.shape == (1, 8, 8)
        assert torch.equal(small, torch.full((1, 8, 8), 200 / 255))


def test_masks_are_shrunk_to_soft_fractions() -> None:
    thin = torch.zeros(1, 64, 64, dtype=torch.uint8)
    thin[:, :, 30] = 255  # an antenna, one pixel wide

    small = cut(thin, 0, 0, (64, 64), (16, 16))

    assert float(small.mean()) == pytest.approx(1 / 64, rel=0.05), "its area is kept"
    assert float(small.max()) < 0.5


def test_a_new_background_keeps_the_subjects_own_pixels() -> None:
    mask = MASK.float() / 255
    image = IMAGE.float() / 255
    inside, outside = (mask == 1).expand_as(image), (mask == 0).expand_as(image)
    for seed in range(12):
        changed = on_new_background(image, mask, rng(seed))

        assert torch.equal(changed[inside], image[inside])
        assert float((changed - image)[outside].abs().max()) > 0.02
        assert float(changed.min()) >= 0 and float(changed.max()) <= 1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_new_background_does_with_no_subject_and_with_nothing_else(value: float) -> None:
    mask, image = torch.full((1, 48, 72), value), torch.rand(3, 48, 72, generator=rng(0))
    for seed in range(6):
        changed = on_new_background(image, mask, rng(seed))

        assert changed.isfinite().all()
        assert torch.equal(changed, image) == (value == 1)


def test_smooth_noise_is_smooth_and_of_about_unit_range() -> None:
    field = smooth_noise(torch.Size((60, 90)), 4, rng(3))

    assert field.shape == (3, 60, 90)
    assert 0.2 < float(field.std()) < 1
    assert float(field.diff(dim=-1).abs().max()) < 0.2


def test_grey_takes_the_colour_but_not_the_light() -> None:
    image = IMAGE.float() / 255
    grey = exposure_and_white_balance(image, rng(4), grey=True)
    ratio = (grey[0] / grey[2].clamp(min=1e-3))[(grey > 0.1).all(0) & (grey < 0.99).all(0)]

    # What is left of colour is the one cast of the white balance, the same hue everywhere.
    assert float(ratio.log().std()) < 0.02
    assert float(grey.std()) > 0.05


def test_jpeg_keeps_colours_in_their_channels_and_loses_more_at_low_quality() -> None:
    image = IMAGE.float() / 255
    fine, coarse = (through_jpeg(image, quality=quality) for quality in (95, 20))

    assert float((fine - image).abs().mean()) < 0.02
    assert float((coarse - image).abs().mean()) > 1.5 * float((fine - image).abs().mean())
    torch.testing.assert_close(fine.mean((1, 2)), image.mean((1, 2)), atol=0.01, rtol=0)


def test_a_uniform_draw_keeps_to_its_range() -> None:
    drawn = [uniform(rng(seed), 2, 3) for seed in range(50)]

    assert min(drawn) >= 2 and max(drawn) < 3
    assert max(drawn) - min(drawn) > 0.5
