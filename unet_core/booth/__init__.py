"""A photo booth that renders its own shoots: car-like subjects on a turntable, with exact alpha.

The pictures feed the demo, the tests and training. A booth is drawn from its seed: body style,
proportions, paint, wall, lamps, camera. The same booth gives the same bytes on the same machine.

Mixing is done in sRGB-encoded values, as compositors do it:
``image = alpha * foreground + (1 - alpha) * background`` with all of them encoded, so that alpha is
exact for who works on encoded values. Shadow and floor reflection belong to the background. Windows
belong to the subject (alpha 255), as in the Carvana masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from math import radians
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from unet_core.booth.car import Car
from unet_core.booth.finish import draw_finish
from unet_core.booth.paint import Coat
from unet_core.booth.render import Scene
from unet_core.booth.shapes import draw_shape
from unet_core.booth.stage import Colour, draw_stage
from unet_core.files import write_file

Picture = NDArray[np.uint8]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RenderedFrame:
    """One frame and its truth; H and W are the booth's height and width.

    Attributes:
        angle: 1 for the first frame of the turn.
        image: (H, W, 3) uint8 sRGB RGB, what the camera delivers.
        alpha: (H, W) uint8, share of each pixel that the subject covers, 255 = all.
        foreground: (H, W, 3) uint8 sRGB RGB, the subject's own colour, unmixed from the background
            wherever alpha > 0; 0 elsewhere.
        plate: (H, W, 3) uint8 sRGB RGB, the empty booth from the same camera: no car, no shadow,
            no noise.
    """

    angle: int
    image: Picture
    alpha: Picture
    foreground: Picture
    plate: Picture


@dataclass(frozen=True)
class Booth:
    """A studio with one car; whatever is None is drawn from the seed.

    Attributes:
        seed: what everything is drawn from; the size of the pictures changes nothing else.
        width, height: size of the pictures, pixels, at least 8 each.
        angles: frames in a full turn; the turntable moves 360 / angles degrees a frame.
        style: one of `booth.shapes.STYLES`, such as "sedan", "suv" or "van".
        paint, wall: sRGB, 0..255 each.
        antenna: a whip antenna on the roof, less than a pixel wide at most sizes.
        mirror: share of light that the floor mirrors, 0..1.
        noise: sensor noise, standard deviation at mid grey in 8-bit steps; 0 for none.
        samples: rays for each pixel of the subject's outline; alpha moves in steps of 1 / samples.
    """

    seed: int = 0
    width: int = 960
    height: int = 640
    angles: int = 16
    style: str | None = None
    paint: tuple[int, int, int] | None = None
    wall: tuple[int, int, int] | None = None
    antenna: bool | None = None
    mirror: float | None = None
    noise: float | None = None
    samples: int = 32

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 8:
            raise ValueError(
                f"a booth of {self.width}x{self.height} pixels is too small: use 8x8 or more"
            )
        if self.angles < 1 or self.samples < 1:
            raise ValueError(
                f"angles ({self.angles}) and samples ({self.samples}) must be 1 or more"
            )

    def render(self, angle: int) -> RenderedFrame:
        """The frame at `angle`, 1..angles.

        Raises:
            ValueError: the angle is not in the turn.
        """
        heading = self._heading(angle)
        with _one_thread():
            layers = self._scene.layers(heading)
        alpha = np.rint(layers.alpha * 255).astype(np.uint8)
        share = (alpha / 255).astype(np.float32)[..., None]
        mixed = layers.foreground * share + layers.background * (1 - share)
        foreground = _bytes(layers.foreground * 255)
        foreground[alpha == 0] = 0
        image = self._develop(mixed * 255, angle)
        return RenderedFrame(angle, image, alpha, foreground, self._plate.copy())

    def background(self, angle: int) -> Picture:
        """The booth behind the subject, shadow and floor reflection included: (H, W, 3) uint8."""
        heading = self._heading(angle)
        with _one_thread():
            return _bytes(self._scene.background(heading) * 255)

    def shoot(self) -> Iterator[RenderedFrame]:
        """All frames of the turn, in order of angle."""
        for angle in range(1, self.angles + 1):
            yield self.render(angle)

    def _heading(self, angle: int) -> float:
        if not 1 <= angle <= self.angles:
            raise ValueError(f"angle {angle} is not in this turn: choose 1..{self.angles}")
        # Angle 1 shows the car from the front, a little to one side, as turntables start.
        return radians(-90 + 8 + 360 * (angle - 1) / self.angles)

    @cached_property
    def _scene(self) -> Scene:
        # A stream for each subject, so that fixing one option leaves the rest as it was.
        shape_rng, stage_rng, paint_rng = (
            np.random.default_rng([self.seed, part]) for part in range(3)
        )
        shape = draw_shape(shape_rng, self.style)
        if self.antenna is not None:
            shape = replace(shape, antenna=self.antenna, fin=shape.fin and not self.antenna)
        stage = draw_stage(
            stage_rng, wall=_linear(self.wall), mirror=self.mirror, span=shape.length
        )
        finish = draw_finish(paint_rng, paint=_linear(self.paint), wall=stage.wall)
        with _one_thread():
            camera = stage.camera(self.width, self.height)
            return Scene(Coat(Car(shape), finish), stage, camera, self.samples)

    @cached_property
    def _plate(self) -> Picture:
        with _one_thread():
            return _bytes(self._scene.plate() * 255)

    def _develop(self, image: NDArray[np.float32], angle: int) -> Picture:
        """Add the sensor's noise, the same for the same seed and angle, and round to bytes."""
        rng = np.random.default_rng([self.seed, 3, angle])
        drawn = float(np.random.default_rng([self.seed, 4]).uniform(0.4, 1.8))
        level = drawn if self.noise is None else self.noise
        if level > 0:
            grain = rng.standard_normal(image.shape, dtype=np.float32)
            # Cameras interpolate colour from neighbours: their noise is a little smeared.
            grain = cv2.GaussianBlur(grain, (0, 0), 0.6) * 1.7
            image = image + grain * level * np.sqrt(0.4 + 0.6 * (1 - image / 255))
        return _bytes(image)


