"""Light on the subject: shading of surface points, windows, and the shadow on the floor."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unet_core.booth.car import Car
from unet_core.booth.paint import GLASS, Coat
from unet_core.booth.rays import Rays, Vector, normals, turn
from unet_core.booth.stage import Stage, environment, irradiance, smoothstep


def encode(linear: Tensor) -> Tensor:
    """Linear light to sRGB, 0..1, with a film-like shoulder so that highlights do not clip."""
    over = (linear - 0.75).clamp(min=0)
    rolled = torch.where(linear > 0.75, 0.75 + 0.25 * (1 - torch.exp(-over / 0.25)), linear)
    rolled = rolled.clamp(0, 1)
    return torch.where(
        rolled <= 0.0031308, rolled * 12.92, 1.055 * rolled.clamp(min=1e-6).pow(1 / 2.4) - 0.055
    )


def reflect(ray: Rays, normal: Rays) -> Rays:
    """Directions (N,) mirrored on surfaces with the given unit normals."""
    twice = 2 * (ray[0] * normal[0] + ray[1] * normal[1] + ray[2] * normal[2])
    return ray[0] - twice * normal[0], ray[1] - twice * normal[1], ray[2] - twice * normal[2]


def shade(
    coat: Coat, stage: Stage, heading: float, hits: tuple[Rays, Rays, Tensor], behind: Tensor
) -> Tensor:
    """Light from N points of the subject towards the camera: linear RGB, (N, 3).

    Args:
        heading: how far the car is turned, radians.
        hits: positions and ray directions in the car's frame, and half a pixel's size there.
        behind: linear light of the scene behind each point, (N, 3), seen through windows.
    """
    (x, y, z), ray, blur = hits
    car = coat.car
    normal = normals(car.distance, x, y, z)
    material = coat.materials(x, y, z, normal)
    surface = coat.surface(material, x, y, z, normal, blur)
    open_sky = _openness(car, x, y, z, normal)
    mirrored = reflect(ray, normal)
    world = (*turn(x, y, heading), z)
    world_normal = (*turn(normal[0], normal[1], heading), normal[2])
    world_ray = (*turn(mirrored[0], mirrored[1], heading), mirrored[2])
    light = irradiance(stage, world, world_normal) * open_sky * (0.90 + 0.10 * normal[2])
    light = light * stage.gain * (0.45 + 0.65 * smoothstep(0.05, 0.75, z))
    footprint = (car.shape.length / 2, car.shape.half_width, heading)
    sharp = environment(stage, world, world_ray, softness=0.02, footprint=footprint)
    blurred = environment(stage, world, world_ray, softness=0.7, footprint=footprint)
    soft = surface.soft.unsqueeze(1)
    image = sharp * (1 - soft) + blurred * soft
    clear = _clearance(car, x, y, z, mirrored).unsqueeze(1)
    facing = -(ray[0] * normal[0] + ray[1] * normal[1] + ray[2] * normal[2])
    edge = (1 - facing.clamp(0, 1)).pow(5) * (1 - 0.7 * surface.soft)
    share = (surface.f0 + (1 - surface.f0) * edge).unsqueeze(1)
    metal = surface.metal.unsqueeze(1)
    tinted = metal * surface.albedo + (1 - metal) * share
    flakes = coat.finish.metallic * (material == 0).unsqueeze(1)
    diffuse = surface.albedo * (1 - metal) * light.unsqueeze(1)
    diffuse = diffuse * (1 - 0.45 * flakes) + 0.55 * flakes * surface.albedo * blurred * clear
    colour = diffuse + tinted * image * clear + surface.glow.unsqueeze(1)
    glass = torch.nonzero(material == GLASS).squeeze(1)
    if glass.numel():
        pane = (x[glass], y[glass], z[glass])
        through = _through(coat, pane, (ray[0][glass], ray[1][glass], ray[2][glass]))
        seen = through.unsqueeze(1) * behind[glass]
        colour[glass] = colour[glass] + (1 - share[glass]) * seen
    return colour


def _openness(car: Car, x: Tensor, y: Tensor, z: Tensor, normal: Rays) -> Tensor:
    """Share of the sky that nearby parts and the floor leave open, 0..1 (ambient occlusion)."""
    shut = torch.zeros_like(x)
    for reach, weight in ((0.04, 0.35), (0.12, 0.35), (0.32, 0.40)):
        px, py, pz = x + normal[0] * reach, y + normal[1] * reach, z + normal[2] * reach
        gap = torch.minimum(car.distance(px, py, pz), pz)
        shut = shut + weight * ((reach - gap) / reach).clamp(0, 1)
    return (1 - shut).clamp(min=0.04)


def _clearance(car: Car, x: Tensor, y: Tensor, z: Tensor, ray: Rays) -> Tensor:
    """How freely mirrored rays leave the car: 1, or less where they run into it."""
    free = torch.ones_like(x)
    for reach in (0.10, 0.28):
        gap = car.distance(x + ray[0] * reach, y + ray[1] * reach, z + ray[2] * reach)
        free = torch.minimum(free, smoothstep(-0.15, 0.35, gap / reach))
    return 0.12 + 0.88 * free


def _through(coat: Coat, point: Rays, ray: Rays) -> Tensor:
    """Share of light from behind that passes both panes and the seats, (N,)."""
    car, s = coat.car, coat.car.shape
    (x, y, z), (dx, dy, dz) = point, ray
    far_side = torch.sign(dy) * (car.cabin_half - s.tumble * (z + 0.1 - s.cowl_z).clamp(min=0))
    exits = [(far_side - y) / _away_from_zero(dy)]
    sin_f, cos_f = math.sin(s.screen_angle), math.cos(s.screen_angle)
    sin_r, cos_r = math.sin(s.rear_angle), math.cos(s.rear_angle)
    screen = (s.cowl_x - x) * sin_f + (s.cowl_z - z) * cos_f
    exits.append(screen / _away_from_zero(dx * sin_f + dz * cos_f))
    rear = (x - s.rear_x) * sin_r + (s.rear_z - z) * cos_r
    exits.append(rear / _away_from_zero(-dx * sin_r + dz * cos_r))
    reach = torch.stack([torch.where(t > 0.15, t, torch.full_like(t, 9.0)) for t in exits]).amin(0)
    ex, ey, ez = x + dx * reach, y + dy * reach, z + dz * reach
    clear = coat.glass(ex, ey, ez).to(x.dtype)
    for cx, cy, cz, rx, ry, rz in _seats(coat):
        clear = clear * (1 - _meets(point, ray, (cx, cy, cz), (rx, ry, rz)))
    return clear * coat.finish.tint


def _away_from_zero(value: Tensor) -> Tensor:
    return torch.where(value.abs() < 1e-4, torch.full_like(value, 1e-4), value)


def _seats(coat: Coat) -> list[tuple[float, float, float, float, float, float]]:
    """Ellipsoids (centre, radii) for seat backs and head rests."""
    s = coat.car.shape
    belt = s.cowl_z
    rows = [s.cowl_x - 1.12]
    if not s.bed:
        rows.append(max(s.cowl_x - 1.95, s.rear_x + 0.35))
    seats = []
    for row in rows:
        for across in (-0.36, 0.36):
            seats.append((row, across, belt - 0.22, 0.12, 0.25, 0.42))
            seats.append((row - 0.07, across, belt + 0.21, 0.045, 0.12, 0.07))
    seats.append((s.cowl_x - 0.42, 0.36, belt - 0.03, 0.05, 0.19, 0.17))
    return seats


def _meets(point: Rays, ray: Rays, centre: Vector, radii: Vector) -> Tensor:
    """1 where rays from (N,) points pass through an ellipsoid, else 0."""
    o = [(p - c) / r for p, c, r in zip(point, centre, radii, strict=True)]
    d = [v / r for v, r in zip(ray, radii, strict=True)]
    a = d[0].square() + d[1].square() + d[2].square()
    b = o[0] * d[0] + o[1] * d[1] + o[2] * d[2]
    c = o[0].square() + o[1].square() + o[2].square() - 1
    return ((b.square() > a * c) & (b < 0)).to(a.dtype)


class FloorShadow:
    """How much of the booth's light reaches the floor around the car.

    For each of a few directions, a map in the car's frame says how open it is, measured once by
    cone tracing; a frame then only weighs the maps by how bright the booth is that way.
    """

    STEP = 0.06
    MARGIN = 1.5

    def __init__(self, car: Car, stage: Stage) -> None:
        self.stage = stage
        self.half_x = car.shape.length / 2 + self.MARGIN
        self.half_y = car.shape.half_width + self.MARGIN
        columns, rows = int(2 * self.half_x / self.STEP), int(2 * self.half_y / self.STEP)
        gx = torch.linspace(-self.half_x, self.half_x, columns)
        gy = torch.linspace(-self.half_y, self.half_y, rows)
        y, x = (v.flatten() for v in torch.meshgrid(gy, gx, indexing="ij"))
        self.directions = _dome()
        self.open = torch.stack(
            [_cone(car, x, y, direction).reshape(rows, columns) for direction in self.directions]
        )

    def light(self, x: Tensor, y: Tensor, heading: float) -> Tensor:
        """Share of light, 0..1, at (N,) floor positions in the car's frame."""
        weights = torch.tensor([self._weight(d, heading) for d in self.directions])
        shares = (self.open * (weights / weights.sum())[:, None, None]).sum(0)
        grid = torch.stack([x / self.half_x, y / self.half_y], dim=-1)[None, None]
        sampled = torch.nn.functional.grid_sample(
            shares[None, None], grid, mode="bicubic", padding_mode="border", align_corners=True
        ).flatten()
        # The maps end before the faintest shade does: let it run out.
        edge = torch.maximum(x.abs() - self.half_x, y.abs() - self.half_y)
        out = smoothstep(-0.9, 0.0, edge)
        return (sampled * (1 - out) + out).clamp(0, 1).pow(1.6)

    def _weight(self, direction: Vector, heading: float) -> float:
        """Brightness of the booth towards a direction in the car's frame, cosine included."""
        cos, sin = math.cos(heading), math.sin(heading)
        dx, dy = direction[0] * cos - direction[1] * sin, direction[0] * sin + direction[1] * cos
        rise = self.stage.ceiling / direction[2]
        total = 0.55
        for lamp in self.stage.lamps:
            across = max(0.0, abs(dx * rise - lamp.x) - lamp.half_x)
            along = max(0.0, abs(dy * rise - lamp.y) - lamp.half_y)
            total += 0.12 * lamp.power * math.exp(-(across**2 + along**2) / 1.2)
        return total * direction[2]


def _dome() -> list[Vector]:
    """Directions that share the sky above the floor evenly, weighted towards low ones."""
    directions: list[Vector] = []
    for degrees, count in ((22, 8), (45, 8), (70, 5)):
        up = math.sin(math.radians(degrees))
        out = math.cos(math.radians(degrees))
        for i in range(count):
            turned = 2 * math.pi * (i + 0.5 * (degrees == 45)) / count
            directions.append((out * math.cos(turned), out * math.sin(turned), up))
    return directions


def _cone(car: Car, x: Tensor, y: Tensor, direction: Vector) -> Tensor:
    """Share of a cone from (N,) floor points that the car leaves open, 0..1."""
    spread = 0.30
    visible = torch.ones_like(x)
    reach = 0.03
    while reach < 3.2:
        gap = car.distance(
            x + direction[0] * reach, y + direction[1] * reach,
            torch.full_like(x, direction[2] * reach),
        )  # fmt: skip
        visible = torch.minimum(visible, (0.5 + gap / (2 * spread * reach)).clamp(0, 1))
        reach *= 1.5
    return visible * visible * (3 - 2 * visible)
