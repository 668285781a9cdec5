"""How good a segmenter is on labelled pictures, by the same path that a user's photo takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from unet_core.data import Pair, read_pair
from unet_core.metrics import boundary_f, dice, iou
from unet_core.refine import refine
from unet_core.segment import Segmenter


@dataclass(frozen=True)
class Score:
    """One picture's figures at its own full size, each in [0, 1], 1 is best."""

    pair: Pair
    dice: float
    iou: float
    boundary_f_2px: float


def evaluate(
    segmenter: Segmenter, pairs: Sequence[Pair], *, on_score: Callable[[Score], None] | None = None
) -> list[Score]:
    """A score for every pair."""
    scores = []
    for pair in pairs:
        pixels, truth = read_pair(pair)
        mask = refine(segmenter.segment([segmenter.prepare(pixels)])[0], pixels)
        score = Score(
            pair, dice(mask, truth), iou(mask, truth), boundary_f(mask, truth, tolerance_px=2)
        )
        scores.append(score)
        if on_score:
            on_score(score)
    return scores


def summary(scores: Sequence[Score]) -> dict[str, float]:
    """Mean and worst of the scores, rounded to five places, as a card keeps them."""
    dices = [score.dice for score in scores]
    figures = {
        "frames": len(scores),
        "cars": len({score.pair.car for score in scores}),
        "dice_mean": np.mean(dices),
        "dice_worst": np.min(dices),
        "iou_mean": np.mean([score.iou for score in scores]),
        "boundary_f_2px_mean": np.mean([score.boundary_f_2px for score in scores]),
    }
    return {name: round(float(value), 5) for name, value in figures.items()}
