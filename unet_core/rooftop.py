"""Roof rails and antennas, drawn onto photos of cars that have none.

Few cars carry them, and what is seen below a rail is wall: a network that saw few fills it. Drawn
on a real photo, the gap below the rail shows that photo's own wall, lettering and all.

     ______________
    /‾‾‾‾‾‾|‾‾‾‾‾‾‾\\      the rail, with feet; below it wall
    ================      the roof, found from the mask
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Generator, Tensor, from_numpy

from unet_core.chances import chance, uniform

Line = NDArray[np.float64]
Coverage = NDArray[np.float32]

ROOF_SHARE = 0.13
"""Of the car's height: what lies no deeper below its highest point belongs to the roof."""
WIDE_SHARE = 0.1
"""Of the car's width: rows above in which less is seen are an antenna's."""
SHORTEST_PX = 40
"""A shorter roof is left alone."""
_SHIFT = 4
"""Polygons are drawn to 1/16 of a pixel."""


@dataclass(frozen=True)
class Roof:
    """The upper outline of a car: row ``line[k]`` in column ``left + k``, smoothed, in pixels."""

    left: int
    line: Line
    car_px: float
    """The car's height."""

    def at(self, columns: Line) -> Line:
        """The rows at ``columns`` of the picture."""
        return np.interp(columns, self.left + np.arange(len(self.line)), self.line)


def with_rooftop(image: Tensor, mask: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
    """(3, H, W) and (1, H, W) uint8 → the same with rails, an antenna or both on the roof.

    Returns what it was given where there is no upright car's roof to be found.
    """
    roof = find_roof(np.asarray(mask[0].numpy(), np.uint8))
    if roof is None:
        return image, mask
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy()).copy()
    alpha = np.asarray(mask[0].numpy(), np.uint8).copy()
    rails = chance(rng, 0.85)
    if rails:
        near = _draw_rail_shape(roof, rng)
        if chance(rng, 0.5):  # the far one, of which less is seen
            _paint(pixels, alpha, roof, near.behind(rng).cover(roof, alpha.shape), rng)
        _paint(pixels, alpha, roof, near.cover(roof, alpha.shape), rng)
    if not rails or chance(rng, 0.15):
        _paint(pixels, alpha, roof, _antenna(roof, alpha.shape, rng), rng)
    return from_numpy(pixels).permute(2, 0, 1), from_numpy(alpha)[None]


def find_roof(mask: NDArray[np.uint8]) -> Roof | None:
    """The roof of the car that (H, W) uint8 marks; None where there is none to speak of."""
    left, top, width, height = cv2.boundingRect((mask >= 128).astype(np.uint8))
    if top == 0 or width < SHORTEST_PX or width < 0.8 * height:
        return None
    car = mask[top : top + height, left : left + width] >= 128
    antenna = int((car.sum(axis=1) >= WIDE_SHARE * width).argmax())
    car, top, height = car[antenna:], top + antenna, height - antenna
    rows = np.where(car.any(axis=0), car.argmax(axis=0), height)
    high = rows <= ROOF_SHARE * height
    edges = np.flatnonzero(np.diff(np.r_[False, high, False]))
    start, stop = max(zip(edges[::2], edges[1::2], strict=True), key=lambda run: run[1] - run[0])
    if stop - start < SHORTEST_PX:
        return None
    columns = np.arange(start, stop)
    # A smooth line through what is there, and again below it: antennas and rails are no roof.
    fit = np.polynomial.Polynomial.fit(columns, rows[start:stop], 4)
    lower = rows[start:stop] >= fit(columns) - 1
    if lower.sum() > SHORTEST_PX:
        fit = np.polynomial.Polynomial.fit(columns[lower], rows[start:stop][lower], 4)
    return Roof(left + int(start), top + fit(columns), float(height))


