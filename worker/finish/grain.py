"""Grain: the noise of one brightness step that keeps soft gradients from showing bands."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

_SIDE = 256


def grain(height: int, width: int) -> NDArray[np.float32]:
    """Triangular noise (height, width) float32 in (-1, 1), mean 0, in 8-bit steps.

    Always the same, so that finishing a frame twice gives the same bytes. Added before rounding,
    it makes the mean of neighbouring pixels follow the gradient between two steps.
    """
    rows, columns = -(-height // _SIDE), -(-width // _SIDE)
    return _tiles(rows, columns)[:height, :width]


@lru_cache(maxsize=1)  # the photos of a studio are all of one size
def _tiles(rows: int, columns: int) -> NDArray[np.float32]:
    tiles = np.tile(_tile(), (rows, columns))
    tiles.flags.writeable = False
    return tiles


@cache
def _tile() -> NDArray[np.float32]:
    pair = np.random.default_rng(1).random((2, _SIDE, _SIDE), dtype=np.float32)
    return np.asarray(pair[0] - pair[1], dtype=np.float32)
