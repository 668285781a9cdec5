"""Whether the same car gives the same mask when the photo is turned, resized, relit or saved anew.

    plain photo ─ change ─▶ changed photo ─ cut ─▶ its mask ─ back ─▶ mask of the plain photo's size
         └───────────────────── cut ─▶ plain mask ──────── compared ────────┘

The changed mask is mapped back and compared with the plain one where the changed photo shows what
the plain one shows. A method that knows only the pixels under it scores 1 but for resampling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_core.changes import CHANGES, Change, Changed, unmoved
from unet_core.metrics import boundary_f, dice

Picture = NDArray[np.uint8]
Cut = Callable[[Picture], Picture]
"""(H, W, 3) uint8 sRGB → its mask (H, W) uint8, 255 = subject."""

PLAIN = "plain"


@dataclass(frozen=True)
class Result:
    """How one change moved the mask of one frame; figures in [0, 1], 1 is best."""

    frame: str
    change: str
    dice: float
    """Against the plain photo's mask."""
    boundary_f_4px: float
    """Against the plain photo's outline; 4 px at its full size."""
    dice_truth: float | None
    """Against the truth, where there is one."""


def try_changes(
    cut: Cut,
    pixels: Picture,
    *,
    frame: str,
    truth: Picture | None = None,
    changes: Mapping[str, Change] = CHANGES,
    show: Callable[[Result, Picture, Picture], None] = lambda result, pixels, mask: None,
) -> list[Result]:
    """The plain photo (H, W, 3) uint8 sRGB first, then each of ``changes``.

    ``truth`` is (H, W) uint8, 255 = subject. ``show`` gets each result with the changed photo and
    its mask, before that is mapped back.
    """
    plain = cut(pixels)
    chosen = {PLAIN: unmoved, **changes}
    results = []
    for name, change in chosen.items():
        changed = change(pixels)
        mask = plain if name == PLAIN else cut(changed.pixels)
        back, reference = _compared(changed.back(mask), changed), _compared(plain, changed)
        result = Result(
            frame,
            name,
            dice(back, reference),
            boundary_f(back, reference, tolerance_px=4),
            None if truth is None else dice(back, _compared(truth, changed)),
        )
        results.append(result)
        show(result, changed.pixels, mask)
    return results


@dataclass(frozen=True)
class Row:
    """One change over all frames."""

    change: str
    frames: int
    dice_mean: float
    dice_worst: float
    worst_frame: str
    boundary_f_4px_mean: float
    dice_truth_mean: float | None
    """``None`` unless each frame has a truth."""


def by_change(results: Sequence[Result]) -> list[Row]:
    """A row a change, in the order in which they were tried."""
    rows = []
    for change in dict.fromkeys(result.change for result in results):
        found = [result for result in results if result.change == change]
        worst = min(found, key=lambda result: result.dice)
        truths = [result.dice_truth for result in found if result.dice_truth is not None]
        rows.append(
            Row(
                change,
                len(found),
                float(np.mean([result.dice for result in found])),
                worst.dice,
                worst.frame,
                float(np.mean([result.boundary_f_4px for result in found])),
                float(np.mean(truths)) if len(truths) == len(found) else None,
            )
        )
    return rows


def _compared(mask: Picture, changed: Changed) -> Picture:
    """The part of a plain-size mask that both photos show; cut to it where it is a window, so
    that the window's frame is no outline."""
    left, top, width, height = cv2.boundingRect(changed.valid.astype(np.uint8))
    inside = np.where(changed.valid, mask, np.uint8(0))
    return inside[top : top + height, left : left + width]
