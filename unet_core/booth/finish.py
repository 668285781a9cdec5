"""How the booth's cars are finished: paint, rims, glass and lights, varied by seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unet_core.booth.stage import Colour


@dataclass(frozen=True)
class Finish:
    """How one car is painted and trimmed."""

    paint: Colour
    metallic: float
    rim: Colour
    tint: float  # share of light that a window lets through
    chrome: bool  # window surround and grille in chrome, else black
    two_tone: bool  # black roof
    grille_z: float
    grille_half: float
    lamp_rise: float  # how far the headlights sweep back and up
    daylight: float  # radiance of the day-running light, 0 when off
    door_rear: float  # how far behind the middle of the wheelbase the middle pillar stands


PAINTS: dict[str, tuple[Colour, float]] = {
    "black": ((0.008, 0.008, 0.009), 0.0),
    "white": ((0.80, 0.80, 0.79), 0.0),
    "silver": ((0.42, 0.43, 0.44), 0.7),
    "grey": ((0.10, 0.105, 0.115), 0.5),
    "red": ((0.42, 0.012, 0.014), 0.1),
    "dark red": ((0.13, 0.008, 0.014), 0.4),
    "blue": ((0.016, 0.065, 0.30), 0.3),
    "pale blue": ((0.22, 0.38, 0.52), 0.3),
    "green": ((0.016, 0.10, 0.050), 0.3),
    "orange": ((0.60, 0.15, 0.012), 0.2),
    "yellow": ((0.68, 0.44, 0.020), 0.0),
    "beige": ((0.48, 0.42, 0.33), 0.4),
}


def draw_finish(rng: np.random.Generator, *, paint: Colour | None, wall: Colour) -> Finish:
    """Paint and trim: the paint as given, else one of `PAINTS` or, at times, the wall's colour."""
    names = sorted(PAINTS)
    weights = np.array([2.0 if n in ("black", "white", "silver", "grey") else 1.0 for n in names])
    colour, metallic = PAINTS[names[int(rng.choice(len(names), p=weights / weights.sum()))]]
    jitter = rng.uniform(0.85, 1.15, 3)
    chance = rng.random(6)
    red, green, blue = (float(min(0.85, c * j)) for c, j in zip(colour, jitter, strict=True))
    colour = (red, green, blue)
    if chance[0] < 0.12:
        colour, metallic = wall, 0.0
    rim = [(0.60, 0.61, 0.63), (0.42, 0.43, 0.45), (0.03, 0.03, 0.032)][int(rng.choice(3))]
    return Finish(
        paint=paint or colour,
        metallic=metallic if paint is None else 0.15,
        rim=rim,
        tint=float(rng.uniform(0.22, 0.62)),
        chrome=bool(chance[1] < 0.45),
        two_tone=bool(chance[2] < 0.10),
        grille_z=float(rng.uniform(0.50, 0.60)),
        grille_half=float(rng.uniform(0.28, 0.46)),
        lamp_rise=float(rng.uniform(0.02, 0.12)),
        daylight=float(rng.uniform(0.8, 1.6)) if chance[3] < 0.3 else 0.0,
        door_rear=float(rng.uniform(-0.02, 0.16)),
    )
