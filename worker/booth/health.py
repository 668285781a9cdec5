"""Whether a booth is as it was: its latest shoots held against those before. Pure.

A change is told when the latest shoots all lie far outside of what this booth's shoots usually
differ by. So a booth whose camera is set up anew for each car is not told that it moved, and one
in which nothing ever changes is told of little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import expm1

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.booth.displacement import Displacement, Ground
from worker.booth.finding import LATEST, PAST, Finding
from worker.booth.view import Floats, ShootView, median

AT_ONCE = 3.0
"""So many times the limit, and two shoots are enough."""
USUAL = 5.0
"""Standard deviations of the shoots before within which a booth is as it was."""
MOVED, _STEADY = 0.004, 0.0008
"""Parts of the picture's width: the least movement that is told, and the least deviation that a
booth is credited with."""
BRIGHTER, _EVEN = 0.03, 0.006
"""Likewise for brightness: logarithms of encoded values; 0.03 is about 7 % of the light."""
TINTED, _NEUTRAL = 0.012, 0.002
DIMMED, _CALM = 0.04, 0.006
STAINED, _CLEAN = 0.03, 0.005
COMPARABLE = 0.02
"""Parts of the width, a cell: a view that lies farther off is not compared cell by cell."""
LAMP_CELLS, STAIN_CELLS = 0.02, 3
"""Part of the picture that a lamp lights, and cells that a stain covers, at least."""
_WIDE, _AROUND = 7, 13
"""Cells over which a lamp's light, and the wall around a stain, are averaged."""
GAMMA = 2.2
"""Of the encoding, roughly: what a share of the encoded value is of the light."""
_RADIUS = 0.35
"""Of the picture, in its widths: how far a cell is from the middle, on average."""


@dataclass(frozen=True)
class _Measured:
    """One shoot held against the usual view."""

    place: Displacement
    light: float
    red: float
    blue: float
    local: Floats
    """(h, w): how much brighter each cell is than the shoot as a whole, as a logarithm; NaN where
    that cannot be told."""


def judge(views: Sequence[ShootView]) -> list[Finding]:
    """What changed in the booth, by its shoots in the order in which they were taken; nothing as
    long as there are fewer than ``PAST + LATEST``, or none of the same shape."""
    views = [view for view in views if view.logs.shape == views[-1].logs.shape] if views else []
    if len(views) < PAST + LATEST:
        return []
    usual = median(np.stack([view.logs for view in views[:-LATEST]]))
    ground = Ground(usual.mean(axis=2))
    measured = [_measure(view, usual, ground) for view in views]
    names = [view.shoot for view in views]
    found = [*_camera(measured, names, views[-1].width_px), *_light(measured, names)]
    if not any(one.kind == "camera-moved" for one in found):  # else nothing lies where it lay
        found += _places(measured, names)
    return found


def _measure(view: ShootView, usual: Floats, ground: Ground) -> _Measured:
    place = ground.displacement(view.logs.mean(axis=2))
    off = ground.aligned(view.logs, place) - usual
    grey = off.mean(axis=2)
    light = float(median(grey.ravel()))
    red, green, blue = (off[..., channel] for channel in range(3))
    grey[ground.edges if _distance(place) < COMPARABLE else slice(None)] = np.nan
    return _Measured(
        place,
        light,
        float(median((red - green).ravel())),
        float(median((blue - green).ravel())),
        grey - np.float32(light),
    )


def _distance(place: Displacement) -> float:
    """How far cells lie off, on average, in parts of the picture's width."""
    off = np.hypot(place.right, place.down) + _RADIUS * np.hypot(place.larger, place.turned)
    return float(off)


def _camera(
    measured: Sequence[_Measured], names: Sequence[str], width_px: int
) -> Iterator[Finding]:
    places = [each.place for each in measured]
    parts = np.array(
        [[p.right, p.down, _RADIUS * p.larger, _RADIUS * p.turned] for p in places], np.float32
    )
    off, count = _change(parts, least=MOVED, floor=_STEADY)
    if not count.any():
        return
    right, down, larger, turned = off
    words = [
        f"{abs(right) * width_px:.0f} px to the {'right' if right > 0 else 'left'}",
        f"{abs(down) * width_px:.0f} px {'lower' if down > 0 else 'higher'}",
        f"{abs(larger) / _RADIUS:.1%} {'larger' if larger > 0 else 'smaller'}",
        f"turned by {abs(np.degrees(turned) / _RADIUS):.1f}°",
    ]
    told = ", ".join(word for word, lasted in zip(words, count, strict=True) if lasted)
    since = names[-int(count.max())]
    yield Finding(
        "camera-moved",
        round(_distance(Displacement(right, down, larger / _RADIUS, turned / _RADIUS)), 4),
        f"The camera moved: what it sees of the booth is {told} since {since}. See that tripod and "
        "zoom are fixed",
        since,
    )


