"""The shadow that the car cast on the booth's floor, taken from the photo itself.

    photo ─ reduced ─ seen floor ─────────────┐
    plate, or a smooth surface fitted around ──┴─ their ratio ─ smoothed ─ kept near the car ─ feet

The ratio is taken of encoded values and multiplies encoded values: as long as the encoding is about
a power of the light, that moves the shadow to another floor as it was.

What one photo cannot tell: a shade so wide that the floor's own falloff looks the same, which is
taken for the floor; a stain beside a tyre, which is taken for shadow as far as it is wide; and the
car's mirror image in a glossy floor. That image is light that came from the floor, and so it stays
in, blurred, where it is darker than the floor; in a coloured one the brightest channel counts.
A floor that is patchy itself, such as a turntable darker than what it stands in, cannot be told
from shade beside the car: there the shadow ends nearer to the car.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.finish.feet import darken_at_feet
from worker.finish.presets import SoftShadow
from worker.finish.shadow import Ground, contact, find_ground, soft_shadow

_REDUCED_SIDE = 640
"""The long side, roughly, of the picture on which the shadow is measured: all but a tyre's foot is
soft anyway."""
_FLAT = 0.5
"""How much shorter the floor looks along the line of sight than across it, for the zone's shape."""
_REACH = 0.9
"""Where the zone ends: distance from the floor under the car, in parts of the car's height."""
_ABOVE = 0.25
"""How far up the zone goes above the highest point where the car is near the floor, likewise."""
_RING = (0.45, 1.5)
"""Distances, likewise, between which the floor counts as lit, and its surface is fitted."""
_LEAST_SHADED = 75
"""Percentile of what is seen of the booth, by its light, that counts as lit where no such floor is
in the picture."""
_COARSE = 4
"""Pixels of the reduced picture a sample, across and down, to which the surface is fitted."""
_ROUNDS = 4
_BELOW, _OVER = 0.03, 0.08
"""Parts by which a sample may be darker, or brighter, than the surface before it stops to count:
shade and painted lines pull a fit down, and little pulls it up."""
_INLIER = 0.06
"""Parts by which a sample may be off and still agree with the surface, or the plate."""
_AGREED = (0.3, 0.5)
"""Shares of samples that agree, from none of which is trusted to all of it."""
_BRIGHT = (40, 70)
"""Likewise the floor's brightness, in 8-bit steps: a darker one hardly shows a shadow."""
_LITTER, _UNDER = 0.2, 0.02
"""Width of what is brighter than the shade around it and is taken out, and how far from the floor
under the car, likewise."""
_LINE = 0.1
"""Width of lines that are taken out, in parts of the car's height."""
_SOFTER = ((0.02, 0.02), (0.15, 0.04))
"""Distance from the car's outline, likewise, from where it is blurred more, and how much."""
_UNEVEN = (0.02, 0.06)
"""Unevenness of the floor up to which it hardly shows in the shadow, and from which it would."""
_SHORT = (0.1, 0.7)
"""Distances between which the shadow fades on an uneven floor."""
_FOOT = 0.8
"""Part of the light right beside a tyre's foot that is lost below it: there the car touches the
floor, and its own soft edge hides how dark that is."""
_FALLBACK = SoftShadow(kind="soft", opacity=0.6, softness=0.1)

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FloorLight:
    """What the car left of the light on the booth's floor."""

    light: Floats
    """(H, W): 1 is full light, 0 none."""
    plate_fits: bool = True
    """Whether the plate, if there was one, shows the photo's floor."""


@dataclass(frozen=True)
class _Zone:
    """The floor around the car, in the reduced picture."""

    seen: NDArray[np.bool_]
    """(h, w): nothing of the car's edge in this pixel."""
    away: Floats
    """(h, w) distance from the floor under the car, in parts of its height; larger above it."""
    apart: Floats
    """(h, w) distance from the car's outline in the picture, likewise."""
    ring: NDArray[np.bool_]
    """(h, w): lit floor, as far as the mask can tell."""
    foot: Floats
    """(h, w) 1 where a tyre stands on the floor, 0 elsewhere."""
    height: int
    """Of the car, in pixels."""


@dataclass(frozen=True)
class _Reference:
    """What the floor would look like without the car."""

    floor: Floats
    """(h, w, 3), 8-bit steps, above 0."""
    trust: float
    """0..1: whether the floor around the car looks like that too, and is bright enough to show
    a shadow."""
    uneven: float
    """How much darker than that the floor around the car is in places, as a part of it."""


