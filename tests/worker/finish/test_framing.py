from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from worker.finish.framing import LARGEST, FrameShape, Placement, fit, reframe, subject_box
from worker.finish.presets import Framing

PHOTO = (600, 400)
FIT = Framing(mode="fit", margin=0.1, ground=0.8)
Pixels = NDArray[np.uint8]


def car(box: tuple[int, int, int, int], size: tuple[int, int] = PHOTO) -> tuple[Pixels, Pixels]:
    """A photo with a white block as car, and its mask."""
    alpha = np.zeros(size[::-1], np.uint8)
    alpha[box[1] : box[3], box[0] : box[2]] = 255
    return np.dstack([alpha] * 3) // 2 + 40, alpha


def box_of(alpha: Pixels) -> tuple[int, int, int, int]:
    x, y, width, height = cv2.boundingRect((alpha >= 128).astype(np.uint8))
    return x, y, x + width, y + height


def turn() -> list[tuple[int, int, int, int]]:
    """Boxes as of a car that turns: wide and narrow, its lowest point moving with perspective."""
    boxes = []
    for angle in range(16):
        along = abs(np.cos(angle / 16 * 2 * np.pi))
        half = round(60 + 90 * along)
        low = round(260 + 12 * np.sin(angle / 16 * 4 * np.pi))
        boxes.append((310 - half, 180, 310 + half, low))
    return boxes


def test_all_frames_of_a_turn_get_one_placement() -> None:
    placements = fit([FrameShape(PHOTO, box) for box in turn()], FIT)
    assert len(set(placements)) == 1


def test_the_widest_frame_keeps_its_margins_and_the_lowest_tyre_stands_on_the_ground() -> None:
    shapes = [FrameShape(PHOTO, box) for box in turn()]
    (placement, *_) = fit(shapes, FIT)
    seen = [box_of(reframe(*car(box), placement)[1]) for box in turn()]
    left, right = min(b[0] for b in seen), max(b[2] for b in seen)
    assert left == pytest.approx(60, abs=1)
    assert right == pytest.approx(540, abs=1)
    assert max(b[3] for b in seen) == pytest.approx(0.8 * 400, abs=1)


def test_a_tall_car_is_limited_by_the_room_above_the_ground() -> None:
    (placement,) = fit([FrameShape(PHOTO, (280, 50, 320, 350))], FIT)
    left, top, right, bottom = box_of(reframe(*car((280, 50, 320, 350)), placement)[1])
    assert (top, bottom) == (pytest.approx(60, abs=1), pytest.approx(320, abs=1))
    assert (left + right) / 2 == pytest.approx(300, abs=1)


@pytest.mark.parametrize(
    ("aspect", "width", "size"),
    [
        (None, None, PHOTO),
        ("1:1", None, (600, 600)),
        ("4:3", 800, (800, 600)),
        (None, 300, (300, 200)),
    ],
)
def test_pictures_have_the_size_that_the_preset_asks_for(
    aspect: str | None, width: int | None, size: tuple[int, int]
) -> None:
    framing = Framing(mode="fit", aspect=aspect, width=width)
    (placement,) = fit([FrameShape(PHOTO, (200, 150, 400, 300))], framing)
    pixels, alpha = reframe(*car((200, 150, 400, 300)), placement)
    assert placement.size == size
    assert pixels.shape == (size[1], size[0], 3)
    assert alpha.shape == size[::-1]


def test_a_mask_that_runs_into_the_border_does_not_move_the_set() -> None:
    shapes = [FrameShape(PHOTO, box) for box in turn()]
    wall = [FrameShape(PHOTO, (0, 0, 470, 270)), *shapes[1:]]
    assert fit(wall, FIT)[1] == fit(shapes, FIT)[1]


def test_frames_without_a_car_and_photos_of_another_size_get_their_places_too() -> None:
    upright = FrameShape((400, 600), (50, 200, 350, 450))
    empty = FrameShape(PHOTO, None)
    lone = FrameShape((90, 90), None)
    shapes = [FrameShape(PHOTO, box) for box in turn()]
    placements = fit([*shapes, upright, empty, lone], FIT)
    assert {placement.size for placement in placements} == {PHOTO}
    assert placements[17] == placements[0]
    assert placements[16].scaled[0] / 400 == pytest.approx((0.8 * 400 - 60) / 250, rel=0.01)
    assert placements[18] == Placement(PHOTO, (90, 90), (400, 400), (100, 0))


