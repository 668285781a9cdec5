"""The booth without its subject: a curved wall, a floor with a turntable, lamps and a camera.

World frame: metres, x to the camera's right, y away from it, z up; the turntable turns about z.
Light is linear and relative: a white wall in full light has a radiance of about 0.8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unet_core.booth.rays import Camera, Rays, Vector

Colour = tuple[float, float, float]
"""Linear RGB, 0..1."""

Scuff = tuple[float, float, float, float, float]
"""A mark on the floor: x, y, its extent dx, dy, and how much darker it is (0..1)."""


@dataclass(frozen=True)
class Lamp:
    """A soft box that shines down (and a little around), in the plane z = height."""

    x: float
    y: float
    half_x: float
    half_y: float
    power: float


@dataclass(frozen=True)
class Stage:
    """Everything about the booth that stays the same while the turntable turns."""

    wall: Colour
    floor: Colour
    room: float  # radiance of the dark studio behind the camera
    wall_y: float
    wall_x: float
    cove: float  # radius of the curve between wall and floor, metres
    ceiling: float
    lamps: tuple[Lamp, ...]
    fill: float  # light without direction, as a share of all light
    disc_radius: float
    disc_tone: float
    disc_line: float
    seams: tuple[tuple[float, float], ...]  # (x, darkening) of upright panel seams
    scuffs: tuple[Scuff, ...]
    mirror: float  # share of light that the floor reflects like a mirror
    vignette: float
    gain: float
    eye: Vector
    target: Vector
    focal: float

    def camera(self, width: int, height: int) -> Camera:
        """The camera for pictures of this size; what it sees from left to right stays the same."""
        return Camera(width, height, self.eye, self.target, self.focal)


def smoothstep(low: float, high: float, value: Tensor) -> Tensor:
    """0 below `low`, 1 above `high`, and a smooth S between (`low` > `high` turns it round)."""
    t = ((value - low) / (high - low)).clamp_(0, 1)
    return t * t * (3 - 2 * t)


def wall_distance(stage: Stage, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distance to the cyclorama, and the two distances (wall, floor) that it rounds together."""
    corner = 2.0
    back, side = y - stage.wall_y + corner, x.abs() - stage.wall_x + corner
    plan = (back.clamp(min=0).square() + side.clamp(min=0).square()).sqrt()
    plan = plan + torch.maximum(back, side).clamp(max=0) - corner
    wall, floor = plan + stage.cove, stage.cove - z
    outside = (wall.clamp(min=0).square() + floor.clamp(min=0).square()).sqrt()
    return stage.cove - outside - torch.maximum(wall, floor).clamp(max=0), wall, floor


def wall_reach(stage: Stage, rays: Rays) -> Tensor:
    """Metres along camera rays to the wall or floor, (N,)."""
    reach = torch.full_like(rays[0], 0.5)
    x, y, z = stage.eye
    for _ in range(60):
        distance, _, _ = wall_distance(
            stage, rays[0] * reach + x, rays[1] * reach + y, rays[2] * reach + z
        )
        reach = (reach + distance).clamp_(max=60.0)
    return reach


def irradiance(stage: Stage, position: Rays, normal: Rays) -> Tensor:
    """Light that falls on surfaces without anything in the way, (N,); about 1 below the lamps."""
    total = torch.zeros_like(position[0])
    for lamp in stage.lamps:
        # A box lights like its nearest point, pulled towards its middle: no hot spots below it.
        tx, ty = lamp.x - position[0], lamp.y - position[1]
        tx = tx - (0.6 * tx).clamp(-lamp.half_x, lamp.half_x)
        ty = ty - (0.6 * ty).clamp(-lamp.half_y, lamp.half_y)
        tz = stage.ceiling - position[2]
        square = tx.square() + ty.square() + tz.square() + 1.0
        facing = (tx * normal[0] + ty * normal[1] + tz * normal[2]) * square.rsqrt()
        # The wall passes light on, so that surfaces turned away are never black.
        facing = facing.clamp(min=0) * 0.85 + 0.15
        total += lamp.power * facing * (tz * square.rsqrt()).clamp(min=0) / square
    return total * (1 - stage.fill) + stage.fill


def floor_tone(stage: Stage, x: Tensor, y: Tensor, blur: Tensor) -> Tensor:
    """Brightness of the floor at (N,) positions relative to plain floor: turntable, scuffs.

    Args:
        blur: half the size of a pixel on the floor, metres, (N,): lines thinner than a pixel fade
            instead of breaking up.
    """
    radius = (x.square() + y.square()).sqrt()
    off = radius - stage.disc_radius
    inside = (0.5 - off / (4 * blur)).clamp_(0, 1)
    tone = 1 - inside * (1 - stage.disc_tone)
    gap = 0.012
    tone = tone * (1 - stage.disc_line * _line(off.abs(), gap, blur))
    for sx, sy, dx, dy, dark in stage.scuffs:
        length = math.hypot(dx, dy)
        along = ((x - sx) * dx + (y - sy) * dy).div_(length**2).clamp_(0, 1)
        away = ((x - sx - along * dx).square() + (y - sy - along * dy).square()).sqrt()
        tone = tone * (1 - dark * _line(away, 0.02, blur))
    return tone


