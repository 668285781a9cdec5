"""What the subject is made of, point by point: paint, glass, lights, rubber, chrome, panel gaps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unet_core.booth.car import ANTENNA, BODY, MIRROR, RIM_SHARE, TRIM, WHEEL, Car
from unet_core.booth.finish import Finish
from unet_core.booth.rays import Rays
from unet_core.booth.stage import smoothstep

PAINT, GLASS, TYRE, RIM, LAMP, TAIL, BLACK, CHROME, PLATE, DARK = range(10)
"""Materials, in the order of `_TABLE`."""

_TABLE = torch.tensor(
    [
        # red  green blue  f0   soft  metal
        [0.50, 0.50, 0.50, 0.065, 0.00, 0.0],  # PAINT (its colour comes from the car)
        [0.02, 0.02, 0.02, 0.06, 0.00, 0.0],  # GLASS
        [0.022, 0.022, 0.024, 0.02, 0.8, 0.0],  # TYRE
        [0.60, 0.61, 0.63, 0.60, 0.25, 1.0],  # RIM
        [0.55, 0.57, 0.60, 0.10, 0.00, 0.0],  # LAMP
        [0.24, 0.006, 0.008, 0.06, 0.00, 0.0],  # TAIL
        [0.020, 0.020, 0.021, 0.035, 0.3, 0.0],  # BLACK
        [0.80, 0.81, 0.83, 0.80, 0.04, 1.0],  # CHROME
        [0.75, 0.75, 0.72, 0.04, 0.2, 0.0],  # PLATE
        [0.008, 0.008, 0.008, 0.00, 0.8, 0.0],  # DARK
    ]
)


@dataclass(frozen=True)
class Surface:
    """The materials at N points.

    Attributes:
        material: int64, (N,): PAINT … DARK.
        albedo: float32, (N, 3) linear.
        f0: float32, (N,): share of light that is mirrored head-on.
        soft: float32, (N,): how blurred the mirror image is.
        metal: float32, (N,): 1 where the mirror image takes the albedo's colour.
        glow: float32, (N,): light of its own.
    """

    material: Tensor
    albedo: Tensor
    f0: Tensor
    soft: Tensor
    metal: Tensor
    glow: Tensor


class Coat:
    """Looks up what the car is made of at points on its surface (car frame, metres)."""

    def __init__(self, car: Car, finish: Finish) -> None:
        self.car = car
        self.finish = finish
        s = car.shape
        pillar = car.axle_mid - finish.door_rear
        if s.bed:
            pillar = s.rear_x + 0.42 * (s.cowl_x - s.rear_x)
        self.pillar_x = pillar
        self.door_front = s.cowl_x - 0.02 + min(0.0, s.front_axle_x - 0.45 - s.cowl_x)
        self.door_back = s.rear_x + 0.06 if s.bed else s.rear_axle_x + s.arch_radius * 0.72

    def materials(self, x: Tensor, y: Tensor, z: Tensor, normal: Rays) -> Tensor:
        """The material at each of N surface points: int64, (N,)."""
        car, s = self.car, self.car.shape
        side = y.abs()
        radial = car.wheel_radial(x, z)
        part = torch.stack(car.parts(x, y, z)).argmin(0)
        material = torch.full_like(part, PAINT)
        body = part == BODY
        cabin = body & (car.cabin(x, side, z) < car.hull(x, side, z, radial))
        hull = body & ~cabin
        material[cabin & self.glass(x, y, z)] = GLASS
        if self.finish.two_tone:
            material[cabin & (z > s.height - 0.16) & (normal[2] > 0.5)] = BLACK
        self._front(material, hull & (x > s.front_axle_x), x, side, z)
        self._rear(material, hull & (x < s.rear_axle_x), x, side, z)
        low = z < s.clearance + (0.14 if s.cladding else 0.045)
        ring = radial < s.arch_radius + (0.06 if s.cladding else 0.0)
        material[hull & (low | ring)] = BLACK
        inside = side < car.half_width(x, z, radial) - 0.045
        material[hull & inside & (radial < s.arch_radius + 0.02)] = DARK
        along = car.wheel_along(x) * torch.sign(x - car.axle_mid)
        toward_axle = normal[2] * (z - s.wheel_radius) + normal[0] * along
        material[hull & (toward_axle < -0.5 * radial) & (radial < s.arch_radius + 0.03)] = DARK
        material[hull & (normal[2] < -0.75)] = DARK
        if s.bed:
            load = (normal[2] > 0.6) & (z < car.belt(x) - 0.15)
            material[hull & load & (x < s.rear_x)] = BLACK
        self._wheel(material, part == WHEEL, x, side, z, radial)
        mirror = part == MIRROR
        material[mirror & (normal[0] < -0.8)] = CHROME
        material[mirror & (z < s.cowl_z + 0.05)] = BLACK
        material[part == TRIM] = CHROME if self.finish.chrome and s.rails else BLACK
        material[part == ANTENNA] = PAINT if s.fin else BLACK
        return material

    def glass(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Whether points on the cabin's skin lie in a window: bool, (N,)."""
        s = self.car.shape
        g = self.car.glasshouse(x, y.abs(), z)
        above = z > s.cowl_z + s.wedge * (s.cowl_x - x).clamp(min=0) + 0.035
        ends = torch.maximum(g.screen, g.rear)
        on_side = (g.side > ends) & (g.side > g.roof - 0.05)
        lean = 0.12 * (z - s.cowl_z)
        pillar = (x - self.pillar_x + lean).abs() > 0.035
        rear_post = (x - self.door_back - 0.02 + 0.3 * (z - s.cowl_z)).abs() > 0.03
        inset = 0.16 if s.style in ("suv", "wagon", "van") else 0.13
        side_glass = on_side & (g.screen < -0.055) & (g.roof < -0.085) & (g.rear < -inset)
        side_glass &= pillar & (rear_post | s.bed)
        if s.blind_rear:
            side_glass &= x > self.pillar_x
        front = (g.screen >= g.side) & (g.screen > g.roof) & (g.screen > g.rear)
        rear = (g.rear >= g.side) & (g.rear > g.roof) & (g.rear > g.screen)
        end_glass = (g.side < -0.075) & (g.roof < -0.055) & (front | rear)
        if s.blind_rear:
            end_glass &= ~rear
        return above & (side_glass | end_glass)

    def _front(self, material: Tensor, where: Tensor, x: Tensor, side: Tensor, z: Tensor) -> None:
        s, f = self.car.shape, self.finish
        half = s.half_width
        edge = s.cowl_z - s.hood_drop
        lamp_z = edge - 0.075 + f.lamp_rise * (s.nose_x - x) * 1.6
        across = (side - 0.74 * half) / (0.30 * half)
        lamp = across.abs().pow(2.5) + ((z - lamp_z) / 0.066).abs().pow(2.5) < 1
        material[where & lamp & (x > s.nose_x - 0.42)] = LAMP
        face = where & (x > s.nose_x - 0.4)
        lift = (edge - 0.70) * 0.8
        grille_z = f.grille_z + lift
        corner = ((side / (f.grille_half * half * 1.25)).abs().pow(4)
                  + ((z - grille_z) / 0.095).abs().pow(4))  # fmt: skip
        material[face & (corner < 1)] = CHROME if f.chrome else BLACK
        material[face & (corner < 0.62)] = BLACK
        slat = torch.sin((z - grille_z) * (2 * math.pi / 0.05)) > 0.55
        material[face & (corner < 0.5) & slat] = CHROME if f.chrome else DARK
        intake = (side / (0.72 * half)).pow(6) + ((z - s.clearance - 0.15) / 0.055).pow(6) < 1
        material[face & intake] = BLACK
        plate = (side < 0.26) & ((z - s.clearance - 0.235).abs() < 0.055)
        material[face & plate & (x > s.nose_x - 0.25)] = PLATE

    def _rear(self, material: Tensor, where: Tensor, x: Tensor, side: Tensor, z: Tensor) -> None:
        s = self.car.shape
        half = s.half_width
        upright = s.style in ("hatch", "suv", "van", "pickup", "wagon")
        lamp_z = s.cowl_z - (0.28 if s.bed else 0.14)
        tall, middle, wide = (0.13, 0.83, 0.19) if upright else (0.075, 0.74, 0.32)
        across = (side - middle * half) / (wide * half)
        lamp = across.abs().pow(4) + ((z - lamp_z) / tall).abs().pow(4)
        face = where & (x < s.tail_x + 0.34)
        material[face & (lamp < 1)] = BLACK
        material[face & (lamp < 0.6)] = TAIL
        back = where & (x < s.tail_x + 0.2)
        plate_z = lamp_z - (0.14 if s.bed else 0.02)
        material[back & (side < 0.30) & ((z - plate_z).abs() < 0.085)] = BLACK
        material[back & (side < 0.26) & ((z - plate_z).abs() < 0.055)] = PLATE
        material[back & (side < 0.8 * half) & (z < s.clearance + 0.16)] = BLACK

    def _wheel(
        self, material: Tensor, where: Tensor, x: Tensor, side: Tensor, z: Tensor, radial: Tensor
    ) -> None:
        s = self.car.shape
        material[where] = TYRE
        ratio = radial / (RIM_SHARE * s.wheel_radius)
        outer = where & (side > self.car.wheel_y) & (ratio < 1.015)
        turn = torch.atan2(z - s.wheel_radius, self.car.wheel_along(x))
        # Spokes widen towards hub and rim, so that the gaps between them look cut out.
        width = s.spoke_width + 0.35 * (1 - ratio).clamp(min=0) - 0.10
        spoke = torch.cos(turn * s.spokes) > 1 - 2 * width
        gap = (ratio > 0.26) & (ratio < 0.90) & ~spoke
        material[outer] = RIM
        material[outer & gap] = DARK
        disc = (ratio > 0.30) & (ratio < 0.66)
        material[outer & gap & disc] = BLACK
        material[outer & (ratio < 0.13)] = BLACK

    def surface(
        self, material: Tensor, x: Tensor, y: Tensor, z: Tensor, normal: Rays, blur: Tensor
    ) -> Surface:
        """Colours and gloss of N points of known material.

        Args:
            blur: half the size of a pixel there, metres, (N,).
        """
        f, s = self.finish, self.car.shape
        row = _TABLE[material].clone()
        albedo, f0, soft, metal = row[:, :3], row[:, 3], row[:, 4], row[:, 5]
        paint = material == PAINT
        albedo[paint] = torch.tensor(f.paint)
        rim = material == RIM
        albedo[rim] = torch.tensor(f.rim)
        f0 = torch.where(rim, torch.full_like(f0, max(f.rim)), f0)
        gap = self._gaps(x, y.abs(), z, normal, blur)
        shade = 1 - 0.85 * gap * paint
        albedo = albedo * shade.unsqueeze(1)
        f0 = f0 * (1 - 0.8 * gap * paint)
        glow = torch.zeros_like(x)
        lamp = material == LAMP
        if lamp.any():
            inner = self._lamp_inside(x, y.abs(), z)
            albedo = torch.where(lamp.unsqueeze(1), albedo * inner.unsqueeze(1), albedo)
            line = (z - s.cowl_z + s.hood_drop + 0.125 - f.lamp_rise * (s.nose_x - x) * 1.6).abs()
            glow = glow + lamp * f.daylight * smoothstep(0.016, 0.008, line)
        tail = (material == TAIL).unsqueeze(1)
        cell = 0.75 + 0.5 * smoothstep(-0.2, 0.4, torch.sin(z * 90)).unsqueeze(1)
        albedo = torch.where(tail, albedo * cell, albedo)
        return Surface(material, albedo, f0, soft, metal, glow)

    def _lamp_inside(self, x: Tensor, side: Tensor, z: Tensor) -> Tensor:
        """Brightness of a headlight's inside: two bright bowls in a dark housing."""
        s, f = self.car.shape, self.finish
        lamp_z = s.cowl_z - s.hood_drop - 0.075 + f.lamp_rise * (s.nose_x - x) * 1.6
        total = torch.full_like(x, 0.22)
        for centre, size in ((0.62, 0.055), (0.80, 0.050)):
            away = ((side - centre * s.half_width).square() + (z - lamp_z).square()).sqrt()
            total = total + 1.1 * smoothstep(size, size * 0.75, away)
            total = total - 0.9 * smoothstep(size * 0.6, size * 0.4, away)
            total = total + 0.8 * smoothstep(size * 0.35, 0.0, away)
        return total

    def _gaps(self, x: Tensor, side: Tensor, z: Tensor, normal: Rays, blur: Tensor) -> Tensor:
        """Coverage, 0..1, by the dark lines between panels: doors, bonnet, boot lid, handles."""
        s = self.car.shape
        half = 0.0035
        sill = s.clearance + (0.20 if s.cladding else 0.10)
        lines = []
        flank = (normal[1].abs() > 0.5) & (z > sill) & (z < s.height - 0.12)
        lean = 0.12 * (z - s.cowl_z).clamp(min=0)
        arch = self.car.wheel_radial(x, z) > s.arch_radius + 0.03
        in_doors = flank & arch & (x < self.door_front + 0.03) & (x > self.door_back - 0.03)
        for door_x in (self.door_front, self.pillar_x - lean, self.door_back - 2.5 * lean):
            lines.append(((x - door_x).abs(), flank & arch & (z < s.cowl_z + 0.5)))
        lines.append(((z - sill).abs(), in_doors))
        top = (normal[2] > 0.45) & (z < s.cowl_z + 0.04)
        hood = top & (x > s.cowl_x) & (x < s.nose_x - 0.12)
        lines.append(((side - 0.80 * s.half_width + 0.10 * (x - s.cowl_x)).abs(), hood))
        lid = (normal[0] < -0.3) & (x < s.tail_x + 0.4) & (z > s.clearance + 0.25)
        lines.append(((side - 0.70 * s.half_width).abs(), lid & (z < s.cowl_z)))
        lines.append(((z - s.clearance - 0.30).abs(), lid & (side < 0.70 * s.half_width)))
        nose = (normal[0] > 0.3) & (x > s.front_axle_x)
        lines.append(((z - s.cowl_z + s.hood_drop + 0.015).abs(), nose & (side < 0.66)))
        handle_z = s.cowl_z - 0.10
        for handle_x in (self.pillar_x + 0.16, self.door_back + 0.22):
            away = torch.maximum((x - handle_x).abs() - 0.085, (z - handle_z).abs() - 0.013)
            lines.append((away.clamp(min=0) + half - 0.002, flank))
        total = torch.zeros_like(x)
        for away, where in lines:
            cover = ((half + blur - away) / (2 * blur)).clamp_(0, 1) * (half / blur).clamp(max=1)
            total = torch.maximum(total, cover * where)
        return total
