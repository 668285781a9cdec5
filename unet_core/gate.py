"""Whether a candidate may take the champion's place. Pure: figures in, verdict out.

Both were measured on the same pictures. The frames of one car are siblings, so that differences
are means by car first, and the confidence interval draws cars, not frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

import numpy as np

Kind = Literal["holdout", "correction", "golden"]
DRAWS, INTERVAL = 2000, (2.5, 97.5)
"""Of the bootstrap (Efron 1979): how many, and the percentiles of the interval."""


@dataclass(frozen=True)
class Rules:
    """How much worse is not worse. Dice and boundary F in [0, 1]."""

    equal: float = 0.0003
    """Mean Dice and, tenfold, boundary F: less than this is no difference."""
    worst_frame: float = 0.01
    slice_mean: float = 0.003
    golden: float = 0.01
    known: float = 0.9
    """A golden image counts where the champion has so much Dice: one that it never knew tells
    nothing."""
    slower: float = 1.10
    """The candidate's time as a multiple of the champion's, at most."""
    learned_share: float = 0.5
    """A corrected frame is learned when at most this share of its error is left…"""
    learned_dice: float = 0.995
    """…or its Dice is so high."""


@dataclass(frozen=True)
class Figures:
    """One network on one picture, both in [0, 1], 1 is best."""

    dice: float
    boundary_f: float


@dataclass(frozen=True)
class Compared:
    """One picture and what both networks made of it."""

    kind: Kind
    car: str
    frame: str
    champion: Figures
    candidate: Figures
    slices: Mapping[str, str] = field(default_factory=dict)

    @property
    def gain(self) -> float:
        """Dice that the candidate has more."""
        return self.candidate.dice - self.champion.dice


@dataclass(frozen=True)
class SliceRow:
    """One slice of the pictures, such as paint = red."""

    name: str
    frames: int
    cars: int
    champion: float
    """Mean Dice; ``candidate`` likewise."""
    candidate: float
    gain: float
    """Mean by car."""


@dataclass(frozen=True)
class Verdict:
    """The decision and all that led to it."""

    promote: bool
    reason: str
    """A sentence; it names the slice or the frame that told."""
    told_by: str
    """Which check refused: its name, or the slice's; empty for a promotion."""
    gain: float
    """Mean difference of Dice on the holdout, by car."""
    interval: tuple[float, float]
    """95 % confidence interval of ``gain``."""
    boundary_gain: float
    champion: dict[str, float]
    candidate: dict[str, float]
    slices: list[SliceRow]
    """The one that lost most first."""
    learned: list[str]
    """Corrected frames that are right now; ``not_learned`` likewise."""
    not_learned: list[str]
    times_as_long: float


def judge(compared: Sequence[Compared], *, times_as_long: float) -> Verdict:
    """The verdict on a candidate; ``times_as_long`` is its time by the champion's.

    Raises ``ValueError`` without a picture of the holdout: nothing would vouch for the candidate.
    """
    holdout = [each for each in compared if each.kind == "holdout"]
    if not holdout:
        raise ValueError("a candidate cannot be judged without a holdout")
    gain, boundary = _by_car(holdout), _boundary_by_car(holdout)
    interval = bootstrap(list(gain.values()))
    rows = slice_rows(compared)
    corrections = [each for each in compared if each.kind == "correction"]
    learned = [f"{c.car}/{c.frame}" for c in corrections if is_learned(c)]
    refusal = next(
        _refusals(compared, holdout, rows, interval, times_as_long), None
    )  # the first that speaks is the one that is told
    mean = fmean(gain.values())
    told_by, reason = refusal or ("", _promotion(mean, interval, len(learned), len(corrections)))
    return Verdict(
        promote=refusal is None,
        reason=reason,
        told_by=told_by,
        gain=mean,
        interval=interval,
        boundary_gain=fmean(boundary.values()),
        champion=_summary([each.champion for each in holdout]),
        candidate=_summary([each.candidate for each in holdout]),
        slices=rows,
        learned=learned,
        not_learned=[
            name for c in corrections if (name := f"{c.car}/{c.frame}") not in set(learned)
        ],
        times_as_long=times_as_long,
    )