def _line(away: Tensor, half: float, blur: Tensor) -> Tensor:
    """Coverage, 0..1, of a line of the given half-width by pixels of half-size `blur`."""
    edge = ((half + blur - away) / (2 * blur)).clamp_(0, 1)
    return edge * (half / blur).clamp_(max=1)


def bare_radiance(stage: Stage, position: Rays, blur: Tensor) -> Tensor:
    """Light that the empty booth sends to the camera from (N,) positions on it, (N, 3) linear."""
    x, y, z = position
    _, wall, floor = wall_distance(stage, x, y, z)
    up = floor.clamp(min=0)
    steep = wall.clamp(min=0)
    scale = (up.square() + steep.square() + 1e-6).rsqrt()
    up, steep = up * scale, steep * scale
    normal = (-0.3 * steep * torch.sign(x) * (x.abs() / stage.wall_x).square(), -steep, up)
    light = irradiance(stage, position, normal)
    on_floor = smoothstep(0.3, 0.0, z)
    tone = 1 + on_floor * (floor_tone(stage, x, y, blur) - 1)
    for seam_x, dark in stage.seams:
        tone = tone * (1 - dark * (1 - on_floor) * _line((x - seam_x).abs(), 0.008, blur))
    blend = smoothstep(0.0, 0.8 * stage.cove, z).unsqueeze(1)
    albedo = torch.tensor(stage.floor) * (1 - blend) + torch.tensor(stage.wall) * blend
    return albedo * (light * tone * stage.gain).unsqueeze(1)


def environment(
    stage: Stage, position: Rays, ray: Rays, *, softness: float, footprint: Vector
) -> Tensor:
    """What a surface at (N,) positions mirrors along (N,) directions: radiance, (N, 3).

    Args:
        softness: 0 for a mirror; larger values smear lamps and horizon.
        footprint: half length, half width and turn (radians) of the car's shadow on the floor.
    """
    x, y, z = position
    dx, dy, dz = ray
    wall, floor = torch.tensor(stage.wall), torch.tensor(stage.floor)
    # Sideways: the wall glows towards its top; behind the camera the studio is dark.
    behind = smoothstep(0.25 + softness, -0.55 - softness, dy).unsqueeze(1)
    lift = (0.62 + 0.3 * dz.clamp(0, 1)).unsqueeze(1)
    sides = wall * lift * (1 - behind) + stage.room * behind
    # A light bank high on the studio's rear wall.
    flat = (dy.clamp(max=-0.05) * -1).reciprocal()
    bank = _patch(x + dx * flat * 8, 3.2, softness * 2.0) * _patch(
        z + dz * flat * 8 - 3.6, 0.55, softness * 1.6
    )
    sides = sides + (bank * smoothstep(-0.02, -0.12, dy) * 2.2).unsqueeze(1)
    # Above: soft boxes in a dim ceiling, seen where the ray really meets them.
    rise = (stage.ceiling - z).clamp(min=0.3) / dz.clamp(min=0.04)
    px, py = x + dx * rise, y + dy * rise
    above = torch.full_like(x, 0.22)
    for lamp in stage.lamps:
        above = above + 0.21 * lamp.power * _patch(px - lamp.x, lamp.half_x, softness) * _patch(
            py - lamp.y, lamp.half_y, softness
        )
    reach = (px - x).square() + (py - y).square()
    over = (smoothstep(70.0, 25.0, reach) * smoothstep(0.02, 0.10 + softness, dz)).unsqueeze(1)
    upper = sides * (1 - over) + above.unsqueeze(1) * over
    # Below: the floor, dark where the car stands on it.
    drop = z.clamp(min=0.0) / (-dz).clamp(min=0.02)
    cos, sin = math.cos(footprint[2]), math.sin(footprint[2])
    fx, fy = x + dx * drop, y + dy * drop
    along = (fx * cos + fy * sin).abs() - footprint[0]
    across = (fy * cos - fx * sin).abs() - footprint[1]
    away = (along.clamp(min=0).square() + across.clamp(min=0).square()).sqrt()
    lit = 0.10 + 0.75 * smoothstep(-0.05, 1.1, away + torch.maximum(along, across).clamp(max=0))
    lower = floor * lit.unsqueeze(1)
    horizon = smoothstep(0.015 + softness * 0.5, -0.015 - softness * 0.5, dz).unsqueeze(1)
    return (upper * (1 - horizon) + lower * horizon) * stage.gain


