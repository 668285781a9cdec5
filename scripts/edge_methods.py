"""The ways to an edge that edges.py sets side by side: masks, colours and shadows.

Masks and colours have a plain way, ours, and one of PyMatting (Germer et al., "PyMatting: A Python
Library for Alpha Matting", JOSS 2020) where that is installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from types import ModuleType

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_core.booth import Booth
from unet_core.refine import refine
from worker.finish.colours import clean_foreground
from worker.finish.floor import real_shadow
from worker.finish.presets import SoftShadow
from worker.finish.shadow import soft_shadow

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]

UNKNOWN_PX = 3
"""The trimap's unknown reaches so far to either side of the edge in the network's mask. PyMatting
does best with it at 1918 pixels; 5 and 8 measured worse."""


@dataclass(frozen=True)
class Scene:
    """One rendered frame with its truth; all pictures are (H, W, 3) uint8 sRGB."""

    image: Picture
    alpha: Picture
    """(H, W) uint8, 255 = subject."""
    foreground: Picture
    plate: Picture
    background: Picture
    """What is behind the car, its shadow included."""

    @classmethod
    def rendered(cls, booth: Booth, angle: int) -> Scene:
        """The frame of ``booth`` at ``angle``."""
        frame = booth.render(angle)
        truth = {field.name: getattr(frame, field.name) for field in fields(cls)[:-1]}
        return cls(**truth, background=booth.background(angle))


MaskMethod = Callable[[Picture, Picture], Picture]
"""The network's mask (h, w) uint8, the photo → alpha (H, W) uint8."""
ColourMethod = Callable[[Picture, Picture], Picture]
"""The photo, its alpha (H, W) uint8 → the subject's colours (H, W, 3) uint8."""
LightMethod = Callable[[Scene, Picture], Floats]
"""The frame (of which it may take photo and plate), its mask (H, W) uint8 → light (H, W)."""


def pymatting() -> ModuleType | None:
    """PyMatting, or None where it is not installed."""
    try:
        return importlib.import_module("pymatting")
    except ImportError:
        return None


def mask_methods(library: ModuleType | None) -> Mapping[str, MaskMethod]:
    """By name; PyMatting's where ``library`` is."""
    methods: dict[str, MaskMethod] = {"bilinear": enlarged, "ours": refine}
    if library:
        methods["closed form"] = partial(matted, library.estimate_alpha_cf)
    return methods


def colour_methods(library: ModuleType | None) -> Mapping[str, ColourMethod]:
    """By name; PyMatting's where ``library`` is."""
    methods: dict[str, ColourMethod] = {
        "the photo's": lambda pixels, alpha: pixels,
        "ours": clean_foreground,
    }
    if library:
        methods["multi-level"] = partial(unmixed, library.estimate_foreground_ml)
    return methods


def light_methods() -> Mapping[str, LightMethod]:
    """By name."""
    return {
        "none": lambda scene, mask: np.ones(mask.shape, np.float32),
        "soft": lambda scene, mask: soft_shadow(mask, SoftShadow(kind="soft")),
        "real": lambda scene, mask: real_shadow(scene.image, mask).light,
        "real, plate": lambda scene, mask: real_shadow(scene.image, mask, plate=scene.plate).light,
    }


def enlarged(mask: Picture, pixels: Picture) -> Picture:
    """The mask (h, w) uint8 at the size of ``pixels``, bilinear."""
    size = pixels.shape[1::-1]
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def matted(
    estimate: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    mask: Picture,
    pixels: Picture,
) -> Picture:
    """A matting method's alpha (H, W) uint8 from a trimap that is made of the network's mask."""
    return levels(estimate(pixels / 255, trimap_of(enlarged(mask, pixels))))


def trimap_of(mask: Picture) -> NDArray[np.float64]:
    """(H, W): 0 wall, 1 car, 0.5 within ``UNKNOWN_PX`` of the edge of ``mask`` (H, W) uint8."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * UNKNOWN_PX + 1,) * 2)
    car = cv2.erode(cv2.inRange(mask, 128, 255), kernel)
    wall = cv2.erode(cv2.inRange(mask, 0, 127), kernel)
    return np.where(car > 0, 1.0, np.where(wall > 0, 0.0, 0.5))


def unmixed(
    estimate: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    pixels: Picture,
    alpha: Picture,
) -> Picture:
    """A foreground method's colours (H, W, 3) uint8."""
    return levels(estimate(pixels / 255, alpha / 255))


def levels(values: NDArray[np.float64]) -> Picture:
    """[0, 1] → 0..255, rounded."""
    return np.asarray(np.rint(np.clip(values, 0, 1) * 255), np.uint8)