def bootstrap(gains: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the mean of one figure a car; the same figures give the same interval."""
    values = np.asarray(gains)
    drawn = np.random.default_rng(0).choice(values, (DRAWS, len(values)))
    low, high = np.percentile(drawn.mean(axis=1), INTERVAL)
    return float(low), float(high)


def slice_rows(compared: Sequence[Compared]) -> list[SliceRow]:
    """Every slice of the holdout, and the corrections as one of their own; worst first."""
    found: dict[str, list[Compared]] = {}
    for each in compared:
        if each.kind == "holdout":
            for name, value in each.slices.items():
                found.setdefault(f"{name} {value}", []).append(each)
        elif each.kind == "correction":
            found.setdefault("corrections", []).append(each)
    rows = [
        SliceRow(
            name=name,
            frames=len(some),
            cars=len({each.car for each in some}),
            champion=fmean(each.champion.dice for each in some),
            candidate=fmean(each.candidate.dice for each in some),
            gain=fmean(_by_car(some).values()),
        )
        for name, some in found.items()
    ]
    return sorted(rows, key=lambda row: (row.gain, row.name))


def is_learned(correction: Compared) -> bool:
    """Whether the candidate gets a corrected frame right now."""
    left, before = 1 - correction.candidate.dice, 1 - correction.champion.dice
    return correction.candidate.dice >= Rules.learned_dice or left <= Rules.learned_share * before


def _refusals(
    compared: Sequence[Compared],
    holdout: Sequence[Compared],
    rows: Sequence[SliceRow],
    interval: tuple[float, float],
    times_as_long: float,
) -> Iterator[tuple[str, str]]:
    """What speaks against a candidate: the check's name and the sentence, the gravest first."""
    for golden in (each for each in compared if each.kind == "golden"):
        if golden.champion.dice >= Rules.known and golden.gain < -Rules.golden:
            yield (
                f"golden image {golden.frame}",
                f"the golden image {golden.frame} came out with Dice "
                f"{golden.candidate.dice:.4f} instead of {golden.champion.dice:.4f}",
            )
    for row in rows:
        if row.gain < -Rules.slice_mean:
            yield (
                row.name,
                f"the slice {row.name} lost {-row.gain:.4f} Dice "
                f"({row.champion:.4f} → {row.candidate:.4f}, {row.cars} cars)",
            )
    mean = fmean(_by_car(holdout).values())
    if mean < -Rules.equal or interval[1] < 0:
        yield (
            "mean Dice",
            f"the holdout lost {-mean:.5f} Dice "
            f"(95 % interval {interval[0]:+.5f} to {interval[1]:+.5f})",
        )
    boundary = fmean(_boundary_by_car(holdout).values())
    if boundary < -10 * Rules.equal:
        yield "boundary F", f"the holdout's edges lost {-boundary:.4f} boundary F"
    worst, before = (
        min(figures.dice for figures in side)
        for side in ([h.candidate for h in holdout], [h.champion for h in holdout])
    )
    if worst < before - Rules.worst_frame:
        frame = min(holdout, key=lambda each: each.candidate.dice)
        yield (
            "worst frame",
            f"the worst frame fell from {before:.4f} to {worst:.4f} ({frame.car}/{frame.frame})",
        )
    if times_as_long > Rules.slower:
        yield "speed", f"it takes {times_as_long:.2f} times as long"
    corrections = [each for each in compared if each.kind == "correction"]
    if corrections and mean <= 0 and not any(is_learned(each) for each in corrections):
        yield "corrections", f"none of {len(corrections)} corrections was learned, nothing gained"


def _promotion(gain: float, interval: tuple[float, float], learned: int, corrections: int) -> str:
    return (
        f"holdout {gain:+.5f} Dice (95 % interval {interval[0]:+.5f} to {interval[1]:+.5f}), "
        f"no slice worse, {learned} of {corrections} corrected frames are right now"
    )


def _by_car(compared: Sequence[Compared]) -> dict[str, float]:
    cars: dict[str, list[float]] = {}
    for each in compared:
        cars.setdefault(each.car, []).append(each.gain)
    return {car: fmean(gains) for car, gains in cars.items()}


def _boundary_by_car(compared: Sequence[Compared]) -> dict[str, float]:
    cars: dict[str, list[float]] = {}
    for each in compared:
        difference = each.candidate.boundary_f - each.champion.boundary_f
        cars.setdefault(each.car, []).append(difference)
    return {car: fmean(gains) for car, gains in cars.items()}


def _summary(figures: Sequence[Figures]) -> dict[str, float]:
    return {
        "dice_mean": fmean(each.dice for each in figures),
        "dice_worst": min(each.dice for each in figures),
        "boundary_f_2px_mean": fmean(each.boundary_f for each in figures),
    }
