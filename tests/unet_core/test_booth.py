"""The booth: what it renders is exact, repeatable and laid out like real shoots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from unet_core.booth import Booth, RenderedFrame, write_shoot, write_truth
from unet_core.booth.shapes import STYLES

SMALL = {"width": 150, "height": 100}


@pytest.fixture(scope="module")
def drawn() -> RenderedFrame:
    return Booth(seed=3, **SMALL).render(2)


@pytest.fixture(scope="module")
def clean_booth() -> Booth:
    return Booth(seed=5, noise=0, mirror=0.2, antenna=True, **SMALL)


@pytest.fixture(scope="module")
def clean_frame(clean_booth: Booth) -> RenderedFrame:
    return clean_booth.render(4)


def test_the_same_seed_gives_the_same_bytes(drawn: RenderedFrame) -> None:
    again = Booth(seed=3, **SMALL).render(2)

    for field in ("image", "alpha", "foreground", "plate"):
        np.testing.assert_array_equal(getattr(drawn, field), getattr(again, field))


def test_different_seeds_differ(drawn: RenderedFrame) -> None:
    other = Booth(seed=4, **SMALL).render(2)

    assert (drawn.alpha != other.alpha).any()
    assert (drawn.plate != other.plate).any()


def test_an_overridden_option_leaves_the_rest_as_drawn(drawn: RenderedFrame) -> None:
    painted = Booth(seed=3, paint=(200, 0, 0), **SMALL).render(2)

    np.testing.assert_array_equal(drawn.alpha, painted.alpha)
    np.testing.assert_array_equal(drawn.plate, painted.plate)
    assert (drawn.foreground != painted.foreground).any()


def test_arrays_have_the_promised_shapes_and_types(clean_frame: RenderedFrame) -> None:
    for name in ("image", "foreground", "plate"):
        assert getattr(clean_frame, name).shape == (100, 150, 3)
        assert getattr(clean_frame, name).dtype == np.uint8
    assert clean_frame.alpha.shape == (100, 150)
    assert clean_frame.alpha.dtype == np.uint8
    assert clean_frame.angle == 4


@pytest.mark.parametrize("angle", [1, 6])
def test_alpha_is_what_brute_force_finds(angle: int) -> None:
    factor = 6
    frame = Booth(seed=7, style="suv", antenna=True, width=120, height=80).render(angle)
    fine = Booth(
        seed=7, style="suv", antenna=True, samples=4, width=120 * factor, height=80 * factor
    )
    truth = cv2.resize(
        fine.render(angle).alpha.astype(np.float32), (120, 80), interpolation=cv2.INTER_AREA
    )

    error = np.abs(frame.alpha - truth)
    outline = (truth > 0) & (truth < 255)
    # One ray of the 32 may fall beside a sliver, or into it, that a finer grid sees otherwise.
    assert error[~outline].max() <= 8
    assert error[outline].mean() < 6
    assert error.max() < 30


def test_an_image_is_its_foreground_mixed_with_its_background(
    clean_booth: Booth, clean_frame: RenderedFrame
) -> None:
    share = clean_frame.alpha[..., None] / 255.0
    mixed = clean_frame.foreground * share + clean_booth.background(4) * (1 - share)

    assert np.abs(mixed - clean_frame.image).max() <= 1.01


def test_foreground_is_empty_where_the_subject_is_not(clean_frame: RenderedFrame) -> None:
    assert not clean_frame.foreground[clean_frame.alpha == 0].any()


def test_windows_belong_to_the_subject(clean_frame: RenderedFrame) -> None:
    filled = clean_frame.alpha.copy()
    cv2.floodFill(filled, None, (0, 0), 255)
    # What a flood from outside does not reach are holes: the cabin, the upper half, has none.
    covered = np.flatnonzero((clean_frame.alpha == 255).any(axis=1))
    assert (filled[: int(covered.mean())] > 0).all()


def test_a_thin_antenna_leaves_no_gap_in_alpha() -> None:
    # Light from below a pixel's width: each row that the whip crosses must carry some of it.
    options = {"seed": 11, "style": "hatch", "width": 180, "height": 120}
    bare, whip = (Booth(antenna=antenna, **options).render(5).alpha for antenna in (False, True))

    rows = np.flatnonzero((whip.astype(int) - bare > 4).any(axis=1))
    assert len(rows) > 6
    np.testing.assert_array_equal(np.diff(rows), 1)
    assert whip[rows[:-3]].max() < 255


def test_shadow_is_not_in_alpha(clean_booth: Booth, clean_frame: RenderedFrame) -> None:
    darker = clean_frame.plate.astype(int).sum(2) - clean_booth.background(4).astype(int).sum(2)

    assert (darker[clean_frame.alpha == 0] > 60).any()


def test_the_plate_stays_the_same_while_the_car_turns(
    clean_booth: Booth, clean_frame: RenderedFrame
) -> None:
    turned = clean_booth.render(9)

    np.testing.assert_array_equal(turned.plate, clean_frame.plate)
    assert (turned.alpha != clean_frame.alpha).any()


def test_noise_is_only_in_the_image(clean_booth: Booth, clean_frame: RenderedFrame) -> None:
    quiet, noisy = clean_frame, replace(clean_booth, noise=3).render(4)

    np.testing.assert_array_equal(quiet.foreground, noisy.foreground)
    np.testing.assert_array_equal(quiet.alpha, noisy.alpha)
    difference = noisy.image.astype(float) - quiet.image
    assert 1 < difference.std() < 5


@pytest.mark.parametrize("size", [(61, 47), (40, 90), (8, 8), (300, 20)])
def test_any_size_renders(size: tuple[int, int]) -> None:
    frame = Booth(seed=2, width=size[0], height=size[1]).render(3)

    assert frame.image.shape == (size[1], size[0], 3)
    assert frame.alpha.max() > 0


@pytest.mark.parametrize("style", sorted(STYLES))
def test_the_subject_stays_inside_the_picture_and_fills_it(style: str) -> None:
    frame = Booth(seed=1, style=style, samples=4, width=90, height=60).render(5)

    border = np.concatenate([frame.alpha[[0, -1]].ravel(), frame.alpha[:, [0, -1]].ravel()])
    assert border.max() == 0
    width = np.ptp(np.flatnonzero((frame.alpha > 127).any(axis=0))) / 90
    assert 0.5 < width < 0.8


def test_wall_and_paint_take_the_colours_asked_for() -> None:
    booth = Booth(seed=1, paint=(190, 20, 20), wall=(120, 150, 190), noise=0, **SMALL)
    frame = booth.render(5)

    body = np.median(frame.foreground[frame.alpha == 255], axis=0)
    assert body[0] > body[1] + 20
    wall = np.median(frame.plate[:30].reshape(-1, 3), axis=0)
    assert wall[0] < wall[1] < wall[2]


def test_bad_options_are_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        Booth(width=4)
    with pytest.raises(ValueError, match=r"choose 1\.\.16"):
        Booth(**SMALL).render(17)
    with pytest.raises(ValueError, match="sedan"):
        Booth(style="tank", **SMALL).render(1)


def test_a_shoot_is_written_as_numbered_jpegs(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    booth = Booth(seed=9, angles=3, width=90, height=60)

    paths = write_shoot(booth, tmp_path / "inbox", name="taxi", on_frame=lambda *n: seen.append(n))

    assert [path.name for path in paths] == ["taxi_01.jpg", "taxi_02.jpg", "taxi_03.jpg"]
    assert sorted((tmp_path / "inbox").iterdir()) == paths
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with Image.open(paths[1]) as photo:
        written = np.asarray(photo.convert("RGB")).astype(int)
    assert np.abs(written - booth.render(2).image).mean() < 4


def test_truth_is_written_in_the_carvana_layout(tmp_path: Path) -> None:
    booth = Booth(seed=9, angles=2, width=90, height=60)

    pairs = write_truth(booth, tmp_path)

    assert pairs[1] == (
        tmp_path / "train" / "booth-9_02.jpg",
        tmp_path / "train_masks" / "booth-9_02_mask.gif",
    )
    with Image.open(pairs[1][1]) as mask:
        values = np.asarray(mask)
    assert set(np.unique(values)) == {0, 1}
    np.testing.assert_array_equal(values == 1, booth.render(2).alpha >= 128)
