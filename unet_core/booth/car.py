"""The booth's subject as a signed-distance field: where the car is, and which part is where.

Every length is in metres, in the car's own frame (x forward, y left, z up, floor at z = 0). The
field is a lower bound of the distance, so that a ray may safely step that far. It follows the
smooth-blend recipes of Inigo Quilez (https://iquilezles.org/articles/distfunctions/).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unet_core.booth.shapes import CarShape

BODY, WHEEL, MIRROR, TRIM, ANTENNA = range(5)
"""What `Car.parts` tells apart, in its order."""

RIM_SHARE = 0.73
"""Radius of a rim as a share of the tyre's."""

SAFETY = 0.88
"""The bent half-spaces of the body are steeper than 1 in places; this keeps the bound a bound."""


def smooth_max(a: Tensor, b: Tensor, radius: float) -> Tensor:
    """The larger of two distances, the crease between them rounded over `radius` metres."""
    overlap = (radius - (a - b).abs()).clamp_(min=0)
    return torch.maximum(a, b).add_(overlap.square_(), alpha=0.25 / radius)


def smooth_min(a: Tensor, b: Tensor, radius: float) -> Tensor:
    """The smaller of two distances, the seam between them filled over `radius` metres."""
    overlap = (radius - (a - b).abs()).clamp_(min=0)
    return torch.minimum(a, b).sub_(overlap.square_(), alpha=0.25 / radius)


def bump(offset: Tensor, half: float) -> Tensor:
    """1 at offset 0, smoothly down to 0 where the offset reaches `half` metres."""
    return (offset / half).square_().neg_().add_(1).clamp_(min=0).square_()


def rounded_box(a: Tensor, b: Tensor, c: Tensor, radius: float) -> Tensor:
    """A box with rounded edges, from the distances beyond each of its three pairs of faces."""
    a, b, c = a + radius, b + radius, c + radius
    outside = (
        a.clamp(min=0).square_() + b.clamp(min=0).square_() + c.clamp(min=0).square_()
    ).sqrt_()
    return outside + torch.maximum(torch.maximum(a, b), c).clamp_(max=0) - radius


@dataclass(frozen=True)
class Glasshouse:
    """Signed distances to the bent planes around the cabin, negative inside; each is (N,)."""

    screen: Tensor
    rear: Tensor
    roof: Tensor
    side: Tensor


