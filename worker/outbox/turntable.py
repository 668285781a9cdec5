"""What the frames of a turn let expect of each other.

On a turntable, what is seen of a car changes smoothly from angle to angle and comes back to its
start. Its figures follow from the two sides of the box that it is, l·|sin θ| and b·|cos θ|, with θ
from where it is seen end-on; how far they miss that is smooth. That is a Gaussian process on the
circle with those as its basis (Rasmussen and Williams 2006, section 2.7). End-on, where lamps and
mirrors decide and not the box, frames differ more. The spectra are those of 88 real turns of 16
angles, by their hand-made masks; `tests/worker/outbox/test_turn.py` holds them against those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST, MOST = 12, 120
"""Frames of a turn of which something is expected: of fewer it would be little, of more it would
take long, and each looks like the next one anyway."""
MOST_MISSING = 0.25
"""Of a turn's angles, for it to be one still."""
LIMIT = 4.5
"""A figure is odd when it lies so many standard deviations from what the others let expect. At 4.0
no frame of 88 real turns is odd yet."""
ODD_COST = 12.0
"""What it costs to call a figure odd instead of expecting something else, in -2 log likelihood."""
MOST_ODD = 0.25
"""Of the frames: where more are odd, it is the expectation that is wrong."""

_HARMONICS = 8
_DECAY = 0.7
"""Of the standard deviations from one harmonic to the next."""
_END_ON = 0.3
"""Sine of the angle up to which a car is seen end-on, roughly."""
_ANYTHING = 1e2
"""A variance that stands for "not known at all"; figures are about 1."""
STRENGTHS = (1.0, 2.0, 4.0)
"""Of perspective, to be tried: as in the measured turns, or a camera that is nearer."""
_PHASES = np.deg2rad(np.arange(0.0, 180.0, 2.5))

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Figure:
    """How one figure of a turn varies; standard deviations, in parts of the figure's median
    (area, width) or of the median height of the car (ground)."""

    wave: float
    """Of the slowest harmonic: the car stands off the axis, near and far look different."""
    ripple: float
    """Of the second harmonic, as far as left and right side of the car are alike…"""
    lopsided: float
    """…and as far as they are not; higher harmonics are weaker."""
    noise: float
    """Of one frame alone."""
    end_on: float
    """Of a frame alone where the car is seen end-on, over and above."""


AREA = Figure(wave=0.06, ripple=0.02, lopsided=0.009, noise=0.004, end_on=0.03)
WIDTH = Figure(wave=0.035, ripple=0.02, lopsided=0.012, noise=0.004, end_on=0.045)
GROUND = Figure(wave=0.03, ripple=0.008, lopsided=0.006, noise=0.004, end_on=0.011)


def places_in_turn(angles: Sequence[int], frames: int) -> list[Floats]:
    """Where each frame stands in its turn, (N,) in [0, 1), from the numbers of the angles: every
    way to read them.

    A turn has ``frames`` angles; more, if the numbers go further; or as many as there are, if
    they go without a gap to a multiple of four. So twelve angles may be a turn of their own, or
    sixteen of which the last four are missing. None where too few of its angles are there, or too
    many.
    """
    numbers = set(angles)
    if not FEWEST <= len(numbers) <= MOST:
        return []
    run = max(numbers) - min(numbers) + 1
    turns = {max(run, frames)}
    if run == len(numbers) and run % 4 == 0:
        turns.add(run)
    return [
        (np.array(angles, np.float64) - min(numbers)) / turn
        for turn in sorted(turns)
        if len(numbers) >= (1 - MOST_MISSING) * turn
    ]


