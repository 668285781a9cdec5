"""A turn of a car on a turntable, seen by a pinhole camera: the boxes of its masks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SIZE = (1920, 1280)


@dataclass(frozen=True)
class Scene:
    """Lengths in metres."""

    frames: int = 16
    start: float = 0.0
    """Angle of the first frame, in degrees; at 0 the car is seen from its front."""
    distance: float = 7.0
    camera_height: float = 1.4
    off_axis: tuple[float, float] = (0.1, 0.05)
    """Where the car's middle is on the turntable."""
    length: float = 4.5
    width: float = 1.85
    height: float = 1.5


SCENE = Scene()


def boxes(scene: Scene = SCENE) -> Floats:
    """(N, 4) px: left, top, right and bottom of the car in each frame of the turn."""
    turns = np.deg2rad(scene.start) + 2 * np.pi * np.arange(scene.frames) / scene.frames
    return np.stack([_box(scene, turn) for turn in turns])


def areas(scene: Scene = SCENE) -> Floats:
    """(N,) share of the photo that is car: that of a box with rounded ends, more or less."""
    left, top, right, bottom = boxes(scene).T
    return np.asarray(0.72 * (right - left) * (bottom - top) / (SIZE[0] * SIZE[1]))


def _box(scene: Scene, turn: float) -> Floats:
    points = _points(scene)
    along, across = points[:, 0] + scene.off_axis[0], points[:, 1] + scene.off_axis[1]
    near = along * np.cos(turn) + across * np.sin(turn)
    aside = across * np.cos(turn) - along * np.sin(turn)
    # The camera looks at the middle of the car, so that it is level when that is its height.
    depth = scene.distance - near
    focal = 0.4 * SIZE[0] * scene.distance / (scene.length / 2) * 0.8
    x = SIZE[0] / 2 + focal * aside / depth
    y = 0.6 * SIZE[1] + focal * (scene.camera_height - points[:, 2]) / depth
    y -= focal * (scene.camera_height - 0.3) / scene.distance
    return np.array([x.min(), y.min(), x.max(), y.max()])


def _points(scene: Scene) -> Floats:
    """(P, 3): along, across, up. A body with rounded corners, a cabin, four tyres, two mirrors."""
    half, side = scene.length / 2, scene.width / 2
    rim = np.linspace(0, 2 * np.pi, 73)
    flat = [(half * _round(np.cos(a)), side * _round(np.sin(a))) for a in rim]
    body = [(x, y, z) for (x, y), z in product(flat, (0.35, 0.6 * scene.height))]
    cabin = [(0.45 * x - 0.2, 0.75 * y, scene.height) for x, y in flat]
    tyre = [(0.32 * np.cos(a), 0.32 + 0.32 * np.sin(a)) for a in rim]
    axles = product((-0.3 * scene.length, 0.3 * scene.length), (-0.9 * side, 0.9 * side))
    tyres = [(x + u, y, v) for (x, y), (u, v) in product(axles, tyre)]
    mirrors = [(0.12 * scene.length, y, 1.0) for y in (-1.15 * side, 1.15 * side)]
    return np.array(body + cabin + tyres + mirrors)


def _round(value: float) -> float:
    return float(np.sign(value) * abs(value) ** 0.4)