def test_a_photo_of_twice_the_pixels_shows_the_car_as_large_as_the_others() -> None:
    boxes = turn()
    large = FrameShape((1200, 800), tuple(2 * side for side in boxes[0]))  # type: ignore[arg-type]
    placements = fit([large, *(FrameShape(PHOTO, box) for box in boxes[1:])], FIT)
    assert placements[0].scaled == placements[1].scaled
    assert placements[0].offset == placements[1].offset


def test_wide_margins_on_a_flat_picture_leave_the_car_room() -> None:
    flat = Framing(mode="fit", aspect="4:1", margin=0.2)
    (placement,) = fit([FrameShape(PHOTO, (200, 100, 400, 200))], flat)
    assert placement.scaled[1] / 400 * 100 >= 0.19 * placement.size[1]


def test_a_car_far_away_is_not_enlarged_without_end() -> None:
    (placement,) = fit([FrameShape(PHOTO, (290, 190, 310, 200))], FIT)
    assert placement.scaled == (LARGEST * 600, LARGEST * 400)


@pytest.mark.parametrize("size", [(300, 400), (301, 397), (40, 40)])
def test_a_dot_that_a_brush_left_is_no_part_of_the_cars_box(size: tuple[int, int]) -> None:
    height, width = size
    mask = np.zeros(size, np.uint8)
    mask[height // 3 : height // 2, width // 4 : width // 2] = 255
    box = (width // 4, height // 3, width // 2, height // 2)
    assert subject_box(mask) == box
    mask[height - 2, width - 2] = 255
    assert subject_box(mask) == (box if height > 100 else (*box[:2], width - 1, height - 1))


def test_an_antenna_is_a_part_of_the_cars_box_and_what_is_rather_wall_is_none() -> None:
    mask = np.zeros((300, 400), np.uint8)
    assert subject_box(mask) is None
    mask[0, 0] = 127
    mask[150:200, 100:300] = 255
    mask[90:150, 130] = 200
    mask[20, 30] = 255  # a brush's dot
    assert subject_box(mask) == (100, 90, 300, 200)


def test_the_identity_gives_back_what_it_was_given() -> None:
    pixels, alpha = car((200, 150, 400, 300))
    same = reframe(pixels, alpha, Placement(PHOTO, PHOTO, PHOTO, (0, 0)))
    assert same[0] is pixels
    assert same[1] is alpha


def test_beyond_the_photo_its_border_goes_on_without_car() -> None:
    pixels, alpha = car((0, 0, 600, 400))
    pixels[:] = (10, 20, 30)
    placement = Placement((800, 500), PHOTO, PHOTO, (100, 50))
    wide, mask = reframe(pixels, alpha, placement)
    assert (wide == (10, 20, 30)).all()
    assert mask[50:450, 100:700].all()
    assert mask.sum() == alpha.sum(dtype=np.int64)


def test_photo_and_mask_stay_in_register() -> None:
    pixels, alpha = car((200, 150, 400, 300))
    placement = Placement((300, 300), PHOTO, (421, 281), (-37, 11))
    small, mask = reframe(pixels, alpha, placement)
    edge = (small[..., 0] > 40 + 64) != (mask > 128)
    assert edge.mean() < 0.01


def test_a_photo_that_lies_outside_the_picture_leaves_no_car() -> None:
    _, mask = reframe(*car((0, 0, 600, 400)), Placement((50, 50), PHOTO, PHOTO, (700, 700)))
    assert mask.shape == (50, 50)
    assert not mask.any()


@pytest.mark.parametrize(
    "cut", [(0, 200, 300, 300), (200, 0, 400, 300), (300, 200, 600, 300), (200, 200, 400, 400)]
)
def test_a_car_that_is_cut_off_at_any_side_does_not_move_the_set(
    cut: tuple[int, int, int, int],
) -> None:
    whole = [FrameShape(PHOTO, (200, 150, 400, 300))] * 3
    assert fit([*whole, FrameShape(PHOTO, cut)], FIT) == fit([*whole, whole[0]], FIT)


def test_a_picture_that_is_made_smaller_loses_its_noise_and_gains_no_moire() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8)
    small, _ = reframe(noise, noise[..., 0], Placement((150, 100), PHOTO, (150, 100), (0, 0)))
    assert small.std() < noise.std() / 3  # each pixel is the mean of sixteen
