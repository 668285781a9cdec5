"""Flags of a frame that does not fit into its turn. Pure.

On a turntable a car's outline changes smoothly from angle to angle, and from the other side it is
about its own mirror image. A frame whose area, width or ground line fits neither its neighbours nor
its opposite is odd. None of 88 real cars, of 16 angles each with hand-made masks, shows as much as
the limits; so they find what is grossly wrong, and leave many smaller faults alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.outbox.manifest import Flag, FrameRow

FEWEST = 8
"""Frames below which nothing is expected of a turn."""
LIMITS = {"odd-area": 0.18, "odd-width": 0.15, "odd-ground": 0.08}
"""In parts of the median area and width, and of the car's height."""
SENTENCES = {
    "odd-area": "The car is {much} {larger} in area than the frames beside it let expect; "
    "look for wall taken for car, or a missing part.",
    "odd-width": "The car is {much} {wider} than the frames beside it let expect; "
    "look at its left and right end.",
    "odd-ground": "The car stands {much} of its height {lower} than in the frames beside it; "
    "look at the tyres, and whether the camera was moved.",
}
_WORDS = {"larger": "smaller", "wider": "narrower", "lower": "higher"}

Floats = NDArray[np.float64]


def flags_of_turn(rows: Sequence[FrameRow]) -> dict[str, list[Flag]]:
    """The flags by name of the frame; none where the frames are no whole, even turn of one size.

    Only the oddest of frames that lie close together is flagged: it makes its neighbours look odd.
    """
    rows = sorted(rows, key=lambda row: row.angle)
    if not _is_turn(rows):
        return {}
    box = np.array([row.box for row in rows], np.float64)  # (N, 4): left, top, right, bottom
    width, height = box[:, 2] - box[:, 0], np.median(box[:, 3] - box[:, 1])
    area = np.array([row.mask_area for row in rows], np.float64)
    figures = {
        "odd-area": area / np.median(area),
        "odd-width": width / np.median(width),
        "odd-ground": box[:, 3] / height,
    }
    found: dict[str, list[Flag]] = {}
    for code, figure in figures.items():
        for place, off in _odd(figure, LIMITS[code]):
            found.setdefault(rows[place].name, []).append(_flag(code, off))
    return found


def with_turn_flags(rows: Sequence[FrameRow]) -> list[FrameRow]:
    """``rows`` of one shoot, each with the flags that it deserves among the others."""
    found = flags_of_turn(rows)
    own = {row.name: [flag for flag in row.flags if flag.code not in LIMITS] for row in rows}
    return [
        row.model_copy(update={"flags": own[row.name] + found.get(row.name, [])}) for row in rows
    ]


def _is_turn(rows: Sequence[FrameRow]) -> bool:
    angles = [row.angle for row in rows]
    return (
        len(rows) >= FEWEST
        and len(rows) % 2 == 0
        and angles == list(range(angles[0], angles[0] + len(rows)))
        and len({(row.width, row.height) for row in rows}) == 1
        and all(row.box and row.mask_area for row in rows)
    )


def _odd(figure: Floats, limit: float) -> list[tuple[int, float]]:
    """Places in the turn whose figure (N,) fits nothing, each with how far it is off."""
    one = np.roll(figure, 1) + np.roll(figure, -1)
    two = np.roll(figure, 2) + np.roll(figure, -2)
    opposite = np.roll(figure, figure.size // 2)
    expected = np.stack([one / 2, (4 * one - two) / 6, opposite])  # (3, N)
    off = figure - expected
    least = off[np.abs(off).argmin(axis=0), np.arange(figure.size)]
    size = np.abs(least)
    return [
        (int(place), float(least[place]))
        for place in np.flatnonzero(size > limit)
        if size[place] >= max(size[(place + step) % size.size] for step in (-2, -1, 1, 2))
    ]


def _flag(code: str, off: float) -> Flag:
    words = {word: word if off > 0 else other for word, other in _WORDS.items()}
    sentence = SENTENCES[code].format(much=f"{abs(off):.0%}", **words)
    return Flag(code=code, value=round(off, 3), sentence=sentence)
