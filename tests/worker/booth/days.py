"""Shoots of one rendered booth, day after day: each is lit and framed a little otherwise, as in any
booth. Real renders and the real view of them; only grain, light and framing are drawn anew."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.parts import manifest_with, row_of
from unet_core.booth import Booth
from worker.booth.view import ShootView, booth_view, shoot_view
from worker.outbox.manifest import MANIFEST, FrameRow, Manifest
from worker.shoots import Source

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Change = Callable[[Floats], Floats]
"""Of a photo (H, W, 3), its light in [0, 1]."""
SIZE = WIDTH, HEIGHT = 288, 192
ANGLES = 1, 4, 7, 12
GAMMA = 2.2


@cache
def frames() -> list[tuple[Floats, Pixels]]:
    """Light (H, W, 3) in [0, 1] and mask (H, W) of four angles of a turn, before a wall with a door
    and a switch: a bare one would not tell a camera that moved."""
    booth = Booth(seed=3, width=WIDTH, height=HEIGHT, samples=4, noise=0)
    found = []
    for angle in ANGLES:
        frame = booth.render(angle)
        wall = np.ones((HEIGHT, WIDTH, 1))
        wall[15:95, 20:60], wall[50:62, 230:245] = 0.7, 0.6
        share = frame.alpha[..., None] / 255
        light = (frame.image / 255) ** GAMMA
        found.append((light * (share + (1 - share) * wall), frame.alpha))
    return found


def photos(
    number: int, change: Change | None = None, moved: Floats | None = None
) -> Iterator[tuple[int, Pixels, Pixels]]:
    """Angle, photo and mask of shoot ``number``; ``moved`` is a (2, 3) transformation of them."""
    rng = np.random.default_rng(number)
    gain, drift = rng.normal(1, 0.005), rng.normal(0, 0.0003 * WIDTH, 2)
    place = np.eye(2, 3) if moved is None else moved.copy()
    place[:, 2] += drift
    for angle, (light, alpha) in zip(ANGLES, frames(), strict=True):
        framed = cv2.warpAffine(light * gain, place, SIZE, borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpAffine(alpha, place, SIZE)
        encoded = np.clip(framed if change is None else change(framed), 0, 1) ** (1 / GAMMA)
        noisy = 255 * encoded + rng.normal(0, 1.0, encoded.shape)
        yield angle, np.uint8(np.clip(np.rint(noisy), 0, 255)), np.asarray(mask)


def manifest(number: int, change: Change | None = None, moved: Floats | None = None) -> Manifest:
    """Shoot ``number``, made from those photos."""
    rows = [row(number, *photo) for photo in photos(number, change, moved)]
    return manifest_with(f"car-{number:03}", rows)


def row(number: int, angle: int, pixels: Pixels, mask: Pixels) -> FrameRow:
    source = Source(f"car-{number:03}/{angle:02}.jpg", 1, number)
    return row_of(
        source, f"{angle:02}", booth=booth_view(pixels, mask), box=(1, 1, 2, 2), width=WIDTH,
        height=HEIGHT,
    )  # fmt: skip


def views(
    first: int, last: int, change: Change | None = None, moved: Floats | None = None
) -> list[ShootView]:
    """What shoots ``first`` to ``last`` show of the booth."""
    found = [shoot_view(manifest(number, change, moved)) for number in range(first, last + 1)]
    assert all(found)
    return [view for view in found if view]


def publish(outbox: Path, shoots: list[Manifest], *, first: int) -> None:
    """Shoots in the outbox, the first of them published at second ``first``."""
    for number, shoot in enumerate(shoots, start=first):
        folder = outbox / shoot.shoot
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_text(shoot.model_dump_json())
        os.utime(folder / MANIFEST, (number, number))


def redder(light: Floats) -> Floats:
    """A white balance that has drifted."""
    return light * np.array([1.05, 1, 1])
