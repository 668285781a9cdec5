"""From the network's mask to the picture's size: no specks, and the picture's edges."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.carvana import disc, picture_of
from unet_core.metrics import boundary_f
from unet_core.refine import refine, without_fog, without_specks

Picture = NDArray[np.uint8]


def car_like(height: int, width: int) -> Picture:
    """(H, W) uint8: a body, a cabin, wheels and a thin mirror, of sharp curves and corners."""
    scale = width / 96
    mask = np.zeros((height * 4, width * 4), np.uint8)  # drawn large, so that edges become soft

    def at(*points: tuple[float, float]) -> NDArray[np.int32]:
        return np.int32([[round(x * 4 * scale), round(y * 4 * scale)] for x, y in points])

    cv2.fillPoly(
        mask,
        [at((8, 30), (20, 27), (34, 14), (62, 14), (76, 27), (88, 31), (87, 44), (9, 44))],
        255,
    )
    for x in (26, 70):
        cv2.circle(mask, tuple(int(v) for v in at((x, 44))[0]), round(7 * 4 * scale), 255, -1)
    cv2.fillPoly(mask, [at((30, 22), (25, 19), (25, 22))], 255)
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def reduced(mask: Picture, factor: int) -> Picture:
    size = (mask.shape[1] // factor, mask.shape[0] // factor)
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8)


def enlarged(mask: Picture, like: Picture) -> Picture:
    size = (like.shape[1], like.shape[0])
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def test_a_mask_of_the_pictures_size_keeps_its_edge() -> None:
    mask = car_like(64, 96)

    ours = refine(mask, picture_of(mask))

    assert np.abs(ours.astype(int) - mask).max() <= 20
    np.testing.assert_array_equal(ours[mask == 255], 255)
    np.testing.assert_array_equal(ours[mask == 0], 0)


def test_a_network_that_is_never_quite_sure_leaves_no_veil() -> None:
    truth = disc(96, 128, centre=(48, 60), radius=30)
    unsure = np.clip(truth, 7, 248).astype(np.uint8)

    ours = refine(unsure, picture_of(truth))

    assert set(np.unique(ours[truth == 0])) == {0}
    assert set(np.unique(ours[truth == 255])) == {255}


def test_an_island_that_is_nowhere_likely_goes_however_large() -> None:
    mask = disc(96, 128, centre=(48, 40), radius=30)
    mask[10:80, 100:120] = 120

    assert not without_specks(mask)[:, 90:].any()


def test_an_enlarged_mask_is_nearer_to_the_truth_than_bilinear_enlargement() -> None:
    truth = car_like(256, 384)
    small = reduced(truth, 4)

    ours, plain = refine(small, picture_of(truth)), enlarged(small, truth)

    assert ours.shape == truth.shape
    assert ours.dtype == np.uint8
    errors = [np.abs(mask.astype(int) - truth).mean() for mask in (ours, plain)]
    assert errors[0] < 0.9 * errors[1], errors
    assert boundary_f(ours, truth, tolerance_px=1) > 0.97


def blurred(mask: Picture, sigma: float) -> Picture:
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma), np.uint8)


def soft_pixels(mask: Picture) -> int:
    return int(((mask > 12) & (mask < 243)).sum())


def test_a_ramp_that_is_wider_than_an_edge_gets_narrow_and_stays_in_its_place() -> None:
    truth = disc(240, 320, centre=(120, 160), radius=80)
    small = blurred(reduced(truth, 2), 1.2)

    ours = refine(small, picture_of(truth))

    plain = enlarged(small, truth)
    assert soft_pixels(ours) < 0.6 * soft_pixels(plain)
    assert np.abs(ours.astype(int) - truth).sum() < 0.6 * np.abs(plain.astype(int) - truth).sum()
    assert abs(int((ours >= 128).sum()) - int((truth >= 128).sum())) < 60  # of 500 on the outline


def test_where_network_and_photo_do_not_know_where_the_edge_is_it_stays_soft() -> None:
    truth = disc(240, 320, centre=(120, 160), radius=80)
    doubt = blurred(reduced(truth, 2), 5)

    ours = refine(doubt, np.full((240, 320, 3), 90, np.uint8))

    assert soft_pixels(ours) > 0.4 * soft_pixels(enlarged(doubt, truth))  # fog at its rims went


def test_a_photo_of_many_megapixels_is_asked_at_twice_the_masks_size_and_the_edge_stays() -> None:
    truth = disc(480, 640, centre=(240, 320), radius=150)
    small = reduced(truth, 8)

    ours = refine(small, picture_of(truth))

    assert ours.shape == truth.shape
    assert boundary_f(ours, truth, tolerance_px=2) > 0.99


def test_a_photo_smaller_than_its_mask_only_reduces_it() -> None:
    truth = disc(60, 80, centre=(30, 40), radius=20)
    large = disc(120, 160, centre=(60.5, 80.5), radius=40)
    misleading = np.random.default_rng(4).integers(0, 256, (60, 80, 3)).astype(np.uint8)

    assert np.abs(refine(large, misleading).astype(int) - truth).max() <= 32


def test_a_picture_without_an_edge_moves_the_masks_edge_nowhere() -> None:
    truth = disc(160, 160, centre=(80, 80), radius=50)
    small = reduced(truth, 4)

    ours = refine(small, np.full((160, 160, 3), 90, np.uint8))

    assert boundary_f(ours, truth, tolerance_px=2) > 0.99


def test_empty_and_full_masks_stay_so_at_any_size() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (90, 130, 3)).astype(np.uint8)
    for value in (0, 255):
        for size in ((90, 130), (45, 65), (22, 33), (1, 1)):
            assert (refine(np.full(size, value, np.uint8), pixels) == value).all()


def test_far_from_its_edge_a_mask_does_not_follow_the_picture() -> None:
    truth = disc(160, 160, centre=(80, 80), radius=60)
    noise = np.random.default_rng(2).integers(0, 256, (160, 160, 3)).astype(np.uint8)
    distance = np.hypot(*(np.mgrid[0:160, 0:160] - 80)) - 60

    ours = refine(reduced(truth, 4), noise)

    assert (ours[distance < -12] == 255).all()
    assert (ours[distance > 12] == 0).all()


@pytest.mark.parametrize("size", [(61, 47), (200, 33)])
def test_sides_that_are_no_multiple_still_fit(size: tuple[int, int]) -> None:
    mask = disc(20, 15, centre=(10, 7), radius=5)
    pixels = np.zeros((*size, 3), np.uint8)

    assert refine(mask, pixels).shape == size


def test_a_mask_larger_than_the_picture_is_reduced() -> None:
    truth = disc(60, 80, centre=(30, 40), radius=20)
    large = disc(120, 160, centre=(60.5, 80.5), radius=40)

    assert boundary_f(refine(large, picture_of(truth)), truth, tolerance_px=1.5) > 0.99


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


def test_a_mask_of_an_enlarged_picture_is_averaged_back() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 30:] = 255
    mask[:, 29] = 255
    reduced = refine(mask, np.zeros((10, 15, 3), np.uint8))
    assert reduced.shape == (10, 15)
    assert (reduced[:, :7] == 0).all()
    assert (reduced[:, 7] == 191).all()  # three quarters of its pixels
    assert (reduced[:, 8:] == 255).all()


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