def _light(measured: Sequence[_Measured], names: Sequence[str]) -> Iterator[Finding]:
    light = np.array([[each.light] for each in measured], np.float32)
    (off,), (count,) = _change(light, least=BRIGHTER, floor=_EVEN)
    if count:
        share = expm1(GAMMA * float(off))
        since = names[-count]
        yield Finding(
            "light-level",
            round(share, 3),
            f"The booth is {abs(share):.0%} {'brighter' if share > 0 else 'darker'} since {since}. "
            "See whether a lamp is out, and whether exposure and aperture are as they were",
            since,
        )
    tint = np.array([[each.red, each.blue] for each in measured], np.float32)
    off, count = _change(tint, least=TINTED, floor=_NEUTRAL)
    if count.any():
        worst = int(np.argmax(np.abs(off) * (count > 0)))
        share = expm1(GAMMA * float(off[worst]))
        since = names[-int(count.max())]
        yield Finding(
            "white-balance",
            round(share, 3),
            f"The booth has {abs(share):.0%} {'more' if share > 0 else 'less'} "
            f"{('red', 'blue')[worst]} beside green since {since}. See that the camera's white "
            "balance is fixed, and whether a lamp has another colour",
            since,
        )


def _places(measured: Sequence[_Measured], names: Sequence[str]) -> Iterator[Finding]:
    local = np.stack([each.local for each in measured])
    wide = np.stack([_mean(each, _WIDE) for each in local])
    off, count = _change(wide, least=DIMMED, floor=_CALM)
    dim = (count > 0) & (off < 0)
    if dim.mean() >= LAMP_CELLS:
        share = expm1(GAMMA * float(np.percentile(off[dim], 10)))
        since = names[-int(count[dim].max())]
        yield Finding(
            "lamp",
            round(share, 3),
            f"The booth is {-share:.0%} darker {_where(dim)} than elsewhere since {since}. See "
            "whether a lamp there is out, dimmed or turned away",
            since,
        )
    small = np.stack([_mean(each, 3) - _mean(each, _AROUND) for each in local])
    off, count = _change(small, least=STAINED, floor=_CLEAN)
    stain = (count > 0) & ~_near(dim)
    if stain.sum() >= STAIN_CELLS:
        share = expm1(GAMMA * float(off[stain][np.abs(off[stain]).argmax()]))
        since = names[-int(count[stain].max())]
        yield Finding(
            "stain",
            round(share, 3),
            f"There is a spot {_where(stain)}, {abs(share):.0%} "
            f"{'brighter' if share > 0 else 'darker'} than around it, since {since}. See whether "
            "floor, wall or lens is dirty",
            since,
        )


def _change(values: Floats, *, least: float, floor: float) -> tuple[Floats, NDArray[np.int_]]:
    """``values`` (N, …) of N shoots: how far the latest ones are off the others, and for how many
    of the latest shoots that has lasted; 0 where it is no change, or not for long enough."""
    past = values[:-LATEST]
    usual = median(past)
    spread = np.maximum(1.4826 * median(np.abs(past - usual)), np.float32(floor))
    limit = np.maximum(np.float32(least), USUAL * spread)
    off = values - usual
    latest = median(off[-LATEST:])
    same = off * np.sign(latest) > limit  # NaN is not
    lasted = np.cumprod(same[::-1], axis=0).sum(axis=0)
    sudden = (lasted >= 2) & (np.abs(off[-2:]).min(axis=0) > AT_ONCE * limit)
    enough = np.isfinite(past).sum(axis=0) >= PAST
    return latest, np.where(((lasted >= LATEST) | sudden) & enough, lasted, 0)


def _mean(values: Floats, cells: int) -> Floats:
    """Means of what is known among ``cells`` × ``cells`` (h, w); NaN where a cell is not known."""
    known = np.isfinite(values).astype(np.float32)
    sums, counts = (
        cv2.blur(part, (cells, cells), borderType=cv2.BORDER_CONSTANT)
        for part in (np.nan_to_num(values), known)
    )
    return np.where(known > 0, sums / np.maximum(counts, 1e-6), np.nan).astype(np.float32)


def _near(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    around = np.ones((_AROUND, _AROUND), np.uint8)
    return np.asarray(cv2.dilate(cells.view(np.uint8), around), np.bool_)


def _where(cells: NDArray[np.bool_]) -> str:
    """Where in the picture most of the cells lie, in words."""
    rows, columns = np.nonzero(cells)
    height, width = cells.shape
    down, right = float(np.median(rows)) / height, float(np.median(columns)) / width
    vertical = "at the top" if down < 1 / 3 else "at the bottom" if down > 2 / 3 else ""
    side = "on the left" if right < 1 / 3 else "on the right" if right > 2 / 3 else ""
    return " ".join(filter(None, (vertical, side))) or "in the middle"
