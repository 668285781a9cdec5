from __future__ import annotations

import numpy as np

from worker.finish.grain import grain


def test_grain_has_mean_zero_and_stays_within_one_step() -> None:
    noise = grain(300, 600)
    assert noise.shape == (300, 600)
    assert abs(float(noise.mean())) < 0.01
    assert 0.9 < float(np.abs(noise).max()) < 1


def test_rounding_with_grain_keeps_a_level_between_two_steps() -> None:
    assert abs(float(np.rint(100.3 + grain(256, 256)).mean()) - 100.3) < 0.01


def test_grain_is_the_same_each_time_and_for_each_size() -> None:
    assert np.array_equal(grain(40, 50), grain(300, 600)[:40, :50])
