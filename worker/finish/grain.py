"""Grain: the noise of one brightness step that keeps soft gradients from showing bands."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_TILE = 256


@lru_cache(maxsize=4)
def grain(height: int, width: int) -> NDArray[np.float32]:
    """Triangular noise (height, width) float32 in (-1, 1), mean 0, in 8-bit steps; read-only.

    Always the same, so that finishing a frame twice gives the same bytes. Added before rounding,
    it makes the mean of neighbouring pixels follow the gradient between two steps.
    """
    tile = np.random.default_rng(1).random((2, _TILE, _TILE), dtype=np.float32)
    rows, columns = -(-height // _TILE), -(-width // _TILE)
    noise = np.tile(tile[0] - tile[1], (rows, columns))[:height, :width]
    noise.flags.writeable = False
    return noise
