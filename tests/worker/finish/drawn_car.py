"""A drawn car on a wall, with the colours known, so that results can be measured."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class DrawnCar:
    photo: Pixels
    """(H, W, 3) uint8 RGB: car and wall mixed by alpha, as a camera mixes them."""
    alpha: Pixels
    car: Pixels
    """The colours of the car alone, everywhere."""


def draw_car(width: int = 480, height: int = 320) -> DrawnCar:
    """A side view: body, cabin and two tyres, with an edge some pixels soft."""
    shape = np.zeros((height, width), np.uint8)
    unit = width / 480
    body = np.array([[70, 170], [120, 160], [170, 115], [300, 115], [350, 160], [415, 172]])
    body = np.concatenate([body, [[418, 222], [68, 222]]])
    cv2.fillPoly(shape, [np.round(body * unit).astype(np.int32)], 255)
    for x in (130, 355):
        cv2.circle(shape, (round(x * unit), round(215 * unit)), round(27 * unit), 255, -1)
    alpha = np.asarray(cv2.GaussianBlur(shape, (0, 0), 1.3), dtype=np.uint8)
    column = np.linspace(0, 1, width)[None, :, None]
    car = np.broadcast_to(np.array([140, 20, 25]) + 50 * column, (height, width, 3))
    wall = np.broadcast_to(np.array([215, 222, 228]) - 30 * column, (height, width, 3))
    a = alpha[..., None] / 255
    photo = np.rint(a * car + (1 - a) * wall).astype(np.uint8)
    return DrawnCar(photo, alpha, np.rint(car).astype(np.uint8))