def real_shadow(
    pixels: Pixels, alpha: Pixels, *, plate: Pixels | None = None, strength: float = 1.0
) -> FloorLight:
    """Light that reached each pixel of the booth's floor, as the photo shows it.

    ``pixels`` is the photo, (H, W, 3) uint8 RGB; ``alpha`` the car's mask, (H, W) uint8; ``plate``
    the empty booth from the same camera, (h, w, 3) uint8 RGB, of any size with the photo's
    proportions, and some brighter or darker if it must be. Without a plate, or with one of
    another floor, the floor's own brightness is a smooth surface through the lit floor around the
    car. ``strength`` is a power: 0 is no shadow, 1 the one in the photo, 2 the same twice over.

    Light is grey, at most 1, and exactly 1 away from the car's foot; under the car it goes on
    from what is seen beside it. No car, no shadow. Where the floor is too dark or too restless to
    be measured, the soft shadow of `worker.finish.shadow` stands in. Raises ``ValueError`` when
    the sizes do not fit, or for a negative strength.
    """
    _check(pixels, alpha, plate, strength)
    mask = _reduced(alpha)
    ground = find_ground(mask)
    if ground is None or strength == 0:
        return FloorLight(np.ones(alpha.shape, np.float32))
    zone = _find_zone(mask, ground)
    photo = _positive(_reduced(pixels))
    reference, plate_fits = _reference(photo, plate, zone)
    light = np.ones(mask.shape, np.float32)
    if reference.trust > 0:
        ratio = _without_litter(_ratio(photo, reference.floor), zone)
        light = _near(_smooth(ratio, zone), zone, reference.uneven)
    if reference.trust < 1:
        stand_in = soft_shadow(mask, _FALLBACK)
        light = stand_in + np.float32(reference.trust) * (light - stand_in)
    resized = cv2.resize(light, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
    full = np.asarray(resized, dtype=np.float32)
    if reference.trust > 0:
        floor, foot, trust = reference.floor, zone.foot, reference.trust
        darken_at_feet(
            full, pixels, alpha, floor=floor, foot=foot, car_height=zone.height, trust=trust
        )
    return FloorLight(np.asarray(cv2.pow(full, strength), dtype=np.float32), plate_fits)


def _reference(photo: Floats, plate: Pixels | None, zone: _Zone) -> tuple[_Reference, bool]:
    """By the plate, or where it shows another floor than the photo by the photo alone, if that
    can be trusted more; and whether a plate was not passed over."""
    if plate is None:
        return _fit(photo, zone), True
    by_plate = _match(photo, plate, zone)
    if by_plate.trust == 1:
        return by_plate, True
    alone = _fit(photo, zone)
    return (alone, False) if alone.trust > by_plate.trust else (by_plate, True)


def _check(pixels: Pixels, alpha: Pixels, plate: Pixels | None, strength: float) -> None:
    if pixels.shape != (*alpha.shape, 3):
        raise ValueError(f"photo {pixels.shape} and mask {alpha.shape} differ in size")
    if strength < 0:
        raise ValueError(f"a shadow's strength is 0 or more, not {strength}")
    if plate is None:
        return
    height, width = alpha.shape
    stretch = plate.shape[1] / plate.shape[0] * height / width if plate.ndim == 3 else 0
    if not 0.99 < stretch < 1.01 or plate.shape[2] != 3:
        raise ValueError(
            f"plate {plate.shape} and photo {pixels.shape} differ in proportions: "
            f"photograph the empty booth with the same camera, uncropped"
        )


def _reduced(picture: Pixels) -> Pixels:
    """Each pixel the mean of a square of whole pixels: several times quicker than of any others."""
    side = min(max(1, round(max(picture.shape) / _REDUCED_SIDE)), *picture.shape[:2])
    small = cv2.resize(picture, None, fx=1 / side, fy=1 / side, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def _positive(pixels: Pixels) -> Floats:
    """(h, w, 3) float32, 1..255: a black pixel has no ratio."""
    return np.maximum(pixels, 1).astype(np.float32)


def _find_zone(mask: Pixels, ground: Ground) -> _Zone:
    rows = np.arange(mask.shape[0], dtype=np.float32)[:, None]
    height = ground.car_height
    top = int(ground.outline[:, 1].min())
    # Narrowed instead of stretched, the picture has round distances where the floor has flat ones.
    narrow = np.full((mask.shape[0], max(1, round(mask.shape[1] * _FLAT))), 255, np.uint8)
    hull = cv2.convexHull(ground.outline)
    narrowed = np.rint(hull.reshape(-1, 2) * np.array([_FLAT, 1])).astype(np.int32)
    cv2.fillConvexPoly(narrow, narrowed, 0)
    away = cv2.resize(cv2.distanceTransform(narrow, cv2.DIST_L2, 5), mask.shape[::-1])
    away = away / np.float32(_FLAT * height)
    above = np.maximum(top - rows, 0) / np.float32(_ABOVE * height)
    seen = cv2.dilate(mask, np.ones((3, 3), np.uint8)) < 8
    apart = cv2.distanceTransform(seen.view(np.uint8), cv2.DIST_L2, 3) / np.float32(height)
    ring = seen & (away > _RING[0]) & (away < _RING[1]) & (rows > top)
    away = np.hypot(away, above * np.float32(_REACH))
    foot = cv2.dilate(contact(ground, hull, mask.shape), np.ones((3, 3), np.uint8))
    # By the mask's own share, so that a tyre's foot is as round as the tyre.
    foot = cv2.GaussianBlur(foot * (mask / np.float32(255)), (0, 0), 1.0)
    return _Zone(seen, away, apart, ring, np.asarray(foot, dtype=np.float32), height)


def _fit(photo: Floats, zone: _Zone) -> _Reference:
    """A quadratic surface through the logarithms of the ring's pixels, with a gain a channel."""
    h, w = zone.seen.shape
    y, x = np.mgrid[0:h:_COARSE, 0:w:_COARSE]
    terms = _terms((x - w / 2) / zone.height, (y - h / 2) / zone.height)
    ring = zone.ring[::_COARSE, ::_COARSE]
    design, logs = terms[ring], np.log(cv2.blur(photo, (3, 3))[::_COARSE, ::_COARSE][ring])
    if len(logs) < 4 * design.shape[1]:
        return _Reference(np.ones_like(photo), 0.0, 0.0)
    weights = np.ones(len(logs))
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)[:, None]
        found = np.linalg.lstsq(design * root, logs * root, rcond=None)[0]
        off = (logs - design @ found).mean(axis=1)
        weights = np.exp(-np.square(off / np.where(off < 0, _BELOW, _OVER))) + 1e-6
    surface = np.exp(np.clip(terms @ found, *np.percentile(logs, (2, 99), axis=0)))
    floor = cv2.resize(surface.astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)
    return _judged(np.asarray(floor, dtype=np.float32), off, zone)


def _terms(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1)


def _match(photo: Floats, plate: Pixels, zone: _Zone) -> _Reference:
    """The plate, with the photo's exposure."""
    small = cv2.resize(_reduced(plate), photo.shape[1::-1], interpolation=cv2.INTER_AREA)
    empty = cv2.GaussianBlur(_positive(np.asarray(small, dtype=np.uint8)), (0, 0), 1.0)
    ring = zone.ring[::_COARSE, ::_COARSE]
    all_off = np.log(photo[::_COARSE, ::_COARSE] / empty[::_COARSE, ::_COARSE])  # (h', w', 3)
    if not ring.any():  # the car fills the photo: what lies in the least shade has to do
        seen = all_off[zone.seen[::_COARSE, ::_COARSE]]
        gain = np.percentile(seen, _LEAST_SHADED, axis=0) if len(seen) else np.zeros(3)
        return _Reference(np.asarray(empty * np.exp(gain), np.float32), 1.0, _UNEVEN[0])
    off = all_off[ring]  # (N, 3)
    gain = np.median(off, axis=0)
    return _judged(np.asarray(empty * np.exp(gain), np.float32), (off - gain).mean(axis=1), zone)


def _judged(floor: Floats, off: NDArray[np.floating], zone: _Zone) -> _Reference:
    """``off`` (N,) is how far samples of the ring are from ``floor``, as logarithms."""
    agree = float(np.mean(np.abs(off) < _INLIER))
    bright = float(floor[::_COARSE, ::_COARSE][zone.ring[::_COARSE, ::_COARSE]].mean())
    trust = float(np.interp(agree, _AGREED, (0, 1)) * np.interp(bright, _BRIGHT, (0, 1)))
    return _Reference(floor, trust, float(-np.percentile(off, 10)))


def _ratio(photo: Floats, floor: Floats) -> Floats:
    """(h, w), of the channel that is least darkened: a coloured mirror image is not shadow."""
    red, green, blue = cv2.split(cv2.divide(photo, floor))
    # What is brighter than the floor may even out what is darker, but not outshine it.
    brightest = cv2.max(cv2.max(red, green), blue)
    return np.asarray(np.minimum(brightest, 1.1), dtype=np.float32)


def _without_litter(ratio: Floats, zone: _Zone) -> Floats:
    """``ratio`` without narrow bright spots in the shade under the car: paper, drain covers, the
    sill's mirror image, light through a gap."""
    known = _fill(np.where(zone.seen, ratio, 0), zone.seen.astype(np.float32))
    wide = np.ones((1, 2 * round(_LITTER * zone.height / 2) + 1), np.uint8)
    opened = cv2.morphologyEx(cv2.GaussianBlur(known, (0, 0), 1.0), cv2.MORPH_OPEN, wide)
    opened = cv2.GaussianBlur(opened, (0, 0), 2.0)
    under = cv2.GaussianBlur((zone.away < _UNDER).astype(np.float32), (0, 0), 2.0)
    return np.asarray(ratio + under * (np.minimum(ratio, opened) - ratio), dtype=np.float32)


def _smooth(ratio: Floats, zone: _Zone) -> Floats:
    """``ratio`` without lines and texture: sharp at the car's foot, softer away from it."""
    filled = _fill(*_continued(ratio, zone))
    light = np.asarray(cv2.GaussianBlur(filled, (0, 0), 1.0), dtype=np.float32)
    # Half the size will do for what is blurred so much.
    height, width = filled.shape
    half = cv2.resize(filled, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    wide = max(3, 2 * round(_LINE * zone.height / 4) + 1)
    calm = cv2.medianBlur(np.rint(half * 200).astype(np.uint8), wide).astype(np.float32) / 200
    for start, sigma in _SOFTER:
        soft = cv2.GaussianBlur(calm, (0, 0), max(0.6, sigma * zone.height / 2))
        blurred = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
        light += np.clip((zone.apart - start) / (start + 0.03), 0, 1) * (blurred - light)
    return light


def _continued(ratio: Floats, zone: _Zone) -> tuple[Floats, Floats]:
    """``ratio`` and its weight (h, w), a little way in under the car's edge: there it is as dark
    as right beside it, and darker at a tyre's foot."""
    near = np.ones((5, 5), np.uint8)
    beside = cv2.erode(np.where(zone.seen, ratio, np.float32(1.1)), near)
    known = cv2.dilate(zone.seen.view(np.uint8), near).astype(np.float32)
    return np.where(zone.seen, ratio, beside * (1 - _FOOT * zone.foot)), known


def _fill(values: Floats, weights: Floats) -> Floats:
    """``values`` (h, w); where ``weights`` is 0, from those around, through smaller pictures."""
    if min(values.shape) <= 2:
        mean = float((values * weights).sum() / max(float(weights.sum()), 1e-6))
        return np.full_like(values, mean)
    below = np.asarray(cv2.pyrDown(weights), dtype=np.float32)
    sums = np.asarray(cv2.pyrDown(values * weights), dtype=np.float32)
    means = np.asarray(sums / np.maximum(below, 1e-6), dtype=np.float32)
    filled = _fill(means, np.asarray(np.minimum(below * 4, 1), dtype=np.float32))
    wide = cv2.pyrUp(filled, dstsize=values.shape[::-1])
    return np.asarray(wide + weights * (values - wide), dtype=np.float32)


def _near(light: Floats, zone: _Zone, uneven: float) -> Floats:
    """``light`` as shadow: at most 1, and no darker than a shadow can be that far from the car.
    Around an uneven floor it ends sooner, before the floor's own darkness comes along."""
    dark = np.clip(1 - light, 0, 0.95)
    dark = np.minimum(dark, np.square(np.clip(1 - zone.away / _REACH, 0, 1)))
    full, none = _SHORT
    ease = np.clip((none - zone.away) / (none - full), 0, 1)
    fade = 1 - ease * ease * (3 - 2 * ease)
    share = float(np.interp(uneven, _UNEVEN, (0, 1)))
    return np.asarray(1 - dark * (1 - share * fade), dtype=np.float32)
