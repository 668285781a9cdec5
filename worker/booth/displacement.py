"""How a view lies on another one: moved, larger, turned.

Lucas and Kanade's way (1981): brightness that differs along edges tells how far they have moved,
to a small part of a pixel. Only edges count: a lamp that went dim changes wide surfaces.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_SOFT, _WIDE = 1.0, 3.0
"""Cells: an edge is what is left between these two blurs. What moves by less than an edge is wide
can be measured."""
_PRIOR = 0.25
"""Cells are off by a hundredth in any case, and a camera is by two hundredths of the width: so a
bare wall, which could lie anywhere, lies where it lay."""
_ROUNDS, _REWEIGHTS = 4, 2
_EDGE = 0.06
"""Change of brightness from cell to cell, as a logarithm, from which a cell lies at an edge."""
_FARTHEST = 0.2
"""Of the width: beyond that it is another picture, and the search is given up."""


@dataclass(frozen=True)
class Displacement:
    """Where a view's picture lies; lengths as parts of the picture's width."""

    right: float
    down: float
    larger: float
    """How much larger the picture is: 0.01 is a hundredth."""
    turned: float
    """Clockwise, radians."""


class Ground:
    """A view that others are held against; what is told of it is computed once."""

    def __init__(self, grey: Floats) -> None:
        """``grey`` is (h, w) logarithms, NaN where nothing is known."""
        self._seen = _inner(np.isfinite(grey))
        self._grey = _edges(grey)
        height, width = grey.shape
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        self._columns, self._rows = columns, rows
        self._x = (columns - (width - 1) / 2) / width
        self._y = (rows - (height - 1) / 2) / width
        across = cv2.Sobel(self._grey, cv2.CV_32F, 1, 0, scale=width / 8)
        along = cv2.Sobel(self._grey, cv2.CV_32F, 0, 1, scale=width / 8)
        terms = [across, along, across * self._x + along * self._y]
        terms += [along * self._x - across * self._y]
        self._terms = np.stack(terms, axis=-1)
        self.edges = np.hypot(across, along) > _EDGE * width
        """(h, w): where brightness changes so much from cell to cell that what lies there tells of
        movement, and not of light."""

    def displacement(self, grey: Floats) -> Displacement:
        """How ``grey`` (h, w), of the same kind, lies on this view."""
        seen = self._seen & _inner(np.isfinite(grey))
        terms, edges = self._terms[seen], _edges(grey)
        place = np.zeros(4)
        for _ in range(_ROUNDS):
            off = (self._moved(edges, place) - self._grey)[seen]
            there = np.isfinite(off)
            place -= _least(terms[there], off[there])
            if np.abs(place).max() > _FARTHEST:
                break
        return Displacement(*(float(part) for part in place))

    def aligned(self, values: Floats, place: Displacement) -> Floats:
        """``values`` (h, w, …) moved to where they lie in this view; NaN where nothing is known."""
        parts = np.array([place.right, place.down, place.larger, place.turned])
        return self._moved(values, parts)

    def _moved(self, values: Floats, place: NDArray[np.float64]) -> Floats:
        right, down, larger, turned = (np.float32(part) for part in place)
        width = np.float32(values.shape[1])
        across = self._columns + width * (right + larger * self._x - turned * self._y)
        along = self._rows + width * (down + larger * self._y + turned * self._x)
        moved = cv2.remap(values, across, along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        height = np.float32(values.shape[0])
        outside = (across < 0) | (across > width - 1) | (along < 0) | (along > height - 1)
        moved[outside] = np.nan
        return np.asarray(moved, np.float32)


def _least(terms: Floats, off: Floats) -> NDArray[np.float64]:
    """What the terms (N, P) must be multiplied with to explain ``off`` (N,), as far as most cells
    agree: a car's shadow is no movement."""
    if not len(off):
        return np.zeros(terms.shape[1])
    weights = np.ones_like(off)
    found = np.zeros(terms.shape[1], np.float64)
    for _ in range(_REWEIGHTS + 1):
        weighted = terms * weights[:, None]
        square = (weighted.T @ terms).astype(np.float64)
        square += _PRIOR * np.eye(len(square))
        found = np.asarray(np.linalg.solve(square, weighted.T @ off), np.float64)
        rest = off - terms @ found
        width = 3 * float(np.median(np.abs(rest))) + 1e-4
        weights = (1 / (1 + np.square(rest / width))).astype(np.float32)
    return found


def _inner(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells whose neighbours are known, too."""
    around = np.ones((3, 3), np.uint8)
    inner = cv2.erode(seen.view(np.uint8), around, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(inner, np.bool_)


def _edges(grey: Floats) -> Floats:
    """``grey`` (h, w) without its wide surfaces; 0 where nothing is known."""
    known = np.isfinite(grey).astype(np.float32)
    values = np.nan_to_num(grey)
    soft, wide = (
        cv2.GaussianBlur(values, (0, 0), sigma)
        / np.maximum(cv2.GaussianBlur(known, (0, 0), sigma), 1e-6)
        for sigma in (_SOFT, _WIDE)
    )
    return np.asarray(known * (soft - wide), np.float32)