class Car:
    """The distance field of one car; all methods take and give float32 tensors of shape (N,)."""

    def __init__(self, shape: CarShape) -> None:
        self.shape = shape
        s = shape
        self.axle_mid = (s.front_axle_x + s.rear_axle_x) / 2
        self.axle_half = s.wheelbase / 2
        self.wheel_y = s.half_width - 0.125
        self.tyre_half = 0.105 + (0.015 if s.bed or s.style == "suv" else 0.0)
        self.roof_x = 0.5 * (s.cowl_x + s.rear_x) - 0.1
        self.cabin_half = s.half_width - 0.115
        self.box_low = (s.tail_x - 0.1, -s.half_width - 0.26, 0.0)
        self.box_high = (s.nose_x + 0.1, s.half_width + 0.26, s.height + 0.55)

    def distance(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Lower bound of the distance to the car, metres; negative inside."""
        nearest = self.parts(x, y, z)
        return torch.stack(nearest).amin(0)

    def parts(self, x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
        """The distance to each of BODY, WHEEL, MIRROR, TRIM, ANTENNA, in that order."""
        side = y.abs()
        radial = self.wheel_radial(x, z)
        body = self.body(x, side, z, radial) * SAFETY
        return [body, self._wheels(side, radial), self._mirrors(x, side, z),
                self._trim(x, side, z), self._antenna(x, y, z)]  # fmt: skip

    def wheel_along(self, x: Tensor) -> Tensor:
        """Metres beyond the nearer axle, away from the middle of the car; negative between them."""
        return (x - self.axle_mid).abs_().sub_(self.axle_half)

    def wheel_radial(self, x: Tensor, z: Tensor) -> Tensor:
        """Distance from the nearer axle's line, metres."""
        return (self.wheel_along(x).square_() + (z - self.shape.wheel_radius).square_()).sqrt_()

    def belt(self, x: Tensor) -> Tensor:
        """Height of the lower body's upper surface at the centre line, metres."""
        s = self.shape
        hood = ((x - s.cowl_x) / (s.nose_x - s.cowl_x)).clamp_(0, 1.4)
        deck = ((s.rear_x - x) / max(s.rear_base_x, 0.3)).clamp_(0, 1.4)
        line = (s.cowl_x - x).clamp_(-0.4) * s.wedge + s.cowl_z
        return line - s.hood_drop * (0.3 * hood + 0.7 * hood.square()) - s.deck_drop * deck.square()

    def half_width(self, x: Tensor, z: Tensor, radial: Tensor) -> Tensor:
        """Half the width of the lower body, with its arches, crease and hollow flank."""
        s = self.shape
        front = (x - (s.front_axle_x - 0.15)).clamp_(min=0).square_()
        rear = ((s.rear_axle_x + 0.25) - x).clamp_(min=0).square_()
        crease_z = s.cowl_z - 0.17
        crease = bump(z - crease_z - 0.03 * (s.cowl_x - x), 0.10)
        hollow = bump(z - 0.56 * s.cowl_z, 0.19)
        flare = bump(radial - s.arch_radius, 0.13)
        half = s.half_width - 0.015 - 0.14 * front - 0.09 * rear
        half = half - 0.20 * (z - 0.60 * s.cowl_z).square_()
        return half + 0.010 * crease - 0.014 * hollow + 0.022 * flare

    def body(self, x: Tensor, side: Tensor, z: Tensor, radial: Tensor) -> Tensor:
        """The shell: lower body and cabin, wheel arches cut out."""
        s = self.shape
        hull = self.hull(x, side, z, radial)
        shell = smooth_min(hull, self.cabin(x, side, z), 0.035)
        arch = torch.maximum(radial - s.arch_radius, (0.45 * s.half_width) - side)
        return smooth_max(shell, -arch, 0.02)

    def hull(self, x: Tensor, side: Tensor, z: Tensor, radial: Tensor) -> Tensor:
        """The lower body without its wheel arches (and with the bed of a pickup)."""
        s = self.shape
        bow = side.square()
        top = z - self.belt(x) + 0.05 * bow
        flank = side - self.half_width(x, z, radial)
        lean = (z - 0.48).square()
        nose = x - s.nose_x + 0.13 * bow + 0.30 * lean
        tail = self._tail(x, side, z)
        overhang = ((x - self.axle_mid).abs_() - self.axle_half - 0.2).clamp_(min=0)
        floor = s.clearance + 0.10 * overhang - z
        hull = smooth_max(top, flank, 0.11)
        hull = smooth_max(hull, torch.maximum(nose, tail), 0.17)
        hull = smooth_max(hull, floor, 0.07)
        if s.bed:
            # The load bed follows the outer skin, so that its walls are as thick at the corners.
            walls = smooth_max(flank, tail, 0.17) + 0.13
            load = torch.maximum(torch.maximum(walls, x - s.rear_x + 0.16), 0.66 - z)
            load = torch.maximum(load, s.arch_radius + 0.04 - radial)
            hull = smooth_max(hull, -load, 0.03)
        return hull

    def _tail(self, x: Tensor, side: Tensor, z: Tensor) -> Tensor:
        return self.shape.tail_x - x + 0.09 * side.square() + 0.22 * (z - 0.48).square()

    def glasshouse(self, x: Tensor, side: Tensor, z: Tensor) -> Glasshouse:
        """The bent planes whose rounded intersection is the cabin."""
        s = self.shape
        bow = side.square()
        run = (x - self.roof_x).square_()
        sin_f, cos_f = math.sin(s.screen_angle), math.cos(s.screen_angle)
        sin_r, cos_r = math.sin(s.rear_angle), math.cos(s.rear_angle)
        screen = (x - s.cowl_x + 0.10 * bow) * sin_f + (z - s.cowl_z) * cos_f
        rear = (s.rear_x - x + 0.07 * bow) * sin_r + (z - s.rear_z) * cos_r
        roof = z - s.height + 0.035 * run + 0.05 * bow
        lean = (z - s.cowl_z).clamp_(min=-0.05)
        flank = (side - self.cabin_half + s.tumble * lean + 0.025 * run) * 0.94
        return Glasshouse(screen, rear, roof, flank)

    def cabin(self, x: Tensor, side: Tensor, z: Tensor) -> Tensor:
        """The upper body: windscreen, roof, rear window and leaning sides."""
        g = self.glasshouse(x, side, z)
        profile = smooth_max(smooth_max(g.screen, g.rear, 0.1), g.roof, 0.20)
        cabin = smooth_max(smooth_max(profile, g.side, 0.12), self._tail(x, side, z), 0.10)
        return torch.maximum(cabin, (self.shape.cowl_z - 0.25) - z)

    def _wheels(self, side: Tensor, radial: Tensor) -> Tensor:
        s = self.shape
        across = side - self.wheel_y
        corner = 0.035
        reach = (radial - (s.wheel_radius - corner)).clamp(min=0)
        depth = (across.abs() - (self.tyre_half - corner)).clamp_(min=0)
        tyre = (reach.square_() + depth.square_()).sqrt_().sub_(corner)
        rim = RIM_SHARE * s.wheel_radius
        dish = 0.030 - 0.022 * (1 - radial / rim).clamp(min=0)
        recess = torch.maximum(radial - rim, (self.tyre_half - dish) - across)
        return torch.maximum(tyre, -recess)

    def _mirrors(self, x: Tensor, side: Tensor, z: Tensor) -> Tensor:
        s = self.shape
        x = x - (s.cowl_x - 0.34)
        z = z - (s.cowl_z + 0.10)
        across = side - (s.half_width + 0.055)
        # The housing is cut off behind (where the glass is) and bulges forward.
        shell = (
            (x / 0.11).square() + (across / 0.125).square() + (z / 0.078).square()
        ).sqrt_().sub_(1).mul_(0.07)  # fmt: skip
        shell = smooth_max(shell, -0.035 - x, 0.02)
        stalk = rounded_box(
            x.abs() - 0.035, (across + 0.13).abs_() - 0.10, (z + 0.05).abs_() - 0.018, 0.015
        )
        return smooth_min(shell, stalk, 0.03)

    def _trim(self, x: Tensor, side: Tensor, z: Tensor) -> Tensor:
        s = self.shape
        roof_z = s.height - 0.035 * (x - self.roof_x).square()
        trim = torch.full_like(x, 1e3)
        if s.rails:
            mid, half = self.rail_span()
            rail_y = self.roof_half() - 0.05
            run = (x - mid).abs_() - half
            lift = z - roof_z + 0.05 * rail_y**2 - 0.045
            # The rail bends down to the roof at both ends.
            lift = lift + 0.07 * ((run + 0.12).clamp(min=0) / 0.12).square()
            trim = (
                rounded_box(run, (side - rail_y).abs_() - 0.016, lift.abs_() - 0.012, 0.010) * 0.8
            )
        if s.spoiler:
            edge_x, edge_z = self.spoiler_edge()
            wing = rounded_box(
                (x - edge_x).abs_() - 0.13,
                side - self.roof_half() * 0.93,
                (z - edge_z + 0.05 * side.square() + 0.12 * (x - edge_x)).abs_() - 0.018,
                0.018,
            )
            trim = torch.minimum(trim, wing * 0.9)
        return trim

    def rail_span(self) -> tuple[float, float]:
        """Middle and half length of the roof rails along x, metres."""
        s = self.shape
        rise = s.height - s.cowl_z
        front = s.cowl_x - rise / math.tan(s.screen_angle) - 0.22
        back = s.rear_x + rise / math.tan(s.rear_angle) + 0.30
        return (front + back) / 2, (front - back) / 2

    def roof_half(self) -> float:
        """Half the width of the roof at its edge, metres."""
        return self.cabin_half - self.shape.tumble * (self.shape.height - self.shape.cowl_z - 0.06)

    def spoiler_edge(self) -> tuple[float, float]:
        """Where (x, z) the spoiler sits: the roof's end, or the deck of a coupe."""
        s = self.shape
        if s.style == "coupe":
            return s.tail_x + 0.13, s.rear_z - s.deck_drop + 0.10
        back = s.rear_x + (s.height - s.rear_z - 0.08) / math.tan(s.rear_angle)
        return back + 0.05, s.height - 0.035 * (back - self.roof_x) ** 2 - 0.085

    def _antenna(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        s = self.shape
        if not (s.antenna or s.fin):
            return torch.full_like(x, 1e3)
        mid, half = self.rail_span()
        foot_x = mid - 0.8 * half
        foot_z = s.height - 0.035 * (foot_x - self.roof_x) ** 2 - 0.02
        if s.fin:
            low = z - foot_z
            front = (x - foot_x + 1.5 * low - 0.12) * 0.55
            keel = torch.maximum(front, foot_x - x - 0.3 * low - 0.06)
            return rounded_box(keel, y.abs() - 0.03 + 0.2 * low, low.abs() - 0.085, 0.010) * 0.85
        lean_x, lean_z, reach = -0.42, 0.91, 0.42
        along = ((x - foot_x) * lean_x + (z - foot_z) * lean_z).clamp_(0, reach)
        off_x, off_z = x - foot_x - along * lean_x, z - foot_z - along * lean_z
        # A whip that tapers from 5 mm to 2.4 mm: less than a pixel wide in most frames.
        return (off_x.square_() + y.square() + off_z.square_()).sqrt_() - (0.005 - 0.006 * along)
