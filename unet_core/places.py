"""Where on a car's outline a mask is worth a look: its ends, and where the outline turns most.

Antennas, mirrors, wheels and the roof line are found by shape alone; nothing knows what they are.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Points = NDArray[np.int64]

_ARM_PX = 12
"""How far along the outline its direction is compared, to either side of a point."""


def places(mask: Picture, *, turns: int = 3, apart_px: int = 160) -> dict[str, tuple[int, int]]:
    """(x, y) by name, on the outline of the largest piece of ``mask`` (H, W) uint8, 128 and more
    = subject: topmost, leftmost and rightmost, lowest on the left and on the right, and at most
    ``turns`` where the outline turns sharpest, ``apart_px`` from all others. Empty masks have none.
    """
    line = _longest_outline(mask)
    if not line.size:
        return {}
    x, y = line.T
    middle = (int(x.min()) + int(x.max())) / 2
    ends: dict[str, Callable[[], np.intp]] = {
        "top": lambda: y.argmin(),
        "left": lambda: x.argmin(),
        "right": lambda: x.argmax(),
        "low left": lambda: np.where(x <= middle, y, -1).argmax(),
        "low right": lambda: np.where(x >= middle, y, -1).argmax(),
    }
    found = {name: line[find()] for name, find in ends.items()}
    sharpness = _sharpness(line)
    for number in range(1, turns + 1):
        for taken in found.values():
            sharpness[np.hypot(*(line - taken).T) < apart_px] = -1
        if sharpness.max() <= 0:
            break
        found[f"turn {number}"] = line[sharpness.argmax()]
    return {name: (int(point[0]), int(point[1])) for name, point in found.items()}


def window(
    place: tuple[int, int], shape: tuple[int, int], *, size: tuple[int, int]
) -> tuple[slice, slice]:
    """Rows and columns of a piece of a picture (H, W): ``size`` (h, w) around ``place`` (x, y),
    moved so that it lies inside; all of a side that is shorter than its size."""
    starts = (
        max(0, min(middle - length // 2, whole - length))
        for middle, length, whole in zip(place[::-1], size, shape, strict=True)
    )
    rows, columns = (
        slice(start, start + length) for start, length in zip(starts, size, strict=True)
    )
    return rows, columns


def _longest_outline(mask: Picture) -> Points:
    """(N, 2) x, y along the outer outline of the piece with the longest one."""
    subject = cv2.inRange(mask, 128, 255)
    lines, _ = cv2.findContours(subject, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    longest = max(lines, key=len, default=np.zeros((0, 1, 2)))
    return np.asarray(longest, np.int64).reshape(-1, 2)


def _sharpness(line: Points) -> NDArray[np.float64]:
    """(N,) in [0, 2] for a closed line: 0 where it runs straight on, 2 where it turns back."""
    before, after = (line - np.roll(line, step, axis=0) for step in (_ARM_PX, -_ARM_PX))
    lengths = np.maximum(np.hypot(*before.T) * np.hypot(*after.T), 1)
    turned: NDArray[np.float64] = 1 + (before * after).sum(axis=1) / lengths
    return turned
