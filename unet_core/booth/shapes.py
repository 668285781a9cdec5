"""The bodies that the booth can photograph: dimensions of seven body styles, varied by seed.

Lengths are metres, angles radians. The car's own frame: x forward from the middle of the car,
y to the left, z up from the floor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np


@dataclass(frozen=True)
class CarShape:
    """Dimensions of one car; `tail_x` is negative, and "_z" are heights above the floor."""

    style: str
    length: float
    width: float
    height: float
    wheelbase: float
    wheel_radius: float
    clearance: float
    front_overhang: float
    cowl_z: float  # foot of the windscreen, and start of the window line
    cowl_back: float  # how far the foot of the windscreen lies behind the front axle
    screen_angle: float  # windscreen against the horizontal
    hood_drop: float  # from the cowl to the leading edge
    rear_base_x: float  # foot of the rear window, measured forward from the tail
    rear_angle: float
    deck_drop: float
    wedge: float = 0.025  # rise of the window line for each metre towards the tail
    tumble: float = 0.36  # inward lean of the side windows
    bed: bool = False
    blind_rear: bool = False  # no glass behind the front doors (panel van)
    rails: bool = False
    spoiler: bool = False
    antenna: bool = True
    fin: bool = False
    cladding: bool = False
    spokes: int = 5
    spoke_width: float = 0.5

    @property
    def nose_x(self) -> float:
        return self.length / 2

    @property
    def tail_x(self) -> float:
        return -self.length / 2

    @property
    def front_axle_x(self) -> float:
        return self.nose_x - self.front_overhang

    @property
    def rear_axle_x(self) -> float:
        return self.front_axle_x - self.wheelbase

    @property
    def cowl_x(self) -> float:
        return self.front_axle_x - self.cowl_back

    @property
    def rear_x(self) -> float:
        return self.tail_x + self.rear_base_x

    @property
    def rear_z(self) -> float:
        return self.cowl_z + self.wedge * (self.cowl_x - self.rear_x)

    @property
    def half_width(self) -> float:
        return self.width / 2

    @property
    def arch_radius(self) -> float:
        return self.wheel_radius + 0.055 + (0.02 if self.cladding else 0.0)


def _style(style: str, body: tuple[float, ...], top: tuple[float, ...]) -> CarShape:
    """A table row: (length width height wheelbase wheel clearance overhang) and the upper body
    (cowl_z cowl_back screen° hood_drop rear_base rear° deck_drop)."""
    length, width, height, wheelbase, wheel, clearance, overhang = body
    cowl_z, cowl_back, screen, hood_drop, rear_base, rear, deck_drop = top
    return CarShape(
        style, length, width, height, wheelbase, wheel, clearance, overhang, cowl_z, cowl_back,
        math.radians(screen), hood_drop, rear_base, math.radians(rear), deck_drop,
    )  # fmt: skip


STYLES: dict[str, CarShape] = {
    shape.style: shape
    for shape in (
        _style(
            "sedan",
            (4.65, 1.82, 1.45, 2.74, 0.335, 0.17, 0.88),
            (0.95, 0.36, 29, 0.25, 0.62, 27, 0.12),
        ),
        _style(
            "hatch",
            (4.05, 1.76, 1.48, 2.56, 0.315, 0.17, 0.80),
            (0.97, 0.26, 33, 0.24, 0.10, 60, 0.10),
        ),
        _style(
            "wagon",
            (4.70, 1.82, 1.48, 2.78, 0.335, 0.17, 0.88),
            (0.96, 0.34, 30, 0.25, 0.14, 48, 0.10),
        ),
        _style(
            "suv",
            (4.55, 1.88, 1.70, 2.70, 0.375, 0.22, 0.85),
            (1.10, 0.34, 38, 0.22, 0.10, 64, 0.08),
        ),
        _style(
            "coupe",
            (4.45, 1.86, 1.31, 2.62, 0.345, 0.14, 0.90),
            (0.88, 0.55, 26, 0.24, 0.42, 19, 0.14),
        ),
        _style(
            "van",
            (4.90, 1.92, 1.93, 3.00, 0.340, 0.19, 0.86),
            (1.17, -0.08, 43, 0.26, 0.04, 80, 0.04),
        ),
        replace(
            _style(
                "pickup",
                (5.25, 1.90, 1.77, 3.18, 0.390, 0.25, 0.88),
                (1.13, 0.42, 38, 0.14, 2.00, 76, 0.0),
            ),
            bed=True,
            wedge=0.01,
        ),
    )
}


_SHARE = {
    "sedan": 0.20,
    "hatch": 0.18,
    "suv": 0.22,
    "wagon": 0.12,
    "coupe": 0.12,
    "pickup": 0.09,
    "van": 0.07,
}


def draw_shape(rng: np.random.Generator, style: str | None) -> CarShape:
    """A car of the given style (any of `STYLES`, drawn when None), its proportions varied.

    Raises:
        ValueError: no such style.
    """
    names = sorted(STYLES)
    drawn = names[int(rng.choice(len(names), p=[_SHARE[name] for name in names]))]
    if style is not None and style not in STYLES:
        raise ValueError(f"no body style {style!r}: choose one of {', '.join(names)}")
    base = STYLES[style or drawn]
    lengths = ("length", "width", "height", "wheel_radius", "cowl_z", "hood_drop", "deck_drop")
    spread = {"length": 0.03, "width": 0.015, "height": 0.02, "wheel_radius": 0.03}
    varied = {
        field.name: getattr(base, field.name)
        * (1 + rng.uniform(-1, 1) * spread.get(field.name, 0.03))
        for field in fields(base)
        if field.name in lengths or field.name in ("screen_angle", "rear_angle", "cowl_back")
    }
    tall = base.style in ("suv", "pickup")
    chance = rng.random(7)
    return replace(
        base,
        **varied,
        wheelbase=base.wheelbase * varied["length"] / base.length,
        wedge=base.wedge + float(rng.uniform(-0.012, 0.02)),
        blind_rear=base.style == "van" and bool(chance[0] < 0.5),
        rails=base.style in ("suv", "wagon", "van") and bool(chance[1] < 0.65),
        spoiler=base.style in ("hatch", "suv", "coupe", "wagon") and bool(chance[2] < 0.55),
        antenna=bool(chance[3] < 0.7),
        fin=bool(chance[4] < 0.5),
        cladding=bool(chance[5] < (0.75 if tall else 0.15)),
        spokes=int(rng.choice([5, 5, 6, 7, 8, 10, 12])),
        spoke_width=float(rng.uniform(0.38, 0.62)),
    )
