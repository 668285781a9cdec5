"""From the network's mask to the picture's size: no specks, and the picture's edges."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.carvana import disc, picture_of
from unet_core.metrics import boundary_f
from unet_core.refine import refine

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


def test_where_network_and_photo_do_not_know_where_the_edge_is_it_is_taken_as_plain() -> None:
    truth = disc(240, 320, centre=(120, 160), radius=80)
    doubt = blurred(reduced(truth, 2), 5)

    ours = refine(doubt, np.full((240, 320, 3), 120, np.uint8))

    assert boundary_f(ours, truth, tolerance_px=3) > 0.99
    assert soft_pixels(ours) < 0.4 * soft_pixels(enlarged(doubt, truth))


def test_where_the_photo_is_too_dark_to_tell_an_edge_in_doubt_stays_soft() -> None:
    truth = disc(240, 320, centre=(120, 160), radius=80)
    doubt = blurred(reduced(truth, 2), 5)

    ours = refine(doubt, np.full((240, 320, 3), 40, np.uint8))

    assert soft_pixels(ours) > 0.25 * soft_pixels(enlarged(doubt, truth))  # its rims were decided


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


def test_a_mask_of_an_enlarged_picture_is_averaged_back() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 30:] = 255
    mask[:, 29] = 255
    reduced = refine(mask, np.zeros((10, 15, 3), np.uint8))
    assert reduced.shape == (10, 15)
    assert (reduced[:, :7] == 0).all()
    assert (reduced[:, 7] == 191).all()  # three quarters of its pixels
    assert (reduced[:, 8:] == 255).all()
