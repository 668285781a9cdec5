"""A photo, its mask and a preset become a finished frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.finish.backdrop import render_backdrop
from worker.finish.colours import clean_foreground
from worker.finish.floor import real_shadow
from worker.finish.grain import grain
from worker.finish.overlay import lay_over
from worker.finish.presets import NoBackdrop, Preset, RealShadow, SoftShadow
from worker.finish.shadow import soft_shadow

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Finished:
    """What is published of one frame."""

    composite: Pixels
    """(H, W, 3) uint8 RGB; (H, W, 4) RGBA, not premultiplied, when the preset has no backdrop."""
    cutout: Pixels | None
    """(H, W, 4) uint8 RGBA, not premultiplied, if the preset asks for cut-outs."""
    covered: bool = False
    """Whether the preset's overlay lies on a part of the car."""
    plate_fits: bool = True
    """Whether the plate, if there was one, shows the photo's floor: else the shadow was read from
    the photo alone."""


def compose(
    pixels: Pixels,
    alpha: Pixels,
    preset: Preset,
    *,
    icc: bytes | None = None,
    plate: Pixels | None = None,
) -> Finished:
    """The car of one photo on the preset's backdrop.

    ``pixels`` is (H, W, 3) uint8 RGB in the colour space of ``icc`` (None: sRGB), ``alpha`` its
    mask, (H, W) uint8; ``plate`` is the empty booth, as large, where there is one. Where alpha is
    255 the composite is the photo, where it is 0 the shaded backdrop, bit for bit. Inputs are not
    changed; safe from many threads. Raises ``ValueError`` when photo and mask differ in size,
    `PresetError` for an unusable picture of the preset.

        photo, mask ─ clean colours ───────────┐
        preset ─ backdrop ─ darkened by shadow ─┴─ blended ─ overlay
    """
    if pixels.shape != (*alpha.shape, 3):
        raise ValueError(f"photo {pixels.shape} and mask {alpha.shape} differ in size")
    colours = clean_foreground(pixels, alpha)
    light, plate_fits = _light(pixels, alpha, preset, plate)
    if isinstance(preset.backdrop, NoBackdrop):
        composite = _transparent(colours, alpha, light)
    else:
        height, width = alpha.shape
        backdrop = render_backdrop(preset, (width, height), icc).copy()
        composite = _blend(colours, alpha, backdrop if light is None else _shade(backdrop, light))
    covered = False
    if preset.overlay:
        composite = lay_over(composite, preset.overlay, icc, digest=preset.digest)
        covered = bool((composite[..., :3] != pixels)[alpha == 255].any())
    cutout = _rgba(colours, alpha) if preset.output.cutouts else None
    return Finished(composite, cutout, covered, plate_fits)


def _light(
    pixels: Pixels, alpha: Pixels, preset: Preset, plate: Pixels | None
) -> tuple[Floats | None, bool]:
    """The shadow, if the preset asks for one; and whether a plate, if there is one, fits."""
    match preset.shadow:
        case SoftShadow() as options:
            return _ended(soft_shadow(alpha, options), alpha), True
        case RealShadow(strength=strength):
            found = real_shadow(pixels, alpha, plate=plate, strength=strength)
            return _ended(found.light, alpha), found.plate_fits
        case _:
            return None, True


def _ended(light: Floats, alpha: Pixels) -> Floats:
    """``light`` with the shadow faded out between the car and the picture's left and right border,
    in place: on a white page a shadow that is cut off shows where the picture ends. A side at which
    the car itself is cut off stays."""
    left, _, width, _ = cv2.boundingRect(cv2.inRange(alpha, 128, 255))
    right = alpha.shape[1] - left - width
    for margin, beside in ((left, light[:, :left]), (right, light[:, ::-1][:, :right])):
        if width and margin > 2:
            near = np.linspace(0, 1, margin, dtype=np.float32)
            beside[:] = 1 - (1 - beside) * near * near * (3 - 2 * near)
    return light


def _shade(backdrop: Pixels, light: Floats) -> Pixels:
    """``backdrop`` with each pixel times its light, in place; bit for bit where light is 1."""
    left, top, width, height = cv2.boundingRect((light < 1).view(np.uint8))
    if width == 0:
        return backdrop
    dark = backdrop[top : top + height, left : left + width]
    part = light[top : top + height, left : left + width]
    # A shadow is a gradient too. Its grain fades in with it, so that no border of grain shows.
    one_step = np.float32(1 / max(16.0, *cv2.mean(dark)[:3]))
    part = part + np.minimum(255 * (1 - part), 1) * grain(height, width) * one_step
    cv2.multiply(dark, cv2.merge([part, part, part]), dst=dark, dtype=cv2.CV_8U)
    return backdrop


def _blend(colours: Pixels, alpha: Pixels, backdrop: Pixels) -> Pixels:
    """``colours`` over ``backdrop``, in place in the latter; rounded to nearest."""
    cv2.copyTo(colours, cv2.inRange(alpha, 255, 255), backdrop)
    place = np.flatnonzero(cv2.inRange(alpha, 1, 254) != 0)  # (N,): only the edge is mixed
    a = alpha.reshape(-1)[place].astype(np.uint16)[:, None]
    car, wall = colours.reshape(-1, 3)[place], backdrop.reshape(-1, 3)[place]
    backdrop.reshape(-1, 3)[place] = (car * a + wall * (255 - a) + 127) // 255
    return backdrop


def _transparent(colours: Pixels, alpha: Pixels, light: Floats | None) -> Pixels:
    """RGBA: the cut-out, over its shadow as translucent black."""
    if light is None:
        return _rgba(colours, alpha)
    shadow = 1 - light
    edge = np.flatnonzero(cv2.inRange(alpha, 1, 254) != 0)  # (N,): only there both are seen
    a = alpha.reshape(-1)[edge] / np.float32(255)
    covered = a + (1 - a) * shadow.reshape(-1)[edge]
    shadow *= 255
    shadow += np.minimum(shadow, 1) * grain(*alpha.shape)
    opacity = np.asarray(np.clip(np.rint(shadow, out=shadow), 0, 255), dtype=np.uint8)
    opacity[alpha == 255] = 255
    opacity.reshape(-1)[edge] = np.rint(covered * 255)
    dimmed = colours.copy()
    dimmed[(alpha == 0) & (light < 1)] = 0
    dimmed.reshape(-1, 3)[edge] = np.rint(colours.reshape(-1, 3)[edge] * (a / covered)[:, None])
    return _rgba(dimmed, opacity)


def _rgba(colours: Pixels, alpha: Pixels) -> Pixels:
    return np.asarray(cv2.merge([*cv2.split(colours), alpha]), dtype=np.uint8)