def covariance(figure: Figure, places: Floats, phase: float, *, strength: float = 1.0) -> Floats:
    """Of a figure's values, (N, N), at ``places`` (N,); ``phase`` is where the car is seen end-on,
    in radians, ``strength`` that of the perspective. The figure's mean is not known and part of
    it."""
    angles = 2 * np.pi * places - phase
    known = [np.ones_like(angles), np.abs(np.sin(angles)), np.abs(np.cos(angles))]
    found = _ANYTHING * np.stack(known, axis=1) @ np.stack(known)
    apart, across = angles[:, None] - angles, angles[:, None] + angles
    smooth = figure.wave**2 * np.cos(apart)
    for harmonic in range(2, _HARMONICS + 1):
        here, mirrored = np.cos(harmonic * apart), np.cos(harmonic * across)
        part = figure.ripple**2 * (here + mirrored) + figure.lopsided**2 * here
        smooth += _DECAY ** (2 * harmonic - 4) * part
    end_on = figure.end_on * np.exp(-((np.sin(angles) / _END_ON) ** 2))
    return np.asarray(found + strength**2 * smooth + np.diag(figure.noise**2 + end_on**2))


def phase_of(widths: Floats, places: Floats) -> float:
    """Where a car of these ``widths`` (N,), in parts of their median, is seen end-on: radians in
    [0, π). Front and rear are the same to it."""
    costs = np.full(_PHASES.size, np.inf)
    for row, phase in enumerate(_PHASES):
        if widths @ np.cos(2 * (2 * np.pi * places - phase)) > 0:
            continue  # end-on a car is narrow
        spread = covariance(WIDTH, places, phase)
        odd = odd_ones(widths, spread)
        costs[row] = surprise(widths[~odd], spread[np.ix_(~odd, ~odd)]) + ODD_COST * odd.sum()
    return float(_PHASES[int(np.argmin(costs))])


def odd_ones(values: Floats, spread: Floats) -> Bools:
    """Which of the ``values`` (N,) the others do not let expect, (N,) bool; their covariance is
    ``spread`` (N, N). An odd value makes its neighbours look odd too, and two of them hide each
    other: so the oddest one or two go first, and the rest are looked at without, up to half."""
    kept = np.ones(values.size, np.bool_)
    while kept.sum() > values.size / 2:
        rest = np.flatnonzero(kept)
        inverse = np.linalg.inv(spread[np.ix_(rest, rest)])
        pull, own = inverse @ values[rest], inverse.diagonal()
        alone = pull**2 / own
        both = (
            pull**2 * own[:, None] + (pull**2)[:, None] * own - 2 * np.outer(pull, pull) * inverse
        )
        apart = own * own[:, None] - inverse**2
        pairs = both / np.where(np.eye(rest.size), np.inf, apart)
        if pairs.max() > alone.max() + LIMIT**2:
            kept[rest[list(divmod(int(pairs.argmax()), rest.size))]] = False
        elif alone.max() > LIMIT**2:
            kept[rest[alone.argmax()]] = False
        else:
            break
    means, sigmas = expected(values, spread, kept)
    return np.asarray(np.abs(values - means) > LIMIT * sigmas)


def expected(values: Floats, spread: Floats, kept: Bools) -> tuple[Floats, Floats]:
    """What the other ``kept`` (N,) values let expect of each of the ``values`` (N,): mean and
    standard deviation, (N,) each; their covariance is ``spread`` (N, N)."""
    means, variances = np.empty(values.size), np.empty(values.size)
    inverse = np.linalg.inv(spread[np.ix_(kept, kept)])
    variances[kept] = 1 / inverse.diagonal()
    means[kept] = values[kept] - inverse @ values[kept] * variances[kept]
    weights = spread[np.ix_(~kept, kept)] @ inverse
    means[~kept] = weights @ values[kept]
    variances[~kept] = spread.diagonal()[~kept] - (weights * spread[np.ix_(~kept, kept)]).sum(1)
    return means, np.sqrt(variances)


def surprise(values: Floats, spread: Floats) -> float:
    """How unlikely ``values`` (N,) of covariance ``spread`` (N, N) are: -2 log likelihood, but
    for a constant."""
    return float(np.linalg.slogdet(spread)[1] + values @ np.linalg.solve(spread, values))
