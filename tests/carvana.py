"""A small labelled folder in the Carvana layout for tests: bright discs on dark walls."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]


def disc(height: int, width: int, *, centre: tuple[float, float], radius: float) -> Picture:
    """(H, W) uint8: 255 within ``radius`` px of ``centre`` (y, x), soft over one pixel."""
    y, x = np.mgrid[0:height, 0:width]
    distance = np.hypot(y - centre[0], x - centre[1])
    return np.uint8(np.round(255 * np.clip(radius + 0.5 - distance, 0, 1)))


def picture_of(mask: Picture, *, seed: int = 0) -> Picture:
    """(H, W, 3) uint8: what ``mask`` marks is bright, the rest dark, with a little noise."""
    noise = np.random.default_rng(seed).integers(0, 12, (*mask.shape, 3))
    subject = np.array([200, 180, 160]) * (mask[..., None] / 255)
    return np.uint8(np.clip(30 + subject + noise, 0, 255))


def write_frame(root: Path, name: str, mask: Picture, pixels: Picture) -> None:
    """Writes ``<root>/train/<name>.jpg`` and ``<root>/train_masks/<name>_mask.gif``."""
    (root / "train").mkdir(parents=True, exist_ok=True)
    (root / "train_masks").mkdir(parents=True, exist_ok=True)
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    cv2.imwrite(str(root / "train" / f"{name}.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])
    labels = Image.fromarray((mask >= 128).astype(np.uint8), "P")
    labels.putpalette([0, 0, 0, 255, 255, 255])
    labels.save(root / "train_masks" / f"{name}_mask.gif")


def write_cars(
    root: Path, cars: Iterable[str], *, frames: int = 2, size: tuple[int, int] = (64, 96)
) -> Path:
    """``frames`` angles of each car: a disc that differs in place and size. Returns ``root``."""
    rng = np.random.default_rng(7)
    height, width = size
    for car in cars:
        for angle in range(1, frames + 1):
            centre = (rng.uniform(0.35, 0.65) * height, rng.uniform(0.3, 0.7) * width)
            mask = disc(height, width, centre=centre, radius=rng.uniform(0.2, 0.3) * height)
            write_frame(root, f"{car}_{angle:02}", mask, picture_of(mask, seed=angle))
    return root
