"""Paired augmentation: what changes between one booth and the next, drawn from one generator.

A sample is (picture (3, H, W) uint8 RGB, mask (1, H, W) uint8 with 255 = subject). Geometry is one
affine map for both (turn, scale, rotate, mirror and crop at once); colour changes only the
picture, with torchvision's v2 transforms. Masks are resampled linearly, so that targets are soft
fractions of a pixel instead of losing thin parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional as tv

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Augmentation:
    """How wild the booth may get. Probabilities in [0, 1]."""

    crop: tuple[int, int] = (384, 576)
    """(height, width) in pixels of what the network sees."""
    long_side_px: int = 960
    """What a whole picture is reduced to before the network sees it; varied by ``scales``."""
    scales: tuple[float, float] = (0.8, 1.2)
    """Most samples; what a photo of the booth looks like."""
    far_scales: tuple[float, float] = (0.35, 1.5)
    """The others: a small subject in a large picture, a part of a large one."""
    far: float = 0.2
    on_subject: float = 0.4
    """How often the crop's centre lies in the subject's box instead of anywhere: a network that
    seldom sees the far corners of a booth finds subjects there."""
    quarter_turn: float = 0.15
    rotation: float = 0.15
    rotation_degrees: float = 15.0
    new_background: float = 0.2
    no_subject: float = 0.1
    """How often there is nothing before a new background."""
    light: float = 1.0
    """How far exposure, white balance and gamma may go; 0 leaves the picture's own."""
    grey: float = 0.04
    blur: float = 0.1
    noise: float = 0.15
    jpeg: float = 0.25

    @property
    def reduced_px(self) -> int:
        """Long side at which pictures are kept: larger ones would only be reduced again."""
        return math.ceil(self.long_side_px * self.scales[1])

    def __call__(self, image: Tensor, mask: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
        """(3, H, W) uint8 and (1, H, W) uint8 → the same, ``crop`` sized."""
        image, mask = self._geometry(image, mask, rng)
        if chance(rng, self.new_background):
            if chance(rng, self.no_subject):
                mask = torch.zeros_like(mask)
            image = on_new_background(image, mask, rng)
        grey = chance(rng, self.grey)
        image = exposure_and_white_balance(image, rng, grey=grey, strength=self.light)
        if chance(rng, self.blur):
            image = tv.gaussian_blur(image, [5, 5], [uniform(rng, 0.3, 1.2)])
        if chance(rng, self.noise):
            sigma = uniform(rng, 0.5, 6)
            image = (
                (image + sigma * torch.randn(image.shape, generator=rng)).round_().clamp_(0, 255)
            )
            image = image.to(torch.uint8)
        if chance(rng, self.jpeg):
            image = through_jpeg(image, quality=int(uniform(rng, 40, 95)))
        return image, mask

    def _geometry(self, image: Tensor, mask: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
        matrix = self._draw_map(mask, rng)
        return warp(image, matrix, self.crop), warp(mask, matrix, self.crop)

    def _draw_map(self, mask: Tensor, rng: Generator) -> Matrix:
        """(2, 3) float64: pixels of the picture → pixels of the crop."""
        bounds = self.far_scales if chance(rng, self.far) else self.scales
        low, high = (math.log(bound) for bound in bounds)
        scale = math.exp(uniform(rng, low, high)) * self.long_side_px / max(mask.shape)
        angle = 90.0 * int(uniform(rng, 1, 4)) if chance(rng, self.quarter_turn) else 0.0
        if chance(rng, self.rotation):
            angle += uniform(rng, -self.rotation_degrees, self.rotation_degrees)
        mirror = -1.0 if chance(rng, 0.5) else 1.0
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        linear = scale * np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror, 1.0])
        centre = self._draw_centre(mask, rng)
        middle = (np.array(self.crop[::-1]) - 1) / 2
        return np.hstack([linear, (middle - linear @ centre)[:, None]])

    def _draw_centre(self, mask: Tensor, rng: Generator) -> Matrix:
        """(2,): where in the picture (x, y) the crop's centre lies."""
        height, width = mask.shape[-2:]
        box = (0.1 * width, 0.9 * width), (0.1 * height, 0.9 * height)
        if chance(rng, self.on_subject):
            box = subject_box(mask) or box
        return np.array([uniform(rng, *side) for side in box])


def subject_box(mask: Tensor) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """((left, right), (top, bottom)) in pixels of what (1, H, W) uint8 marks; None if nothing."""
    left, top, width, height = cv2.boundingRect(mask[0].numpy())
    return ((left, left + width - 1), (top, top + height - 1)) if width and height else None