@dataclass(frozen=True)
class _Rail:
    """A rail above the roof, in pixels of the picture."""

    start: float
    stop: float
    gap: float
    thickness: float
    bend: float
    """Length over which it comes down at either end."""
    feet: tuple[float, ...]
    foot_px: float

    def cover(self, roof: Roof, shape: tuple[int, ...]) -> Coverage:
        columns = np.linspace(self.start, self.stop, 96)
        inward = np.minimum(columns - self.start, self.stop - columns) / self.bend
        lift = np.sqrt(np.clip(1 - (1 - np.clip(inward, 0, 1)) ** 2, 0, 1))  # a quarter circle
        low = roof.at(columns) - self.gap * lift + 1
        high = low - self.thickness * np.clip(0.4 + inward, 0, 1)
        polygons = [np.c_[np.r_[columns, columns[::-1]], np.r_[low, high[::-1]]]]
        for foot in self.feet:
            x = np.array([foot - self.foot_px / 2, foot + self.foot_px / 2])
            y = roof.at(x)
            polygons.append(np.c_[np.r_[x, x[::-1]], np.r_[y + 1, y[::-1] - self.gap - 1]])
        return _filled(polygons, shape)

    def behind(self, rng: Generator) -> _Rail:
        """The other side's, seen from here: lower above the roof's line, thinner, shifted."""
        reach = self.stop - self.start
        shift = uniform(rng, -0.06, 0.06) * reach
        share = uniform(rng, 0.3, 0.9)
        return _Rail(
            self.start + shift, self.stop + shift, self.gap * share,
            self.thickness * uniform(rng, 0.6, 0.9), self.bend,
            tuple(foot + shift for foot in self.feet), self.foot_px,
        )  # fmt: skip


def _draw_rail_shape(roof: Roof, rng: Generator) -> _Rail:
    reach, car = float(len(roof.line)), roof.car_px
    start = roof.left + uniform(rng, 0.03, 0.25) * reach
    stop = roof.left + uniform(rng, 0.75, 0.97) * reach
    count = int(uniform(rng, 0, 3))
    feet = tuple(uniform(rng, start, stop) for _ in range(count))
    return _Rail(
        start, stop, uniform(rng, 0.004, 0.035) * car, uniform(rng, 0.009, 0.026) * car,
        uniform(rng, 0.02, 0.15) * (stop - start), feet, uniform(rng, 0.02, 0.10) * car,
    )  # fmt: skip


def _antenna(roof: Roof, shape: tuple[int, ...], rng: Generator) -> Coverage:
    """A whip that gets thinner upwards, leaning one way or the other."""
    foot = np.array([roof.left + uniform(rng, 0.1, 0.9) * len(roof.line), 0.0])
    foot[1] = roof.at(foot[:1])[0] + 2
    length = uniform(rng, 0.08, 0.30) * roof.car_px
    tip = foot + length * np.array([uniform(rng, -0.7, 0.7), -1.0])
    wide = uniform(rng, 0.004, 0.010) * roof.car_px
    half = np.array([wide / 2, 0])
    polygon = np.array([foot - half, foot + half, tip + 0.4 * half, tip - 0.4 * half])
    return _filled([polygon], shape)


def _filled(polygons: list[Line], shape: tuple[int, ...]) -> Coverage:
    """(H, W) float32 in [0, 1]: the share of each pixel that lies in one of the polygons."""
    cover = np.zeros(shape, np.uint8)
    for polygon in polygons:
        points = np.rint(polygon * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(cover, [points], 255, cv2.LINE_AA, _SHIFT)
    return np.asarray(cover / np.float32(255), np.float32)


def _paint(
    pixels: NDArray[np.uint8],
    alpha: NDArray[np.uint8],
    roof: Roof,
    cover: Coverage,
    rng: Generator,
) -> None:
    """Sets what ``cover`` says before the picture: black, metal, or the roof's own colour."""
    left, top, width, height = cv2.boundingRect((cover > 0).astype(np.uint8))
    if not width:
        return
    place = np.s_[top : top + height, left : left + width]
    kind = uniform(rng, 0, 1)
    if kind < 0.4:
        colour = np.full(3, uniform(rng, 8, 60))
    elif kind < 0.8:
        colour = np.full(3, uniform(rng, 90, 240))
    else:
        below = roof.at(np.array([left + width / 2]))[0] + 0.04 * roof.car_px
        row = min(int(below), pixels.shape[0] - 1)
        colour = np.median(pixels[row, left : left + width], axis=0)
    # Light from above, and slowly changing reflections along it.
    down = np.linspace(1, -1, height)[:, None] * uniform(rng, -10, 45)
    along = np.interp(
        np.linspace(0, 7, width), np.arange(8), [uniform(rng, -25, 25) for _ in range(8)]
    )
    painted = np.clip(colour + (down + along)[..., None], 0, 255)
    share = cover[place][..., None]
    mixed = pixels[place] * (1 - share) + painted * share
    pixels[place] = np.rint(mixed).astype(np.uint8)
    over = alpha[place] + (255 - alpha[place]) * cover[place]
    alpha[place] = np.rint(over).astype(np.uint8)
