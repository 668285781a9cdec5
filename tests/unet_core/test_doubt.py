"""What a network is not sure of: specks, fog, faint lines, rags in the dark."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.carvana import disc
from unet_core.doubt import (
    decide,
    settle_the_dark,
    settle_the_light,
    without_faint_holes,
    without_faint_lines,
    without_fog,
    without_specks,
)

Picture = NDArray[np.uint8]


def test_an_island_that_is_nowhere_likely_goes_however_large() -> None:
    mask = disc(96, 128, centre=(48, 40), radius=30)
    mask[10:80, 100:120] = 120

    assert not without_specks(mask)[:, 90:].any()


def test_specks_go_with_their_soft_rim_and_a_second_piece_beside_stays() -> None:
    body = disc(96, 128, centre=(48, 40), radius=30)
    mirror = disc(96, 128, centre=(48, 80), radius=8)
    speck = disc(96, 128, centre=(10, 110), radius=1.5)
    speck[10, 113] = 9

    cleaned = without_specks(np.maximum.reduce([body, mirror, speck]))

    np.testing.assert_array_equal(cleaned, np.maximum(body, mirror))


def test_a_mask_in_one_piece_or_none_is_returned_as_it_is() -> None:
    for mask in (disc(40, 40, centre=(20, 20), radius=9), np.zeros((40, 40), np.uint8)):
        assert without_specks(mask) is mask


def test_removing_specks_leaves_the_given_mask_alone() -> None:
    mask = disc(64, 64, centre=(32, 32), radius=20)
    mask[2, 2] = 255
    before = mask.copy()

    assert without_specks(mask)[2, 2] == 0
    np.testing.assert_array_equal(mask, before)


def test_a_speck_is_one_by_the_share_of_the_largest_piece() -> None:
    mask = np.zeros((40, 120), np.uint8)
    mask[0:20, 0:20] = 255  # 400 pixels
    mask[21:25, 2] = 255  # 4 pixels: just the hundredth part
    mask[21:24, 12] = 255  # 3 pixels: less

    cleaned = without_specks(mask)

    assert (cleaned[21:25, 2] == 255).all()
    assert not cleaned[21:, 12].any()


@pytest.mark.parametrize(("radius", "gap", "stays"), [(6, 1, True), (6, 12, False), (18, 12, True)])
def test_a_piece_that_lies_apart_stays_only_if_it_is_large(
    radius: int, gap: int, stays: bool
) -> None:
    body = disc(100, 160, centre=(50, 34), radius=30)
    other = disc(100, 160, centre=(50, 64 + gap + radius), radius=radius)

    assert without_specks(np.maximum(body, other))[:, 66:].any() == stays


def test_fog_is_lifted_and_an_antenna_as_faint_and_a_clear_edge_stay() -> None:
    truth = disc(240, 320, centre=(140, 160), radius=80)
    foggy = truth.copy()
    foggy[100:130, 260:300] = 40  # a smear beside the subject
    foggy[110:140, 150:180] = 215  # a doubt in its midst
    foggy[10:62, 160:163] = 40  # an antenna that touches it

    cleared = without_fog(foggy)

    assert not cleared[105:125, 265:295].any()
    assert (cleared[115:135, 155:175] == 255).all()
    assert (cleared[15:50, 160:163] == 40).all()
    outline = cv2.dilate(truth, np.ones((3, 3))) != cv2.erode(truth, np.ones((3, 3)))
    outline &= foggy == truth
    np.testing.assert_allclose(cleared[outline], truth[outline], atol=2)


def test_a_joint_of_the_wall_goes_and_a_faint_antenna_with_a_tip_stays() -> None:
    mask = disc(200, 320, centre=(140, 160), radius=80)
    mask[20:80, 120:122] = 60  # a joint above the roof
    mask[20:70, 200:202] = 90  # an antenna
    mask[20:26, 200:202] = 160  # … and its tip
    mask[40:62, 200:202] = 140  # … and its foot

    kept = without_faint_lines(mask)

    assert not kept[20:60, 120:122].any()
    np.testing.assert_array_equal(kept[20:60, 200:202], mask[20:60, 200:202])
    body = mask >= 128
    np.testing.assert_array_equal(kept[body], mask[body])


def test_a_hole_that_is_nowhere_open_is_closed_and_an_open_one_and_the_outline_stay() -> None:
    mask = disc(200, 320, centre=(100, 160), radius=80)
    before = mask.copy()
    mask[60:70, 130:140] = 90
    mask[64:66, 134:136] = 45
    mask[100:110, 180:190] = 90
    mask[104:106, 184:186] = 10
    open_hole = mask[95:115, 175:195].copy()

    kept = without_faint_holes(mask)

    np.testing.assert_array_equal(kept[95:115, 175:195], open_hole)
    kept[95:115, 175:195] = 255
    np.testing.assert_array_equal(kept, before)
    unsure = np.full((20, 30), 110, np.uint8)
    np.testing.assert_array_equal(without_faint_holes(unsure), unsure)


def ragged(height: int = 160, width: int = 240) -> tuple[Picture, Picture]:
    """A mask (H, W) uint8 whose upper and side edges are sharp and whose lower one is in doubt,
    with fingers, and its rows of doubt."""
    mask = np.zeros((height, width), np.uint8)
    mask[30:100, 40:200] = 255
    falling = np.linspace(255, 0, 30).astype(np.uint8)[:, None]
    mask[100:130, 40:200] = falling
    mask[100:124, 60:180:12] = 170
    mask[104:128, 66:180:12] = 85
    return mask, mask[100:130, 50:190]


def roughness(mask: Picture) -> float:
    """How much longer than the width of ``mask`` (h, w) uint8 its outline at one half is."""
    outlines, _ = cv2.findContours(np.uint8(mask >= 128), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return sum(cv2.arcLength(outline, closed=True) for outline in outlines) / mask.shape[1]


def test_rags_in_the_dark_become_one_plain_outline() -> None:
    mask, rows = ragged()
    before = roughness(rows)

    settle_the_dark(mask, np.full((160, 240, 3), 20, np.uint8))

    assert roughness(mask[100:130, 50:190]) < 0.6 * before
    area = int((mask >= 128).sum())
    assert abs(area - int((ragged()[0] >= 128).sum())) < 0.05 * area


def test_what_the_network_knows_stays_in_the_dark_and_doubt_stays_in_the_light() -> None:
    dark, before = ragged()[0], ragged()[0]
    settle_the_dark(dark, np.full((320, 480, 3), 20, np.uint8))
    np.testing.assert_array_equal(dark[:90], before[:90])
    light = before.copy()
    settle_the_dark(light, np.full((160, 240, 3), 120, np.uint8))
    np.testing.assert_array_equal(light, before)


def test_a_faint_antenna_before_a_dark_wall_stays() -> None:
    mask = disc(200, 320, centre=(140, 160), radius=80)
    mask[20:62, 160:163] = 100
    before = mask.copy()

    settle_the_dark(mask, np.full((200, 320, 3), 20, np.uint8))

    np.testing.assert_array_equal(mask[:55], before[:55])


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (37, 61), (64, 5)])
@pytest.mark.parametrize("level", [0, 110, 255])
def test_masks_of_any_size_are_decided(size: tuple[int, int], level: int) -> None:
    mask = np.full(size, level, np.uint8)

    decide(mask, np.zeros((50, 80, 3), np.uint8))

    decide(np.pad(mask, 9), np.zeros((1, 2, 3), np.uint8))
    assert mask.shape == size
    assert level == 110 or (mask == level).all()


def half_seen_rail(wall: int) -> tuple[Picture, Picture]:
    """A mask (240, 200) and its photo (240, 200, 3): a body below row 50, and a rail in rows 20 to
    31 that is ten levels darker than the ``wall`` and of which the network sees patches."""
    mask = np.zeros((240, 200), np.uint8)
    mask[20:32] = np.where(np.arange(200) // 9 % 3 == 0, 110, 200)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 3), np.uint8)
    mask[50:] = 255
    photo = np.full((240, 200, 3), wall, np.uint8)
    photo[20:32] = photo[50:] = wall - 10
    return mask, photo


def test_a_rail_that_is_half_seen_is_whole_where_the_photo_shows_it() -> None:
    mask, photo = half_seen_rail(240)
    assert mask[23:29, 20:-20].min() < 120

    settle_the_light(mask, photo)

    assert mask[23:29, 20:-20].min() > 240
    assert mask[33:45].max() < 60
    assert mask[:18].max() < 60


def test_in_the_dark_the_photo_decides_nothing() -> None:
    mask, photo = half_seen_rail(40)
    before = mask.copy()

    settle_the_light(mask, photo)

    np.testing.assert_array_equal(mask, before)


def test_a_network_that_doubts_nearly_everywhere_is_left_alone() -> None:
    mask, photo = half_seen_rail(240)
    mask[:50] = mask[25]
    before = mask.copy()

    settle_the_light(mask, photo)

    np.testing.assert_array_equal(mask, before)


def test_a_photo_that_is_smaller_than_its_mask_decides_nothing() -> None:
    mask, photo = half_seen_rail(240)
    before = mask.copy()

    settle_the_light(mask, np.asarray(cv2.resize(photo, (100, 120)), np.uint8))

    np.testing.assert_array_equal(mask, before)


def test_a_thin_gap_that_the_network_sees_stays_open() -> None:
    mask = np.full((120, 200), 255, np.uint8)
    mask[:20] = 0
    mask[60:62] = np.where(np.arange(200) // 6 % 2, 0, 30)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 1), np.uint8)
    before = mask.copy()

    settle_the_light(mask, np.full((120, 200, 3), 200, np.uint8))

    assert (mask[60:62] <= before[60:62]).all()


def test_crumbs_of_a_smear_go_with_it() -> None:
    mask, photo = half_seen_rail(240)
    mask[2:14, 80:140] = 60
    mask[3:12:5, 85:136:9] = 110

    settle_the_light(mask, photo)

    assert mask[:12].max() < 70


def test_an_antenna_that_is_faint_stays_where_the_photo_does_not_show_it() -> None:
    mask, photo = half_seen_rail(240)
    mask[2:12, 100:103] = 90
    before = mask.copy()

    settle_the_light(mask, photo)

    assert (mask[2:12, 100:103] >= before[2:12, 100:103]).all()


@pytest.mark.parametrize("times", [1, 2, 3])
def test_noise_of_the_photo_does_not_decide_and_it_may_be_larger(times: int) -> None:
    mask, photo = half_seen_rail(225)
    large = cv2.resize(photo, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST)
    noise = np.random.default_rng(1).normal(0, 1, large.shape)
    large = np.uint8(np.clip(large + noise, 0, 255))

    settle_the_light(mask, large)

    assert mask[23:29, 20:-20].min() > 240