def warp(x: Tensor, matrix: Matrix, size: tuple[int, int]) -> Tensor:
    """(C, H, W) uint8 through an affine map of pixels (2, 3) → (C, *size) uint8.

    Where the map leaves the picture, its border is repeated.
    """
    pixels = np.ascontiguousarray(x.permute(1, 2, 0).numpy())
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if scale < 0.75:  # linear interpolation alone would skip pixels
        height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
        back = np.array([pixels.shape[1] / width, pixels.shape[0] / height])
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        # Pixel centres: x = back · (x' + ½) − ½
        matrix = np.hstack(
            [matrix[:, :2] * back, matrix[:, 2:] + matrix[:, :2] @ ((back - 1) / 2)[:, None]]
        )
    out = cv2.warpAffine(
        pixels, matrix, size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return torch.from_numpy(out.reshape(*size, -1)).permute(2, 0, 1)


def on_new_background(image: Tensor, mask: Tensor, rng: Generator) -> Tensor:
    """The subject (by ``mask``) on another wall: plain, shaded or cluttered, at times of the
    subject's own colour, with the shadow that a floor would show. All uint8."""
    size = image.shape[-2:]
    picture, share = image.float() / 255, mask.float() / 255
    if chance(rng, 0.3) and bool(mask.any()):
        base = (picture * share).sum((1, 2)) / share.sum()  # white car, white wall
    elif chance(rng, 0.5):
        base = torch.rand(1, generator=rng).expand(3)
    else:
        base = torch.rand(3, generator=rng)
    wall = base[:, None, None] + uniform(rng, 0.05, 0.35) * smooth_noise(size, 3, rng)
    if chance(rng, 0.5):
        wall = wall + uniform(rng, 0.05, 0.3) * smooth_noise(size, int(uniform(rng, 6, 60)), rng)
    wall = wall.clamp(0, 1)
    if chance(rng, 0.6):
        wall = clutter(wall, rng)
    if chance(rng, 0.6):  # a shadow below the subject
        low = F.avg_pool2d(F.avg_pool2d(share[None], 9, 4, 4), 9, 1, 4)
        shadow = F.interpolate(low, size, mode="bilinear")[0].roll(int(uniform(rng, 4, 30)), 1)
        wall = wall * (1 - uniform(rng, 0.2, 0.8) * shadow)
    mixed = torch.lerp(wall, picture, share)
    return (mixed * 255).round_().to(torch.uint8)


def clutter(wall: Tensor, rng: Generator) -> Tensor:
    """The wall (3, H, W) float32 in [0, 1] with things on it that have hard edges and are no
    subject: panels, posts, cables, rings, lettering."""
    canvas = np.ascontiguousarray((wall * 255).to(torch.uint8).permute(1, 2, 0).numpy())
    height, width = canvas.shape[:2]
    for _ in range(int(uniform(rng, 2, 14))):
        shades = 1 if chance(rng, 0.6) else 3
        colour = (torch.rand(shades, generator=rng) * 255).expand(3).tolist()
        x, y = int(uniform(rng, 0, width)), int(uniform(rng, 0, height))
        reach = uniform(rng, 0.02, 0.4) * height
        far = (int(x + uniform(rng, -reach, reach)), int(y + uniform(rng, -reach, reach)))
        thick = int(uniform(rng, 1, 9))
        kind = int(uniform(rng, 0, 4))
        if kind == 0:
            cv2.rectangle(canvas, (x, y), far, colour, -1)
        elif kind == 1:
            cv2.line(canvas, (x, y), far, colour, thick, cv2.LINE_AA)
        elif kind == 2:
            cv2.circle(canvas, (x, y), int(reach), colour, thick, cv2.LINE_AA)
        else:
            letter, size = chr(int(uniform(rng, 65, 91))), uniform(rng, 0.5, 6)
            cv2.putText(canvas, letter, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, colour, thick)
    return torch.from_numpy(canvas).permute(2, 0, 1) / 255


def smooth_noise(size: torch.Size, cells: int, rng: Generator) -> Tensor:
    """(3, H, W) float32 in about [-1, 1]: random values on ``cells``², smoothly enlarged; mostly
    grey with a little colour, as light in a room is."""
    grey = torch.randn(1, 1, cells, cells, generator=rng)
    tint = torch.randn(1, 3, cells, cells, generator=rng)
    field = (grey + 0.4 * tint) / 2
    return F.interpolate(field, tuple(size), mode="bicubic", align_corners=False)[0]


def exposure_and_white_balance(
    image: Tensor, rng: Generator, *, grey: bool, strength: float = 1.0
) -> Tensor:
    """Another saturation, exposure, colour temperature and gamma; (3, H, W) uint8 RGB."""

    def drawn(low: float, high: float) -> float:
        return 1 + strength * (uniform(rng, low, high) - 1)

    image = tv.adjust_saturation(image, 0.0 if grey else drawn(0.6, 1.4))
    gains = (1 + strength * 0.06 * torch.randn(3, generator=rng)) * drawn(0.7, 1.4)
    level = torch.arange(256)[:, None] / 255
    curves = (level * gains).clamp(0, 1) ** drawn(0.75, 1.35)  # (256, 3)
    table = (curves * 255).round_().to(torch.uint8).numpy()
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    return torch.from_numpy(cv2.LUT(pixels, table[None])).permute(2, 0, 1)


def through_jpeg(image: Tensor, *, quality: int) -> Tensor:
    """What JPEG of ``quality`` (1 to 100) leaves of (3, H, W) uint8 RGB. By OpenCV: torchvision
    gives up its codecs."""
    bgr = np.ascontiguousarray(image.flip(0).permute(1, 2, 0).numpy())
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    back = torch.from_numpy(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8))
    return back.permute(2, 0, 1).flip(0)


def uniform(rng: Generator, low: float, high: float) -> float:
    """A number in [low, high)."""
    return low + (high - low) * float(torch.rand((), generator=rng))


def chance(rng: Generator, probability: float) -> bool:
    """True with the given probability."""
    return float(torch.rand((), generator=rng)) < probability
