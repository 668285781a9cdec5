"""How far a view lies from another one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from worker.booth.displacement import Displacement, Ground

H, W = 32, 48


def wall(*, right: float = 0.0, down: float = 0.0, larger: float = 0.0) -> NDArray[np.float32]:
    """Logarithms of a wall with a door, a window and a floor, moved by parts of its width."""
    large = np.full((20 * H, 20 * W), 200, np.float32)
    large[440:] = 120
    large[100:440, 120:300], large[80:200, 640:800] = 140, 250
    place = cv2.getRotationMatrix2D((10 * W - 0.5, 10 * H - 0.5), 0, 1 + larger)
    place[:, 2] += 20 * W * right, 20 * W * down
    moved = cv2.warpAffine(large, place, (20 * W, 20 * H), borderMode=cv2.BORDER_REPLICATE)
    return np.log(cv2.resize(moved, (W, H), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize(
    ("right", "down", "larger"),
    [(0.01, 0, 0), (0, -0.01, 0), (0.005, 0.005, 0), (0, 0, 0.02), (-0.03, 0.01, 0.01), (0, 0, 0)],
)
def test_a_movement_is_measured_to_a_tenth_of_a_cell(
    right: float, down: float, larger: float
) -> None:
    found = Ground(wall()).displacement(wall(right=right, down=down, larger=larger))
    assert (found.right, found.down) == pytest.approx((right, down), abs=0.1 / W)
    assert found.larger == pytest.approx(larger, abs=0.005)
    assert found.turned == pytest.approx(0, abs=0.005)


def test_light_that_fades_from_side_to_side_is_no_movement() -> None:
    fading = wall() + np.linspace(0, -0.3, W, dtype=np.float32)
    found = Ground(wall()).displacement(fading)
    assert (found.right, found.down, found.larger) == pytest.approx((0, 0, 0), abs=0.002)


def test_what_is_hidden_does_not_count() -> None:
    hidden = wall(right=0.01)
    hidden[12:28, 20:34] = np.nan
    assert Ground(wall()).displacement(hidden).right == pytest.approx(0.01, abs=0.002)


def test_a_bare_wall_tells_no_movement() -> None:
    bare = np.zeros((H, W), np.float32)
    assert Ground(bare).displacement(bare) == Displacement(0, 0, 0, 0)


def test_a_view_that_was_moved_back_lies_on_the_other_one() -> None:
    ground, moved = Ground(wall()), wall(right=0.02)
    back = ground.aligned(moved, ground.displacement(moved))
    inner = np.isfinite(back) & ~ground.edges
    assert np.abs(back - wall())[inner].max() < 0.03
    assert np.isnan(back[:, -1]).all(), "there was nothing to see"