def write_shoot(
    booth: Booth, folder: Path, *, name: str | None = None, on_frame: Progress | None = None
) -> list[Path]:
    """Photograph a whole turn: `<folder>/<name>_<NN>.jpg`, quality 95, each appearing whole.

    Args:
        name: name of the shoot; `booth-<seed>` when None.
        on_frame: called after each frame with (frames done, frames in all).
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for frame in booth.shoot():
        path = folder / f"{name or f'booth-{booth.seed}'}_{frame.angle:02d}.jpg"
        write_file(path, _jpeg(frame.image))
        written.append(path)
        if on_frame is not None:
            on_frame(frame.angle, booth.angles)
    return written


def write_truth(
    booth: Booth, root: Path, *, name: str | None = None, on_frame: Progress | None = None
) -> list[tuple[Path, Path]]:
    """Photograph a whole turn in the Carvana layout, for training: pairs of (photo, mask).

    Photos go to `<root>/train/<name>_<NN>.jpg`, masks to `<root>/train_masks/<name>_<NN>_mask.gif`;
    a mask is a palette GIF with values 0 and 1, 1 where alpha is 128 or more.
    """
    photos, masks = root / "train", root / "train_masks"
    photos.mkdir(parents=True, exist_ok=True)
    masks.mkdir(parents=True, exist_ok=True)
    written = []
    for frame in booth.shoot():
        stem = f"{name or f'booth-{booth.seed}'}_{frame.angle:02d}"
        photo, mask = photos / f"{stem}.jpg", masks / f"{stem}_mask.gif"
        write_file(photo, _jpeg(frame.image))
        write_file(mask, _mask_gif(frame.alpha))
        written.append((photo, mask))
        if on_frame is not None:
            on_frame(frame.angle, booth.angles)
    return written


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: rendering is thousands of small steps, and threads that wait for
    each other at every step stall for tens of seconds once another process wants the same core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(threads)


def _linear(colour: tuple[int, int, int] | None) -> Colour | None:
    if colour is None:
        return None
    red, green, blue = (
        v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4
        for v in (channel / 255 for channel in colour)
    )
    return red, green, blue


def _bytes(values: NDArray[np.float32]) -> Picture:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def _jpeg(image: Picture) -> bytes:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95, subsampling="4:2:0")
    return buffer.getvalue()


def _mask_gif(alpha: Picture) -> bytes:
    mask = Image.fromarray((alpha >= 128).astype(np.uint8), mode="P")
    mask.putpalette([0, 0, 0, 255, 255, 255])
    buffer = BytesIO()
    mask.save(buffer, "GIF", optimize=False)
    return buffer.getvalue()
