"""The booth's camera and its ray marcher.

A ray is where it starts (one common origin for all) and its unit direction; the marcher walks each
as far as the distance field allows, and keeps only the rays that are still on their way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

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


@dataclass
class _Walk:
    """Rays on their way; every tensor is (N,)."""

    index: Tensor
    direction: Rays
    end: Tensor
    reach: Tensor
    safe: Tensor
    clear: Tensor  # 1 until something comes within the cone, then 0
    passed: Tensor

    def stride(self, field: Field, origin: Vector, cone: float) -> Tensor:
        """Walk on by the distance to the surface, and return that distance."""
        t = self.reach
        x, y, z = (d * t + o for d, o in zip(self.direction, origin, strict=True))
        distance = field(x, y, z)
        away = distance >= t * cone
        self.passed |= away & (self.clear == 0)
        self.clear *= away
        self.safe.lerp_(t, self.clear)
        self.reach = t + distance
        return distance

    def take(self, which: Tensor) -> _Walk:
        """Only the rays at positions `which`."""
        x, y, z = self.direction
        return _Walk(
            self.index[which], (x[which], y[which], z[which]), self.end[which], self.reach[which],
            self.safe[which], self.clear[which], self.passed[which],
        )  # fmt: skip


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
    near, far = span
    nothing = torch.zeros_like(near, dtype=torch.bool)
    result = March(nothing, near.clone(), near.clone(), nothing.clone())
    slow = []
    for live in torch.split(torch.nonzero(near < far).squeeze(1), _CHUNK):
        start, direction = near[live], (rays[0][live], rays[1][live], rays[2][live])
        clear, passed = torch.ones_like(start), torch.zeros_like(live, dtype=torch.bool)
        walk = _Walk(live, direction, far[live], start, start.clone(), clear, passed)
        slow.append(_walk(field, origin, walk, result, _Effort(cone, _ROUNDS, 0)))
    # The few rays that graze a long surface need many small strides: walk them all together.
    for walk in _merged(slow):
        few = near.numel() // _FEW
        walk = _walk(field, origin, walk, result, _Effort(cone, _SLOW_ROUNDS, few))
        x, y, z = (d * walk.reach + o for d, o in zip(walk.direction, origin, strict=True))
        result.hit[walk.index] = field(x, y, z) < walk.reach * (cone * _DOUBT)
        result.reach[walk.index] = walk.reach
        result.safe[walk.index], result.grazed[walk.index] = walk.safe, True
    return result


_TOUCH = 0.005  # as a share of the cone: a ray this near to the surface has met it
_STRIDES, _ROUNDS, _SLOW_ROUNDS = 4, 10, 44
_PATIENCE = 1.05  # growth of that share while rays crawl along a surface
_DOUBT = 0.12  # the share at which a ray that gave up still counts as having met it
_FEW = 2000  # one ray in so many may be left in doubt: a small share of a pixel's rays
_CHUNK = 32768  # rays whose working set stays in a core's cache


class _Effort(NamedTuple):
    cone: float
    rounds: int
    few: int  # no more rounds for so few rays


def _walk(field: Field, origin: Vector, walk: _Walk, result: March, effort: _Effort) -> _Walk:
    """Walk on, note in `result` the rays that end, and return the others."""
    cone = effort.cone
    for turn_number in range(effort.rounds):
        if walk.index.numel() <= effort.few:
            break
        # A ray that has arrived stays where it is, so that a few strides need no book-keeping.
        for _ in range(_STRIDES):
            distance = walk.stride(field, origin, cone)
        arrived = distance < walk.reach * (cone * _TOUCH * _PATIENCE**turn_number)
        done = arrived | (walk.reach >= walk.end)
        ended = walk.take(torch.nonzero(done).squeeze(1))
        met = arrived[done]
        result.hit[ended.index], result.reach[ended.index] = met, ended.reach
        result.safe[ended.index] = ended.safe
        result.grazed[ended.index] = ended.passed | ((ended.clear == 0) & ~met)
        walk = walk.take(torch.nonzero(~done).squeeze(1))
    return walk


def _merged(walks: list[_Walk]) -> list[_Walk]:
    """The rays of all walks as one, in a list; none if there are none."""
    if not any(walk.index.numel() for walk in walks):
        return []
    x, y, z = (torch.cat([walk.direction[axis] for walk in walks]) for axis in range(3))
    joined = {
        name: torch.cat([getattr(walk, name) for walk in walks])
        for name in ("index", "end", "reach", "safe", "clear", "passed")
    }
    return [_Walk(direction=(x, y, z), **joined)]


def normals(field: Field, x: Tensor, y: Tensor, z: Tensor, *, step: float = 4e-3) -> Rays:
    """Unit outward normals at surface points, by four taps on a tetrahedron `step` metres wide."""
    total = [torch.zeros_like(x) for _ in range(3)]
    for sx, sy, sz in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
        value = field(x + sx * step, y + sy * step, z + sz * step)
        for axis, sign in zip(total, (sx, sy, sz), strict=True):
            axis.add_(value, alpha=sign)
    scale = (total[0].square() + total[1].square() + total[2].square() + 1e-20).rsqrt_()
    return total[0] * scale, total[1] * scale, total[2] * scale
