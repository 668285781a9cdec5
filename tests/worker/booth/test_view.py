"""What is kept of a photo, and what a shoot's photos tell together."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tests.parts import manifest_with
from tests.worker.booth.days import manifest
from worker.booth.view import SIDE, booth_view, read_view, shoot_view


def test_the_car_and_what_is_near_it_is_black_and_the_rest_is_the_booth() -> None:
    pixels = np.full((320, 480, 3), (200, 150, 100), np.uint8)
    alpha = np.zeros((320, 480), np.uint8)
    alpha[100:200, 150:350] = 255
    view = read_view(booth_view(pixels, alpha))
    assert view is not None and view.shape == (32, SIDE, 3)
    assert (view[10:20, 15:35] == 0).all(), "the car"
    assert (view[9:21, 14:36] == 0).all(), "a cell around it"
    assert (view[:8] == (200, 150, 100)).all() and (view[23:] == (200, 150, 100)).all()


@pytest.mark.parametrize("size", [(320, 480), (480, 320), (20, 33), (1, 1), (3000, 40)])
def test_photos_of_any_size_have_a_view(size: tuple[int, int]) -> None:
    view = read_view(booth_view(np.full((*size, 3), 90, np.uint8), np.zeros(size, np.uint8)))
    assert view is not None and max(view.shape) <= SIDE and (view == 90).all()


def test_a_black_wall_is_not_taken_for_what_the_car_hides() -> None:
    view = read_view(booth_view(np.zeros((32, 48, 3), np.uint8), np.zeros((32, 48), np.uint8)))
    assert view is not None and view.all()


def test_what_is_no_view_of_ours_is_passed_over() -> None:
    large = io.BytesIO()
    Image.new("RGB", (4000, 4000)).save(large, "PNG")
    for text in ("", "no base64!", "aaaa", base64.b64encode(large.getvalue()).decode()):
        assert read_view(text) is None
    damaged = base64.b64decode(
        booth_view(np.ones((32, 48, 3), np.uint8), np.zeros((32, 48), np.uint8))
    )
    assert read_view(base64.b64encode(damaged[:40]).decode()) is None


def test_together_the_frames_of_a_turn_show_more_than_each_alone() -> None:
    rows = manifest(1).frames
    hidden = [(read_view(row.booth or "") == 0).all(axis=2) for row in rows]  # type: ignore[union-attr]
    view = shoot_view(manifest(1))
    assert view is not None and (view.shoot, view.taken_ns) == ("car-001", 1)
    unknown = np.isnan(view.logs).any(axis=2)
    assert unknown.sum() < min(each.sum() for each in hidden)
    assert not unknown[~hidden[0] & ~hidden[1]].any()


def test_frames_that_failed_or_show_no_car_tell_nothing() -> None:
    rows = [row.model_copy(update={"box": None}) for row in manifest(1).frames]
    assert shoot_view(manifest_with("car", rows)) is None
    assert shoot_view(manifest_with("car", manifest(1).frames[:3])) is None


def test_a_camera_that_goes_around_the_car_tells_nothing() -> None:
    rng = np.random.default_rng(0)
    nothing = np.zeros((32, 48), np.uint8)
    rows = [
        row.model_copy(
            update={"booth": booth_view(rng.integers(20, 255, (32, 48, 3), np.uint8), nothing)}
        )
        for row in manifest(1).frames
    ]
    assert shoot_view(manifest_with("car", rows)) is None
