"""The booth's camera and its ray marcher.

A ray is where it starts (one common origin for all) and its unit direction; the marcher walks each
as far as the distance field allows, and keeps only the rays that are still on their way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Vector = tuple[float, float, float]
Rays = tuple[Tensor, Tensor, Tensor]
"""Unit directions, one tensor of shape (N,) for each axis."""

Field = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera on the booth's y axis: it stands at y = -distance and looks along +y."""

    width: int
    height: int
    eye: Vector
    target: Vector
    focal: float  # focal length in units of the picture's width

    @property
    def pixel_angle(self) -> float:
        """The angle that one pixel spans at the middle of the picture, radians."""
        return 1.0 / (self.focal * self.width)

    def rays(self, columns: Tensor, rows: Tensor) -> Rays:
        """Directions through picture positions in pixels; a pixel's middle lies at +0.5.

        Args:
            columns, rows: float32, (N,).
        """
        forward = np.subtract(self.target, self.eye)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        up = np.cross(right, forward)
        across = (columns - self.width / 2) * self.pixel_angle
        upward = (self.height / 2 - rows) * self.pixel_angle
        scale = (across.square() + upward.square() + 1).rsqrt_()
        x, y, z = (
            (across * float(right[i]) + upward * float(up[i]) + float(forward[i])) * scale
            for i in range(3)
        )
        return x, y, z


def turn(x: Tensor, y: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    """Plane coordinates turned counter-clockwise by `angle` radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    return x * cos - y * sin, x * sin + y * cos


def turn_vector(vector: Vector, angle: float) -> Vector:
    """A vector turned counter-clockwise about the upright axis by `angle` radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    return vector[0] * cos - vector[1] * sin, vector[0] * sin + vector[1] * cos, vector[2]


def box_span(origin: Vector, rays: Rays, low: Vector, high: Vector) -> tuple[Tensor, Tensor]:
    """Where rays enter and leave a box, metres along the ray; entry > exit where they miss."""
    near = torch.zeros_like(rays[0])
    far = torch.full_like(rays[0], 1e6)
    for axis, direction in enumerate(rays):
        inverse = 1.0 / torch.where(
            direction.abs() < 1e-9, torch.full_like(direction, 1e-9), direction
        )
        a, b = (low[axis] - origin[axis]) * inverse, (high[axis] - origin[axis]) * inverse
        near = torch.maximum(near, torch.minimum(a, b))
        far = torch.minimum(far, torch.maximum(a, b))
    return near, far


@dataclass(frozen=True)
class March:
    """What became of N rays.

    Attributes:
        hit: bool, (N,): the ray met the surface.
        reach: float32, (N,): metres to the surface where hit.
        safe: float32, (N,): metres up to which nothing came within the ray's cone; a ray of the
            same pixel may start there.
        grazed: bool, (N,): something came within the cone and was passed by, so that a
            neighbouring ray may meet what this one missed.
    """

    hit: Tensor
    reach: Tensor
    safe: Tensor
    grazed: Tensor


def march(
    field: Field, origin: Vector, rays: Rays, span: tuple[Tensor, Tensor], *, cone: float
) -> March:
    """Walk rays through a distance field.

    Args:
        field: lower bound of the distance at (N,) positions, metres.
        origin: common start of the rays.
        rays: directions, (N,) for each axis.
        span: metres at which each ray starts and gives up, (N,) each.
        cone: half-width of a pixel's cone for each metre of reach.
    """
    parts = [
        _march_some(field, origin, tuple(axis[i : i + _CHUNK] for axis in rays), near, far, cone)
        for i, near, far in zip(
            range(0, rays[0].numel(), _CHUNK), span[0].split(_CHUNK), span[1].split(_CHUNK),
            strict=True,
        )
    ]  # fmt: skip
    return March(
        torch.cat([part.hit for part in parts]),
        torch.cat([part.reach for part in parts]),
        torch.cat([part.safe for part in parts]),
        torch.cat([part.grazed for part in parts]),
    )


_TOUCH = 2e-4
_ROUNDS, _STRIDES = 24, 4
_CHUNK = 32768  # rays whose working set stays in a core's cache


def _march_some(
    field: Field, origin: Vector, rays: tuple[Tensor, ...], near: Tensor, far: Tensor, cone: float
) -> March:
    reach, safe = near.clone(), near.clone()
    hit = torch.zeros_like(near, dtype=torch.bool)
    grazed = hit.clone()
    live = torch.nonzero(near < far).squeeze(1)
    t, start, end = near[live], near[live], far[live]
    dx, dy, dz = (axis[live] for axis in rays)
    clear = torch.ones_like(t)  # 1 until something comes within the cone
    passed = torch.zeros_like(t, dtype=torch.bool)
    distance = t
    for _ in range(_ROUNDS):
        if live.numel() == 0:
            break
        # A ray that has arrived stays where it is, so that a few strides need no book-keeping.
        for _ in range(_STRIDES):
            distance = field(dx * t + origin[0], dy * t + origin[1], dz * t + origin[2])
            away = distance >= t * cone
            passed |= away & (clear == 0)
            clear *= away
            start.lerp_(t, clear)
            t = t + distance
        arrived = distance < _TOUCH
        done = arrived | (t >= end)
        ended = torch.nonzero(done).squeeze(1)
        where = live[ended]
        hit[where], reach[where], safe[where] = arrived[ended], t[ended], start[ended]
        grazed[where] = passed[ended] | ((clear[ended] == 0) & ~arrived[ended])
        keep = torch.nonzero(~done).squeeze(1)
        live, t, start, end, clear = live[keep], t[keep], start[keep], end[keep], clear[keep]
        dx, dy, dz, passed = dx[keep], dy[keep], dz[keep], passed[keep]
        distance = distance[keep]
    # Rays that ran out of strides crawl along a surface: those that nearly touch it have met it.
    hit[live], reach[live], safe[live], grazed[live] = distance < 4 * _TOUCH, t, start, True
    return March(hit, reach, safe, grazed)


def normals(field: Field, x: Tensor, y: Tensor, z: Tensor, *, step: float = 4e-3) -> Rays:
    """Unit outward normals at surface points, by four taps on a tetrahedron `step` metres wide."""
    total = [torch.zeros_like(x) for _ in range(3)]
    for sx, sy, sz in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
        value = field(x + sx * step, y + sy * step, z + sz * step)
        for axis, sign in zip(total, (sx, sy, sz), strict=True):
            axis.add_(value, alpha=sign)
    scale = (total[0].square() + total[1].square() + total[2].square() + 1e-20).rsqrt_()
    return total[0] * scale, total[1] * scale, total[2] * scale
