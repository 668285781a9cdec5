from __future__ import annotations

import numpy as np
import pytest

from tests.worker.outbox.drawn_turn import Floats, Scene, boxes
from worker.outbox.turntable import (
    GROUND,
    WIDTH,
    covariance,
    expected,
    odd_ones,
    phase_of,
    places_in_turn,
)

PLACES = np.arange(16) / 16
ALL = np.ones(16, np.bool_)


def widths(scene: Scene) -> Floats:
    found = boxes(scene)
    across = found[:, 2] - found[:, 0]
    return np.asarray(across / np.median(across))


def drawn(seed: int) -> tuple[Floats, Floats]:
    """Ground lines as they are expected, and their covariance."""
    spread = covariance(GROUND, PLACES, 0.2)
    values = np.linalg.cholesky(spread) @ np.random.default_rng(seed).normal(size=16)
    return np.asarray(values), spread


def away_from(phase: float, start: float) -> float:
    """Degrees between a phase and that of a turn that began at ``start``."""
    return float(abs((np.rad2deg(phase) + start + 90) % 180 - 90))


@pytest.mark.parametrize(
    ("angles", "turn"),
    [
        (range(1, 17), 16),
        (range(16), 16),
        (range(4711, 4727), 16),
        ([n for n in range(1, 17) if n not in (4, 9)], 16),
        (range(1, 16), 16),  # the last one is missing
        (range(1, 25), 24),
    ],
)
def test_angles_have_their_places_in_the_turn(angles: range | list[int], turn: int) -> None:
    (places,) = places_in_turn(angles, 16)
    assert places[0] == 0
    assert np.diff(places) == pytest.approx(np.diff(angles) / turn)


@pytest.mark.parametrize(
    "angles", [[], range(1, 11), [1, 2, 3, 4], range(1, 200, 7), [5] * 16, range(6, 17), range(360)]
)
def test_numbers_that_are_no_turn_have_none(angles: range | list[int]) -> None:
    assert places_in_turn(angles, 16) == []


def test_twelve_angles_may_be_a_turn_of_their_own_or_most_of_one_of_sixteen() -> None:
    found = places_in_turn(range(1, 13), 16)
    assert [places[1] for places in found] == [1 / 12, 1 / 16]


@pytest.mark.parametrize("start", [0.0, 20.0, 60.0, 100.0, 170.0])
def test_the_phase_is_where_the_car_is_seen_end_on(start: float) -> None:
    assert away_from(phase_of(widths(Scene(start=start)), PLACES), start) <= 5


def test_a_wrong_width_does_not_change_the_phase() -> None:
    found = widths(Scene(start=20.0))
    found[4] *= 0.8
    assert away_from(phase_of(found, PLACES), 20) <= 5


def test_figures_as_expected_are_not_odd() -> None:
    assert not any(odd_ones(*drawn(seed)).any() for seed in range(20))


@pytest.mark.parametrize("odd", [(3,), (3, 4), (3, 11), (2, 5, 9)])
def test_odd_ones_are_told_from_their_neighbours(odd: tuple[int, ...]) -> None:
    values, spread = drawn(1)
    values[list(odd)] += 0.15
    assert np.flatnonzero(odd_ones(values, spread)).tolist() == list(odd)


def test_what_the_others_let_expect_is_as_uncertain_as_it_says() -> None:
    scores = []
    for seed in range(40):
        values, spread = drawn(seed)
        means, sigmas = expected(values, spread, np.arange(16) != 5)
        scores.append((values - means) / sigmas)
    assert np.std(scores) == pytest.approx(1, abs=0.15)


def test_a_value_is_expected_from_the_others_whether_it_is_kept_or_not() -> None:
    values, spread = drawn(2)
    means, sigmas = expected(values, spread, ALL)
    without = expected(values, spread, np.arange(16) != 7)
    assert (means[7], sigmas[7]) == pytest.approx((without[0][7], without[1][7]), rel=1e-3)


def test_end_on_less_is_certain() -> None:
    sigmas = expected(np.ones(16), covariance(WIDTH, PLACES, 0.0), ALL)[1]
    assert sigmas[0] > 1.5 * sigmas[2]
    assert sigmas[8] > 1.5 * sigmas[6]
