"""Paired augmentation: what changes between one booth and the next, drawn from one generator.

A sample is (picture (3, H, W) uint8 RGB, mask (1, H, W) uint8 with 255 = subject). Geometry
changes both, colour only the picture; masks are resampled with antialiasing, so that targets
become soft fractions of a pixel instead of losing thin parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv


@dataclass(frozen=True)
class Augmentation:
    """How wild the booth may get. Probabilities in [0, 1]."""

    crop: tuple[int, int] = (384, 576)
    """(height, width) in pixels of what the network sees."""
    long_side_px: int = 960
    """What a whole picture is reduced to before the network sees it; varied by ``scales``."""
    scales: tuple[float, float] = (0.4, 1.15)
    new_background: float = 0.2
    quarter_turn: float = 0.08
    grey: float = 0.05
    blur: float = 0.15
    noise: float = 0.3
    jpeg: float = 0.3

    @property
    def reduced_px(self) -> int:
        """Long side at which pictures may be kept without loss for any of the scales."""
        return math.ceil(self.long_side_px * self.scales[1])

    def __call__(self, image: Tensor, mask: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
        """(3, H, W) uint8 and (1, H, W) uint8 → ``crop`` sized, float32 in [0, 1] both."""
        image, mask = self._geometry(image, mask, rng)
        if chance(rng, self.new_background):
            image = on_new_background(image, mask, rng)
        image = exposure_and_white_balance(image, rng, grey=chance(rng, self.grey))
        if chance(rng, self.blur):
            image = tv.gaussian_blur(image, [5, 5], [uniform(rng, 0.3, 1.3)])
        if chance(rng, self.noise):
            sigma = uniform(rng, 0.002, 0.03)
            image = image + sigma * torch.randn(image.shape, generator=rng)
        image = image.clamp(0, 1)
        if chance(rng, self.jpeg):
            image = through_jpeg(image, quality=int(uniform(rng, 40, 95)))
        return image, mask

    def _geometry(self, image: Tensor, mask: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
        if chance(rng, self.quarter_turn):
            turns = int(uniform(rng, 1, 4))
            image, mask = (torch.rot90(x, turns, (1, 2)) for x in (image, mask))
        if chance(rng, 0.5):
            image, mask = image.flip(-1), mask.flip(-1)
        low, high = (math.log(scale) for scale in self.scales)
        scale = math.exp(uniform(rng, low, high)) * self.long_side_px / max(image.shape)
        height, width = (round(side / scale) for side in self.crop)
        top = round(uniform(rng, *window(image.shape[-2], height)))
        left = round(uniform(rng, *window(image.shape[-1], width)))
        return (
            cut(image, top, left, (height, width), self.crop),
            cut(mask, top, left, (height, width), self.crop),
        )


def cut(x: Tensor, top: int, left: int, source: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The window of ``source`` (h, w) at (top, left) of (C, H, W) uint8, resized to ``size``.

    Where the window leaves the picture, the border is repeated. Returns float32 in [0, 1].
    """
    height, width = x.shape[-2:]
    inside = x[
        :, max(top, 0) : min(top + source[0], height), max(left, 0) : min(left + source[1], width)
    ]
    factor = (size[0] / source[0], size[1] / source[1])
    part = [max(1, round(inside.shape[1] * factor[0])), max(1, round(inside.shape[2] * factor[1]))]
    small = tv.resize(inside, part, interpolation=InterpolationMode.BILINEAR, antialias=True)
    above = min(max(0, round(-top * factor[0])), size[0] - 1)
    before = min(max(0, round(-left * factor[1])), size[1] - 1)
    small = small[:, : size[0] - above, : size[1] - before]
    below, after = size[0] - above - small.shape[1], size[1] - before - small.shape[2]
    padded = F.pad(small[None].float(), (before, after, above, below), mode="replicate")[0]
    return padded / 255


def window(side: int, length: int) -> tuple[float, float]:
    """Where a window of ``length`` may begin on a side: inside it, or around it if larger."""
    return (min(0, side - length), max(0, side - length))


def on_new_background(image: Tensor, mask: Tensor, rng: Generator) -> Tensor:
    """The subject (by ``mask``) on another wall: plain, shaded or cluttered, at times of the
    subject's own colour, with the shadow that a floor would show. All float32 in [0, 1]."""
    size = image.shape[-2:]
    if chance(rng, 0.3) and bool((mask > 0.5).any()):
        base = (image * mask).sum((1, 2)) / mask.sum().clamp(min=1)  # white car, white wall
    elif chance(rng, 0.5):
        base = torch.rand(1, generator=rng).expand(3)
    else:
        base = torch.rand(3, generator=rng)
    wall = base[:, None, None] + uniform(rng, 0.05, 0.35) * smooth_noise(size, 3, rng)
    if chance(rng, 0.5):  # things that stand about
        wall = wall + uniform(rng, 0.05, 0.3) * smooth_noise(size, int(uniform(rng, 6, 60)), rng)
    if chance(rng, 0.6):  # a shadow below the subject
        low = F.avg_pool2d(F.avg_pool2d(mask[None], 9, 4, 4), 9, 1, 4)
        shadow = F.interpolate(low, size, mode="bilinear")[0].roll(int(uniform(rng, 4, 30)), 1)
        wall = wall * (1 - uniform(rng, 0.2, 0.8) * shadow)
    return torch.lerp(wall.clamp(0, 1), image, mask)


def smooth_noise(size: torch.Size, cells: int, rng: Generator) -> Tensor:
    """(3, H, W) float32 in about [-1, 1]: random values on ``cells``², smoothly enlarged; mostly
    grey with a little colour, as light in a room is."""
    grey = torch.randn(1, 1, cells, cells, generator=rng)
    tint = torch.randn(1, 3, cells, cells, generator=rng)
    field = (grey + 0.4 * tint) / 2
    return F.interpolate(field, tuple(size), mode="bicubic", align_corners=False)[0]


def exposure_and_white_balance(image: Tensor, rng: Generator, *, grey: bool) -> Tensor:
    """Another exposure, gamma, contrast, colour temperature and saturation; float32 in [0, 1]."""
    luma = tv.rgb_to_grayscale(image)
    saturation = 0.0 if grey else uniform(rng, 0.6, 1.4)
    image = luma + saturation * (image - luma)
    gains = 1 + 0.08 * torch.randn(3, generator=rng)
    image = image * (gains * uniform(rng, 0.75, 1.25))[:, None, None]
    return image.clamp(0, 1) ** uniform(rng, 0.75, 1.35)


def through_jpeg(image: Tensor, *, quality: int) -> Tensor:
    """What JPEG of ``quality`` (1 to 100) leaves of (3, H, W) float32 in [0, 1] RGB."""
    bgr = (image * 255).round().to(torch.uint8).flip(0).permute(1, 2, 0).contiguous().numpy()
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    back = torch.from_numpy(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8))
    return back.permute(2, 0, 1).flip(0).float() / 255


def uniform(rng: Generator, low: float, high: float) -> float:
    """A number in [low, high)."""
    return low + (high - low) * float(torch.rand((), generator=rng))


def chance(rng: Generator, probability: float) -> bool:
    """True with the given probability."""
    return float(torch.rand((), generator=rng)) < probability
