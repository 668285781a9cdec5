"""What a photo shows of the booth: a very small picture, black where the car hides it.

It is kept in the frame's row of the manifest, so that the outbox is all the memory that is needed.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.outbox.manifest import Manifest

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

SIDE = 48
"""Cells along the longer side: a camera that moved by a hundredth of it has moved half a cell."""
SAMPLES = 6
"""Pixels, across and down, that a cell is the mean of: enough to average grain away."""
DARKEST = 4
"""8-bit steps below which a cell's brightness tells nothing. Darker than that, it is 0: hidden."""
FEWEST_FRAMES = 4
"""Of a shoot: in fewer the car hides too much."""
STANDS = 0.1
"""Spread of a cell's brightness over the turn, as a logarithm, up to which camera and booth stand
still and only the car turns."""


@dataclass(frozen=True)
class ShootView:
    """The empty booth as one shoot saw it."""

    shoot: str
    taken_ns: int
    """When its latest photo was written."""
    logs: Floats
    """(h, w, 3) natural logarithms of the sRGB-encoded values, 1 to 255; NaN where the car hid the
    booth in most frames."""
    width_px: int
    """Of the photos."""


def booth_view(pixels: Pixels, alpha: Pixels) -> str:
    """The booth in one photo (H, W, 3) uint8 RGB, seen around its mask (H, W) uint8: a PNG, at most
    ``SIDE`` pixels long, in base64. Black is what the car hides or is near to."""
    height, width = alpha.shape
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    step = max(1, int(1 / (scale * SAMPLES)))
    small = cv2.resize(pixels[::step, ::step], size, interpolation=cv2.INTER_AREA)
    car = cv2.resize(alpha[::step, ::step], size, interpolation=cv2.INTER_AREA)
    hidden = cv2.dilate(car, np.ones((3, 3), np.uint8)) > 0
    small = np.maximum(small, DARKEST)
    small[hidden] = 0
    done, data = cv2.imencode(".png", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
    assert done  # there is no picture that PNG cannot hold
    return base64.b64encode(data.tobytes()).decode("ascii")


def read_view(text: str) -> Pixels | None:
    """The picture (h, w, 3) uint8 RGB in a row; ``None`` where it is none of ours: people can write
    to the outbox, and a PNG may claim any size."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    sides = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not all(1 <= side <= SIDE for side in sides):
        return None
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return None if found is None else np.asarray(found, np.uint8)


def shoot_view(manifest: Manifest) -> ShootView | None:
    """What the frames of a shoot show of the booth, put together; ``None`` where that is too little
    to tell, or the camera went around the car instead of the car before the camera."""
    rows = [row for row in manifest.frames if row.booth and row.box and not row.error]
    seen = [(row, view) for row in rows if (view := read_view(row.booth or "")) is not None]
    shapes = Counter(view.shape for _, view in seen)
    usual = shapes.most_common(1)[0][0] if shapes else ()
    kept = [(row, view) for row, view in seen if view.shape == usual]
    if len(kept) < FEWEST_FRAMES:
        return None
    logs = _logs([view for _, view in kept])
    middle = median(logs)
    grey = logs.mean(axis=3)
    spread = median(np.abs(grey - middle.mean(axis=2)))
    if not median(spread.ravel()) <= STANDS:  # NaN is none either
        return None
    middle[np.isfinite(grey).mean(axis=0) < 0.25] = np.nan
    return ShootView(
        manifest.shoot, max(row.source.mtime_ns for row in rows), middle, kept[0][0].width or 1
    )


def _logs(views: Sequence[Pixels]) -> Floats:
    stack = np.stack(views).astype(np.float32)
    stack[(stack == 0).all(axis=3)] = np.nan
    return np.log(np.maximum(stack, 1))


def median(values: Floats) -> Floats:
    """Over the first axis, NaN left out; NaN where nothing is left. numpy's own takes 20 times as
    long."""
    ordered = np.sort(values, axis=0)  # NaN comes last
    count = np.isfinite(ordered).sum(axis=0)
    middle = [np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(values) - 1)]
    low, high = (np.take_along_axis(ordered, place[None], axis=0)[0] for place in middle)
    return np.asarray((low + high) / 2, np.float32)