def _patch(offset: Tensor, half: float, softness: float) -> Tensor:
    edge = 0.06 + softness
    return smoothstep(half + edge, half - edge, offset.abs())


def draw_stage(
    rng: np.random.Generator, *, wall: Colour | None, mirror: float | None, span: float
) -> Stage:
    """A booth: wall colour and mirror floor as given, or drawn like everything else.

    Args:
        span: metres that the widest view of the subject takes; the lens is chosen to fit it.
    """
    chosen = wall or _draw_wall(rng)
    wall_y, wall_x = float(rng.uniform(3.8, 5.0)), float(rng.uniform(5.0, 8.5))
    distance, fill_share = float(rng.uniform(8.5, 10.5)), float(rng.uniform(0.60, 0.74))
    floor_gain = float(rng.choice([1.0, 1.0, 1.0, 0.85, 0.6]))
    drawn_mirror = float(rng.choice([0.0, 0.0, 0.05, 0.10, 0.18]))
    ceiling = float(rng.uniform(3.8, 4.6))
    eye_z = float(rng.uniform(1.15, 1.5))
    lamps = _draw_lamps(rng, ceiling)
    seams = [(float(rng.uniform(-4, 4)), float(rng.uniform(0.03, 0.12))) for _ in range(4)]
    scuffs = [_draw_scuff(rng) for _ in range(9)]
    chance = rng.random(4)
    return Stage(
        wall=chosen,
        floor=tuple(min(0.95, c * floor_gain) for c in chosen),  # type: ignore[arg-type]
        room=float(rng.uniform(0.10, 0.30)),
        wall_y=wall_y,
        wall_x=wall_x,
        cove=float(rng.uniform(0.9, 1.6)),
        ceiling=ceiling,
        lamps=lamps,
        fill=float(rng.uniform(0.42, 0.66)),
        disc_radius=float(rng.uniform(2.7, 3.2)),
        disc_tone=float(rng.uniform(0.90, 1.02)),
        disc_line=float(rng.uniform(0.15, 0.55)),
        seams=tuple(seams[: int(chance[0] * 8)]) if chance[0] < 0.45 else (),
        scuffs=tuple(scuffs[: int(chance[1] * 10)]) if chance[1] < 0.7 else (),
        mirror=drawn_mirror if mirror is None else mirror,
        vignette=float(rng.uniform(0.04, 0.22)),
        gain=float(rng.uniform(1.04, 1.28)),
        eye=(0.0, -distance, eye_z),
        target=(float(rng.uniform(-0.08, 0.08)), 0.0, float(rng.uniform(0.62, 0.80))),
        focal=fill_share * distance / span,
    )


def _draw_scuff(rng: np.random.Generator) -> Scuff:
    x, y, dx, dy = (float(v) for v in rng.uniform((-4, -3, -0.5, -0.3), (4, 3, 0.5, 0.3)))
    return x, y, dx, dy, 0.06


def _draw_wall(rng: np.random.Generator) -> Colour:
    """Mostly white, often grey, sometimes tinted: linear RGB."""
    level = float(rng.choice([0.90, 0.88, 0.84, 0.76, 0.60, 0.34]))
    tint = rng.uniform(-1, 1, 3) * float(rng.choice([0.01, 0.02, 0.06]))
    red, green, blue = (float(v) for v in np.clip(level * (1 + tint), 0.02, 0.95))
    return red, green, blue


def _draw_lamps(rng: np.random.Generator, ceiling: float) -> tuple[Lamp, ...]:
    """Soft boxes overhead, scaled so that the floor below them gets a light of about 1."""
    layout = int(rng.integers(3))
    key_x = float(rng.uniform(-0.6, 0.6))
    if layout == 0:
        boxes = [(key_x, -0.6, 2.6, 1.1, 1.0)]
    elif layout == 1:
        boxes = [(-2.6, -0.4, 0.45, 2.4, 0.5), (2.6, -0.4, 0.45, 2.4, 0.5)]
        boxes.append((key_x, -0.2, 0.9, 1.3, 0.5))
    else:
        boxes = [(key_x, -2.4, 2.8, 0.35, 0.5), (key_x, 0.3, 2.8, 0.45, 0.6)]
    boxes.append((float(rng.uniform(-1.5, 1.5)), 2.6, 3.0, 0.3, float(rng.uniform(0.25, 0.6))))
    scale = (ceiling**2 + 1) / sum(box[4] for box in boxes) * 1.25
    return tuple(Lamp(*box[:4], box[4] * scale) for box in boxes)
