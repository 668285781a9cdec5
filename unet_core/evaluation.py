"""How good a segmenter is on labelled pictures, by the same path that a user's photo takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TypeVar

import cv2
import numpy as np

from unet_core.checkpoint import Card
from unet_core.data import Pair, Picture, read_pair
from unet_core.metrics import Counts, compare, total
from unet_core.refine import refine
from unet_core.segment import Segmenter

T = TypeVar("T")


@dataclass(frozen=True)
class Score:
    """One picture's figures at its own full size."""

    pair: Pair
    dice: float
    iou: float
    boundary_f_1px: float
    boundary_f_2px: float
    boundary_f_4px: float
    """All in [0, 1], 1 is best."""
    hausdorff_95_px: float
    """0 is best."""
    milliseconds: float = 0.0
    """From pixels to the full-size mask: what network and refinement took; the first picture
    also pays for what is set up once."""
    counts: Counts = field(default_factory=Counts.none)
    edge_counts: Counts = field(default_factory=Counts.none)
    """For the calibration of many pictures: of the whole picture, and near the true edge; by the
    network's own mask, because a refined one holds shares of a pixel and no probabilities."""
    opening_counts: Counts = field(default_factory=Counts.none)
    """Of what is seen through the subject: small, and a good part of its outline."""

    @property
    def openings_found(self) -> float | None:
        """The share of the openings that the mask leaves open; None where there are none."""
        counts = self.opening_counts
        return counts.left_open if counts.pixels.any() else None

    @property
    def angle(self) -> int:
        """The picture's number in the turn."""
        return self.pair.angle

    @property
    def car(self) -> str:
        """Whose picture it is."""
        return self.pair.car


def unseen_cars(cards: Sequence[Card]) -> set[str]:
    """The cars that none of the checkpoints was trained on, as far as their cards vouch for it:
    those on every holdout list."""
    return set.intersection(*(set(card.holdout) for card in cards)) if cards else set()


def thinned(pairs: Sequence[Pair], most: int) -> list[Pair]:
    """At most ``most`` frames a car, evenly spaced over its turn; sorted by car and angle."""
    cars: dict[str, list[Pair]] = {}
    for pair in sorted(pairs, key=lambda pair: (pair.car, pair.angle)):
        cars.setdefault(pair.car, []).append(pair)
    return [pair for turn in cars.values() for pair in spaced(turn, most)]


def spaced(turn: Sequence[T], most: int) -> list[T]:
    """At most ``most`` of a turn, evenly spaced; at least one, if there are any."""
    count = max(1, min(most, len(turn)))
    return [turn[number * len(turn) // count] for number in range(count if turn else 0)]


def cut_out(segmenter: Segmenter, pixels: Picture) -> Picture:
    """The mask (H, W) uint8 of a picture (H, W, 3) uint8 sRGB, as the line makes it."""
    return refine(segmenter.segment([segmenter.prepare(pixels)])[0], pixels)


def measure(segmenter: Segmenter, pair: Pair) -> Score:
    """One picture's score; raises :class:`DataError` when it cannot be read."""
    pixels, truth = read_pair(pair)
    started = time.perf_counter()
    own = segmenter.segment([segmenter.prepare(pixels)])[0]
    mask = refine(own, pixels)
    milliseconds = (time.perf_counter() - started) * 1000
    found = compare(mask, truth)
    promised = compare(np.asarray(cv2.resize(own, truth.shape[::-1]), np.uint8), truth)
    return Score(
        pair=pair,
        dice=found.counts.dice,
        iou=found.counts.iou,
        boundary_f_1px=found.outlines.boundary_f(1),
        boundary_f_2px=found.outlines.boundary_f(2),
        boundary_f_4px=found.outlines.boundary_f(4),
        hausdorff_95_px=found.outlines.hausdorff_95,
        milliseconds=milliseconds,
        counts=promised.counts,
        edge_counts=promised.edge_counts,
        opening_counts=found.opening_counts,
    )


def evaluate(
    segmenter: Segmenter, pairs: Sequence[Pair], *, on_score: Callable[[Score], None] | None = None
) -> list[Score]:
    """A score for every pair; raises :class:`DataError` at the first that cannot be read."""
    scores = []
    for pair in pairs:
        scores.append(measure(segmenter, pair))
        if on_score:
            on_score(scores[-1])
    return scores


def summary(scores: Sequence[Score]) -> dict[str, float]:
    """Mean and worst of the scores, rounded to five places, as a card keeps them: the same
    network and pictures give the same figures, so no times. Raises ValueError without scores."""
    figures = {
        "frames": len(scores),
        "cars": len({score.car for score in scores}),
        "dice_mean": fmean(score.dice for score in scores),
        "dice_worst": min(score.dice for score in scores),
        "iou_mean": fmean(score.iou for score in scores),
        "iou_worst": min(score.iou for score in scores),
        "boundary_f_1px_mean": fmean(score.boundary_f_1px for score in scores),
        "boundary_f_2px_mean": fmean(score.boundary_f_2px for score in scores),
        "boundary_f_2px_worst": min(score.boundary_f_2px for score in scores),
        "boundary_f_4px_mean": fmean(score.boundary_f_4px for score in scores),
        "hausdorff_95_px_mean": fmean(score.hausdorff_95_px for score in scores),
        "hausdorff_95_px_worst": max(score.hausdorff_95_px for score in scores),
        "openings_found": total(score.opening_counts for score in scores).left_open,
        "calibration_error": total(score.counts for score in scores).calibration_error,
        "edge_calibration_error": total(score.edge_counts for score in scores).calibration_error,
    }
    return {name: round(float(value), 5) for name, value in figures.items()}


def by_car(scores: Sequence[Score]) -> dict[str, dict[str, float]]:
    """A summary for each car, by name."""
    cars = sorted({score.car for score in scores})
    return {car: summary([score for score in scores if score.car == car]) for car in cars}


def by_angle(scores: Sequence[Score]) -> dict[int, dict[str, float]]:
    """A summary for each angle of the turn."""
    angles = sorted({score.angle for score in scores})
    return {angle: summary([s for s in scores if s.angle == angle]) for angle in angles}


def worst(scores: Sequence[Score], count: int) -> list[Score]:
    """The ``count`` scores of the lowest Dice, the worst first."""
    return sorted(scores, key=lambda score: (score.dice, score.pair.image.name))[:count]


def best(figure: str, values: Sequence[float]) -> float | None:
    """The best of several checkpoints' values of one figure of the summary; None where they are
    equal or the figure is a mere count."""
    if figure in ("frames", "cars") or len(set(values)) < 2:
        return None
    less_is_better = figure.startswith("hausdorff") or figure.endswith("calibration_error")
    return min(values) if less_is_better else max(values)
