"""Renders one frame of a booth: which pixels the car covers, and what light they get.

A first pass sends one ray through the middle of each pixel. Where that ray passed near something,
or a neighbour saw another surface, more rays decide: many on the outline, where alpha comes from,
and a few on edges inside the subject.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unet_core.booth.light import FloorShadow, encode, shade
from unet_core.booth.paint import Coat
from unet_core.booth.rays import Camera, Rays, Vector, box_span, march, turn, turn_vector
from unet_core.booth.stage import Stage, bare_radiance, wall_reach

INSIDE_SAMPLES = 5


@dataclass(frozen=True)
class Layers:
    """One frame in layers, sRGB-encoded float32 0..1: background (H, W, 3) with shadow, foreground
    (H, W, 3), alpha (H, W)."""

    background: NDArray[np.float32]
    foreground: NDArray[np.float32]
    alpha: NDArray[np.float32]


class Scene:
    """A booth with its car, ready to be photographed from any side."""

    def __init__(self, coat: Coat, stage: Stage, camera: Camera, outline_samples: int) -> None:
        self.coat, self.stage, self.camera = coat, stage, camera
        self.outline_samples = outline_samples
        self.shadow = FloorShadow(coat.car, stage)
        rows, columns = torch.meshgrid(
            torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij"
        )
        self.columns, self.rows = columns.flatten(), rows.flatten()
        self.rays = camera.rays(self.columns, self.rows)
        self.reach = self._wall_reach()
        x, y, z = (r * self.reach + o for r, o in zip(self.rays, stage.eye, strict=True))
        self.floor = (x, y, z)
        blur = self.reach * camera.pixel_angle * 0.5
        # A floor seen at a slant: its pixels are long, lines on it must be that wide to be seen.
        slant = blur / (-self.rays[2]).clamp(min=0.08).sqrt()
        self.bare = bare_radiance(stage, self.floor, slant)
        across = (self.columns / camera.width - 0.5).square()
        upward = ((self.rows - camera.height / 2) / camera.width).square()
        self.falloff = 1 - stage.vignette * 4 * (across + upward)

    def plate(self) -> NDArray[np.float32]:
        """The empty booth, sRGB-encoded, (H, W, 3) 0..1."""
        return self._picture(encode(self.bare * self.falloff.unsqueeze(1)))

    def background(self, heading: float) -> NDArray[np.float32]:
        """The booth with the car's shadow and mirror image, sRGB-encoded, (H, W, 3) 0..1."""
        return self._picture(encode(self._background(heading) * self.falloff.unsqueeze(1)))

    def layers(self, heading: float) -> Layers:
        """The frame with the car turned to `heading` radians."""
        behind = self._background(heading)
        alpha, colour = self._subject(heading, behind)
        background = encode(behind * self.falloff.unsqueeze(1))
        return Layers(self._picture(background), self._picture(colour), self._picture(alpha))

    def _picture(self, values: Tensor) -> NDArray[np.float32]:
        shape = (self.camera.height, self.camera.width, *values.shape[1:])
        picture: NDArray[np.float32] = values.reshape(shape).numpy()
        return picture

    def _wall_reach(self) -> Tensor:
        """Metres to the bare booth for each pixel: smooth, so a quarter of the size will do."""
        camera, quarter = self.camera, 4
        height, width = -(-camera.height // quarter) + 1, -(-camera.width // quarter) + 1
        rows, columns = torch.meshgrid(
            torch.arange(height) * float(quarter),
            torch.arange(width) * float(quarter),
            indexing="ij",
        )
        coarse = wall_reach(self.stage, camera.rays(columns.flatten(), rows.flatten()))
        map_x = ((self.columns) / quarter).reshape(camera.height, camera.width).numpy()
        map_y = ((self.rows) / quarter).reshape(camera.height, camera.width).numpy()
        fine = cv2.remap(
            coarse.reshape(height, width).numpy(), map_x, map_y, cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        reach = torch.from_numpy(fine).flatten()
        # The floor is flat: there the exact reach is known.
        flat = self.stage.eye[2] / (-self.rays[2]).clamp(min=1e-3)
        level = (self.rays[1] * flat + self.stage.eye[1]) < self.stage.wall_y - 2.2
        return torch.where(level & (self.rays[2] < 0) & (flat < reach * 1.1), flat, reach)

    def _background(self, heading: float) -> Tensor:
        """The booth behind the subject, with its shadow and its image in the floor: (H*W, 3)."""
        x, y, z = self.floor
        car_x, car_y = turn(x, y, -heading)
        near = (z < 0.02) & (car_x.abs() < self.shadow.half_x) & (car_y.abs() < self.shadow.half_y)
        index = torch.nonzero(near).squeeze(1)
        behind = self.bare.clone()
        light = self.shadow.light(car_x[index], car_y[index], heading)
        behind[index] *= light.unsqueeze(1)
        if self.stage.mirror > 0 and index.numel():
            behind[index] = self._mirror(heading, index, behind)
        return behind

    def _mirror(self, heading: float, index: Tensor, behind: Tensor) -> Tensor:
        """Floor pixels `index` with the car's weak mirror image mixed in: (M, 3).

        Traced at half size and blurred, as a matt floor does it anyway.
        """
        camera = Camera(
            max(1, self.camera.width // 2), max(1, self.camera.height // 2),
            self.stage.eye, self.stage.target, self.stage.focal,
        )  # fmt: skip
        rows, columns = torch.meshgrid(
            torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij"
        )
        down = camera.rays(columns.flatten(), rows.flatten())
        rays = (down[0], down[1], -down[2])
        eye = (self.stage.eye[0], self.stage.eye[1], -self.stage.eye[2])
        image = torch.zeros(camera.height * camera.width, 4)
        hit, points, local = self._trace(eye, rays, heading, camera.pixel_angle)
        if hit.numel():
            blur = torch.full_like(points[0], 0.01)
            dark = torch.zeros(hit.numel(), 3)
            colour = shade(self.coat, self.stage, heading, (points, local, blur), dark)
            weight = torch.exp(-points[2] / 0.25).unsqueeze(1)
            image[hit] = torch.cat([colour * weight, weight], dim=1)
        picture = image.reshape(camera.height, camera.width, 4).numpy()
        sigma = 0.0025 * camera.width
        picture = cv2.GaussianBlur(picture, (0, 0), sigma)
        size = (self.camera.width, self.camera.height)
        full = torch.from_numpy(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR))
        flat = full.reshape(-1, 4)[index]
        floor, share = behind[index], self.stage.mirror
        return floor * (1 - share * flat[:, 3:]) + share * flat[:, :3]

    def _trace(
        self, eye: Vector, rays: Rays, heading: float, cone: float
    ) -> tuple[Tensor, Rays, Rays]:
        """Rays (world frame) that meet the car: their indices, hit points and directions in its
        frame."""
        car = self.coat.car
        origin = turn_vector(eye, -heading)
        local = (*turn(rays[0], rays[1], -heading), rays[2])
        span = box_span(origin, local, car.box_low, car.box_high)
        walked = march(car.distance, origin, local, span, cone=cone)
        hit = torch.nonzero(walked.hit).squeeze(1)
        direction = (local[0][hit], local[1][hit], local[2][hit])
        reach = walked.reach[hit]
        points = tuple(d * reach + o for d, o in zip(direction, origin, strict=True))
        return hit, (points[0], points[1], points[2]), direction

    def _subject(self, heading: float, behind: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha (H*W,) and the subject's own sRGB colour (H*W, 3), 0..1."""
        camera, car = self.camera, self.coat.car
        origin = turn_vector(self.stage.eye, -heading)
        local = (*turn(self.rays[0], self.rays[1], -heading), self.rays[2])
        span = box_span(origin, local, car.box_low, car.box_high)
        # The cone reaches over a pixel's corners, with a margin for what a stride may pass by.
        cone = camera.pixel_angle * 0.9
        walked = march(car.distance, origin, local, span, cone=cone)
        hit = torch.nonzero(walked.hit).squeeze(1)
        alpha, colour = walked.hit.float(), torch.zeros(walked.hit.numel(), 3)
        if not (hit.numel() or walked.grazed.any()):
            return alpha, colour
        colour[hit] = self._shade(heading, hit, local, walked.reach[hit], behind, hit)
        outline, inside = self._edges(walked.hit, walked.grazed, colour)
        safe = walked.safe
        cover, mean = self._supersample(heading, inside, INSIDE_SAMPLES, safe, behind)
        alpha[inside], colour[inside] = cover, mean
        # Where a ray found a gap, the outline runs after all.
        outline = torch.cat([outline, inside[cover < 1]])
        cover, mean = self._supersample(heading, outline, self.outline_samples, safe, behind)
        alpha[outline], colour[outline] = cover, mean
        return alpha, colour

    def _shade(
        self, heading: float, rays_index: Tensor, local: Rays, reach: Tensor, behind: Tensor,
        pixels: Tensor,
    ) -> Tensor:  # fmt: skip
        """Encoded colour, (N, 3), where rays meet the car."""
        origin = turn_vector(self.stage.eye, -heading)
        ray = (local[0][rays_index], local[1][rays_index], local[2][rays_index])
        x, y, z = (d * reach + o for d, o in zip(ray, origin, strict=True))
        blur = reach * self.camera.pixel_angle * 0.5
        linear = shade(self.coat, self.stage, heading, ((x, y, z), ray, blur), behind[pixels])
        return encode(linear * self.falloff[pixels].unsqueeze(1))

    def _edges(self, covered: Tensor, grazed: Tensor, colour: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of pixels on the outline, and of pixels on edges inside the subject."""
        shape = (self.camera.height, self.camera.width)
        cover = covered.reshape(shape).numpy().astype(np.uint8)
        kernel = np.ones((3, 3), np.uint8)
        rim = (cover > 0) & (cv2.erode(cover, kernel) == 0)
        outline = rim | grazed.reshape(shape).numpy()
        seen = colour.reshape(*shape, 3).numpy()
        contrast = (cv2.dilate(seen, kernel) - cv2.erode(seen, kernel)).max(axis=2)
        inside = (contrast > 0.10) & (cover > 0) & ~outline
        return _indices(outline), _indices(inside)

    def _supersample(
        self, heading: float, pixels: Tensor, samples: int, start: Tensor, behind: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Coverage (P,) and mean encoded colour of the covered part (P, 3), by `samples` rays."""
        golden = (math.sqrt(5) - 1) / 2
        order = torch.arange(samples, dtype=torch.float32)
        off_x = (order + 0.5) / samples
        off_y = (order * golden + 0.5 / samples) % 1.0
        columns = (self.columns[pixels, None] - 0.5 + off_x).flatten()
        rows = (self.rows[pixels, None] - 0.5 + off_y).flatten()
        rays = self.camera.rays(columns, rows)
        owner = pixels.repeat_interleave(samples)
        car = self.coat.car
        origin = turn_vector(self.stage.eye, -heading)
        local = (*turn(rays[0], rays[1], -heading), rays[2])
        near, far = box_span(origin, local, car.box_low, car.box_high)
        near = torch.maximum(near, start[owner])
        walked = march(car.distance, origin, local, (near, far), cone=self.camera.pixel_angle)
        hit = torch.nonzero(walked.hit).squeeze(1)
        total = torch.zeros(len(owner), 3)
        if hit.numel():
            total[hit] = self._shade(heading, hit, local, walked.reach[hit], behind, owner[hit])
        count = walked.hit.reshape(-1, samples).sum(1)
        mean = total.reshape(-1, samples, 3).sum(1) / count.clamp(min=1).unsqueeze(1)
        return count / samples, mean


def _indices(mask: NDArray[np.bool_]) -> Tensor:
    return torch.from_numpy(np.flatnonzero(mask))
