"""Flags of frames that are odd among the others of their turn. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from worker.outbox.manifest import Flag, FrameRow
from worker.outbox.turntable import (
    AREA,
    GROUND,
    MOST_ODD,
    ODD_COST,
    STRENGTHS,
    WIDTH,
    Bools,
    Figure,
    Floats,
    covariance,
    expected,
    odd_ones,
    phase_of,
    places_in_turn,
    surprise,
)

_SAME_ASPECT = 0.01
_STRONG_COST = 15.0
"""What it costs to double the perspective, in -2 log likelihood."""

Code = Literal["odd-area", "odd-width", "odd-ground"]


def with_turn_flags(rows: Sequence[FrameRow], *, full_turn: int) -> list[FrameRow]:
    """``rows`` of one shoot, each with the flags that it deserves among the others."""
    found = flags_of_turn(rows, full_turn=full_turn)
    own = {
        row.name: [flag for flag in row.flags if flag.code not in get_args(Code)] for row in rows
    }
    return [
        row.model_copy(update={"flags": own[row.name] + found.get(row.name, [])}) for row in rows
    ]


def flags_of_turn(rows: Sequence[FrameRow], *, full_turn: int) -> dict[str, list[Flag]]:
    """The flags of frames that are odd among the others, by name of the frame.

    ``full_turn`` is how many frames make a turn; where the angles can be read in two ways, both
    must find a frame odd. Frames without a car, or of another aspect than
    the most, are not judged. Nothing is said where the angles are no regular turn, or so many
    frames are odd that it is none.
    """
    seen = [row for row in rows if row.box and row.mask_area and row.width and row.height]
    sizes = [(row.width or 1, row.height or 1) for row in seen]
    usual = Counter(sizes).most_common(1)[0][0] if sizes else (1, 1)
    judged = [row for row, size in zip(seen, sizes, strict=True) if _same_aspect(size, usual)]
    readings = [
        _flags_at(judged, usual, places)
        for places in places_in_turn([row.angle for row in judged], full_turn)
    ]
    if not readings:
        return {}
    first, *others = readings
    agreed = {
        name: [
            flag
            for flag in flags
            if all(flag.code in {one.code for one in other.get(name, [])} for other in others)
        ]
        for name, flags in first.items()
    }
    return {name: flags for name, flags in agreed.items() if flags}


def _flags_at(
    judged: list[FrameRow], usual: tuple[int, int], places: Floats
) -> dict[str, list[Flag]]:
    """The flags of frames that are odd where they stand ``places`` (N,) in their turn."""
    finer = usual[0] / np.array([row.width for row in judged])
    height, figures = _figures(judged, finer)
    phase, found = phase_of(figures["odd-width"][1], places), defaultdict(list)
    for code, (figure, values) in figures.items():
        odd, means = _judged(figure, values, places, phase)
        for one in np.flatnonzero(odd):
            off = values[one] - means[one]
            value = off * height / finer[one] if code == "odd-ground" else off / means[one]
            found[judged[one].name].append(_odd(code, float(value)))
    return dict(found) if len(found) <= MOST_ODD * len(judged) else {}


def _figures(
    rows: Sequence[FrameRow], finer: Floats
) -> tuple[float, dict[Code, tuple[Figure, Floats]]]:
    """The car's height in px of the usual size, and what is judged, (N,) each; photos are
    ``finer`` (N,) times smaller than usual."""
    boxes = finer[:, None] * np.array([row.box for row in rows], np.float64)
    area = np.array([row.mask_area for row in rows], np.float64)
    width, ground = boxes[:, 2] - boxes[:, 0], boxes[:, 3]
    height = float(np.median(boxes[:, 3] - boxes[:, 1]))
    return height, {
        "odd-area": (AREA, area / np.median(area)),
        "odd-width": (WIDTH, width / np.median(width)),
        "odd-ground": (GROUND, (ground - np.median(ground)) / height),
    }


def _same_aspect(size: tuple[int, int], usual: tuple[int, int]) -> bool:
    return abs(size[0] * usual[1] / (size[1] * usual[0]) - 1) < _SAME_ASPECT


def _judged(figure: Figure, values: Floats, places: Floats, phase: float) -> tuple[Bools, Floats]:
    """Which values are odd, and what the others let expect, (N,) each: by the perspective that
    leaves the least to wonder about."""
    tried = []
    for strength in STRENGTHS:
        spread = covariance(figure, places, phase, strength=strength)
        odd = odd_ones(values, spread)
        cost = surprise(values[~odd], spread[np.ix_(~odd, ~odd)]) + ODD_COST * float(odd.sum())
        cost += _STRONG_COST * float(np.log2(strength))
        tried.append((cost, odd, spread))
    _, odd, spread = min(tried, key=lambda one: one[0])
    return odd, expected(values, spread, ~odd)[0]


def _odd(code: Code, value: float) -> Flag:
    if code == "odd-ground":
        where = "lower" if value > 0 else "higher"
        sentence = (
            f"The tyres stand {abs(value):.0f} px {where} than the other angles let expect; "
            "look at the tyres and at the floor below them."
        )
        return Flag(code=code, value=round(value, 1), sentence=sentence)
    kind = {
        "odd-area": ("covers", "more", "less"),
        "odd-width": ("is", "wider", "narrower"),
    }
    verb, more, less = kind[code]
    look = (
        "look for wall or floor that was taken for car"
        if value > 0
        else "look for a part of the car that is missing"
    )
    sentence = (
        f"The car {verb} {abs(value):.0%} {more if value > 0 else less} than the other angles "
        f"let expect; {look}."
    )
    return Flag(code=code, value=round(value, 4), sentence=sentence)
