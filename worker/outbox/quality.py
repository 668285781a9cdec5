"""Flags: reasons for a person to look at a frame. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.outbox.manifest import Flag

NOTHING_BELOW_AREA = 0.005
LOW_CONFIDENCE = 0.98


def mask_area(alpha: NDArray[np.uint8]) -> float:
    """Share of the picture that is subject, in [0, 1]; ``alpha`` is (H, W) uint8."""
    return float(alpha.mean(dtype=np.float64)) / 255


def confidence(alpha: NDArray[np.uint8]) -> float:
    """The Dice, in [0, 1], that a mask (H, W) of probabilities · 255 would have on average if
    each pixel were subject with just its probability; 0.0 for an empty mask."""
    histogram = np.bincount(alpha.ravel(), minlength=256)
    probability = np.arange(256) / 255
    taken = probability >= 0.5
    subject = float((histogram * probability).sum())
    chosen = float(histogram[taken].sum())
    agreed = float((histogram * probability)[taken].sum())
    return 2 * agreed / (subject + chosen) if subject + chosen else 0.0


def flags(alpha: NDArray[np.uint8], *, confidence: float) -> list[Flag]:
    """The flags that one finished mask (H, W) uint8 deserves by itself, and by the confidence,
    in [0, 1], of the network that made it."""
    area = mask_area(alpha)
    if area < NOTHING_BELOW_AREA:
        return [
            Flag(
                code="nothing-found",
                value=round(area, 5),
                sentence="No car was found in this frame; look at the photo.",
            )
        ]
    found = []
    if confidence < LOW_CONFIDENCE:
        found.append(
            Flag(
                code="low-confidence",
                value=round(confidence, 4),
                sentence="The network was unsure of this mask; look at its edge.",
            )
        )
    borders = {"left": alpha[:, 0], "right": alpha[:, -1], "top": alpha[0], "bottom": alpha[-1]}
    if touched := [side for side, line in borders.items() if (line >= 128).any()]:
        found.append(
            Flag(
                code="touches-border",
                value=float(len(touched)),
                sentence=f"The car is cut off at the {' and the '.join(touched)} of the picture.",
            )
        )
    return found
