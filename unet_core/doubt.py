"""What a network is not sure of, decided as a person would: in its own mask, before it is enlarged.

    mask ─ no specks ─ no faint lines or holes ─ a plain outline in the dark
                                                ─ in the light the photo's ─ less fog ─ mask

A mask is a likelihood, and a likelihood of a third looks like a stain. Far from clear edges it is
taken more decided than it is. Thin parts are the exception: an antenna is faint because it is
thin, and stays as faint as it is.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_core.outline import cut

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
Part = tuple[slice, slice]
"""Rows and columns."""

THIN_PX = 7
"""What is narrower is thin, in pixels of the mask."""
CLEAR_PX, DOUBTFUL_PX = 2.0, 5.0
"""Ramps up to the first are an edge that the network knows, those from the second on are doubt;
widths from empty to full in pixels of its own mask, where a sharp edge has about 2."""
FOG = 60
"""Where a doubt is wider than an antenna so many levels of 255 next to empty and to full say
nothing: a smear beside a mirror looks worse than an edge out of place."""
BESIDE_PX, ALONG_PX = 4, 20
"""A thin part that is less likely than not is believed so near the subject's body, and so near
what is likely of a thin part itself."""
OPEN = 40
"""Up to this level of 255 a hole is one."""
DARK, LIGHT = 50, 90
"""Levels of 255: in the first a photo shows nothing of what is subject and what is shadow, in the
second enough."""
SMOOTH = 4
"""In the dark an outline is looked at so many times smaller…"""
DECIDED = 3.0
"""…and so many times as steep."""
DOUBTED = 0.3
"""From 0 (clear) to 1 (doubt): what is more doubted is decided by the photo…"""
MOST_DOUBTED = 0.1
"""…unless that is a larger share of the subject: what a network does not know at all stays so."""
SOFT_PX = 1.2
"""Of the Gaussian that softens a decided edge, which is half as clear then as a known one."""
STANDS_OUT, CRUMB = 25, 20
"""A thin part has so many levels more than what is around it, and so many pixels."""
FULL_SWING, NO_EDGE = 0.9, 0.6
"""From empty to full: where a mask changes as much as the first within a few pixels there is an
edge, and below the second none."""
UNSURE = 0.02, 0.1
"""From empty or full: up to the first a mask is sure, from the second on it is not."""
SPECK_SHARE = 0.01
"""A piece is a speck below this share of the largest one's area."""
NEAR_SHARE = 0.02
"""A piece is near the largest one up to this share of the picture's long side…"""
APART_SHARE = 0.25
"""…and one that lies apart is the subject's from this share of the largest one's area."""


def without(levels: int) -> Picture:
    """(256,): what each level becomes where so many next to empty and to full say nothing."""
    steeper = (np.arange(256) - levels) * 255 / (255 - 2 * levels)
    return np.asarray(np.clip(steeper + 0.5, 0, 255), np.uint8)


_WITHOUT_FOG = without(FOG)


def decide(mask: Picture, photo: Picture) -> None:
    """``mask`` (h, w) uint8 of ``photo`` (H, W, 3) uint8 sRGB, at any size, changed in place."""
    part = around(mask, THIN_PX)
    there = mask[part]
    there[...] = without_faint_holes(without_faint_lines(without_specks(there)))
    seen = photo[_scaled(part, mask.shape, photo.shape[:2])]
    settle_the_dark(there, seen)
    settle_the_light(there, seen)
    there[...] = without_fog(there)


def around(mask: Picture, margin: int) -> Part:
    """Rows and columns of what is not empty in a mask (h, w), with a margin in pixels."""
    left, top, width, height = cv2.boundingRect(mask)
    return (
        slice(max(0, top - margin), top + height + margin),
        slice(max(0, left - margin), left + width + margin),
    )


def _scaled(part: Part, size: tuple[int, ...], other: tuple[int, ...]) -> Part:
    """``part`` of a picture of ``size`` (h, w) in one of the ``other`` size: a pixel or more."""
    rows, columns = (
        slice(start := each.start * into // of, max(each.stop * into // of, start + 1))
        for each, of, into in zip(part, size, other, strict=True)
    )
    return rows, columns


def ramps(mask: Picture) -> Floats:
    """How wide the ramp of the nearest edge of ``mask`` (h, w) uint8 is, from empty to full in
    its pixels, (h, w); ``2 * DOUBTFUL_PX`` at most, and where there is none."""
    slopes = (cv2.Sobel(mask, cv2.CV_32F, *axis, scale=1 / (8 * 255)) for axis in ((1, 0), (0, 1)))
    # The steepest place of a ramp tells its width to the pixels beside it.
    slope = cv2.dilate(cv2.magnitude(*slopes), np.ones((5, 5), np.uint8))
    return np.asarray(1 / np.maximum(slope, 1 / (2 * DOUBTFUL_PX)), np.float32)


def known(ramp_px: Floats) -> Floats:
    """From 0 (doubt) to 1 (clear) for edges whose ramps are so wide."""
    return _between(ramp_px, DOUBTFUL_PX, CLEAR_PX)


def without_fog(mask: Picture) -> Picture:
    """The mask (h, w) uint8, more decided where it is in doubt all around; thin parts stay as
    faint as they are, and so do edges that the network knows."""
    disc = _disc(THIN_PX)
    wide = cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc)
    cleared = cv2.subtract(mask, cv2.subtract(wide, cv2.LUT(wide, _WITHOUT_FOG)))
    wide = cv2.morphologyEx(cleared, cv2.MORPH_CLOSE, disc)
    cleared = cv2.add(cleared, cv2.subtract(cv2.LUT(wide, _WITHOUT_FOG), wide))
    clear = known(ramps(mask))
    return np.asarray(cv2.blendLinear(mask, cleared, clear, 1 - clear), np.uint8)


def without_faint_lines(mask: Picture) -> Picture:
    """The mask (h, w) uint8 without thin parts that nowhere get likely, as a joint of the wall
    above a roof: an antenna has a tip."""
    wide = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disc(THIN_PX))
    beside = cv2.dilate(cv2.inRange(wide, 128, 255), _square(BESIDE_PX))
    likely = cv2.bitwise_and(cv2.inRange(mask, 128, 255), cv2.bitwise_not(beside))
    believed = cv2.bitwise_or(beside, cv2.dilate(likely, _square(ALONG_PX)))
    return np.asarray(cv2.copyTo(mask, believed, wide), np.uint8)


def without_faint_holes(mask: Picture) -> Picture:
    """The mask (h, w) uint8 without holes that are nowhere clearly open: between spokes a network
    sees many, and hand-made masks have few."""
    _, labels = cv2.connectedComponents(cv2.inRange(mask, 0, 254))
    shut = cv2.inRange(mask, OPEN + 1, 255)
    rim = cv2.bitwise_and(cv2.dilate(shut, _square(1)), cv2.bitwise_not(shut))
    is_open = np.zeros(int(labels.max()) + 1, np.bool_)
    is_open[labels[rim > 0]] = True
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        is_open[border] = True
    soft = np.flatnonzero(cv2.inRange(mask, OPEN + 1, 254))
    filled = soft[~is_open[labels.reshape(-1)[soft]]]
    if not filled.size:
        return mask
    closed = mask.copy()
    closed.reshape(-1)[filled] = 255
    return closed


def settle_the_dark(mask: Picture, photo: Picture) -> None:
    """``mask`` (h, w) uint8, changed in place: where it is in doubt and ``photo`` (H, W, 3) uint8,
    at any size, is dark, its outline becomes plain, without islands and fingers: below a bumper
    nobody sees where the car ends, and everybody sees rags."""
    small, doubt = _doubt_in_the_dark(mask, photo)
    part = around((doubt > 0).astype(np.uint8), 2)
    if not doubt[part].any():
        return
    plain = np.clip((cv2.GaussianBlur(small, (0, 0), 1.0)[part] - 0.5) * DECIDED + 0.5, 0, 1)
    there = _scaled(part, small.shape, mask.shape)
    before = mask[there]
    plain, share = (
        cv2.resize(np.asarray(levels, np.float32), before.shape[::-1])
        for levels in (255 * plain, doubt[part])
    )
    mask[there] = np.rint(before + (plain - before) * share)


def _doubt_in_the_dark(mask: Picture, photo: Picture) -> tuple[Floats, Floats]:
    """``mask`` (h, w) uint8 without thin parts and ``SMOOTH`` times smaller, in [0, 1], and from
    0 to 1 where it is in doubt and the photo dark."""
    height, width = mask.shape
    size = max(1, width // SMOOTH), max(1, height // SMOOTH)
    wide = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disc(THIN_PX))
    small, swing = (
        np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_AREA) / 255.0, np.float32)
        for levels in (wide, cv2.morphologyEx(wide, cv2.MORPH_GRADIENT, _square(SMOOTH + 2)))
    )
    unsure = _between(np.minimum(small, 1 - small), *UNSURE)
    doubt = _dark(photo, size) * _between(swing, FULL_SWING, NO_EDGE) * unsure
    return small, np.asarray(doubt, np.float32)


def _dark(photo: Picture, size: tuple[int, int]) -> Floats:
    """From 0 to 1 where ``photo`` (H, W, 3) uint8 is dark, at ``size`` (width, height)."""
    grey = cv2.cvtColor(cv2.resize(photo, size), cv2.COLOR_RGB2GRAY)
    return _between(np.asarray(cv2.medianBlur(grey, 3), np.float32), LIGHT, DARK)


def settle_the_light(mask: Picture, photo: Picture) -> None:
    """``mask`` (h, w) uint8, changed in place: where it is in doubt and ``photo`` (H, W, 3) uint8,
    of its size or larger, is not dark, its outline becomes the one that the photo shows: of a
    white rail before a white wall a network sees only half. Thin parts and thin gaps that it has
    seen stay."""
    height, width = mask.shape
    small = max(1, width // SMOOTH), max(1, height // SMOOTH)
    dark = cv2.resize(_dark(photo, small), (width, height))
    doubt = (1 - known(ramps(mask))) * (1 - dark)
    doubtful = (doubt > DOUBTED) & (cv2.inRange(mask, OPEN + 1, 254 - OPEN) > 0)
    most = MOST_DOUBTED * cv2.countNonZero(cv2.inRange(mask, 128, 255))
    if photo.shape[1] < width or not 0 < np.count_nonzero(doubtful) <= most:
        return
    part = around(doubtful.astype(np.uint8), THIN_PX)
    before, share = mask[part], doubt[part]
    seen = _at(before.shape, photo[_scaled(part, mask.shape, photo.shape[:2])])
    settled = cv2.inRange(cut(before, seen, doubtful[part]), 128, 255)
    soft = cv2.GaussianBlur(settled, (0, 0), SOFT_PX)
    settled = np.asarray(cv2.blendLinear(soft, before, share, 1 - share), np.uint8)
    lost = cv2.bitwise_and(_thin_parts(before), cv2.compare(settled, before, cv2.CMP_LT))
    filled = cv2.bitwise_and(_thin_gaps(before), cv2.compare(settled, before, cv2.CMP_GT))
    mask[part] = cv2.copyTo(before, cv2.bitwise_or(lost, filled), settled)


def _at(size: tuple[int, ...], photo: Picture) -> Picture:
    """``photo`` (H, W, 3) uint8 at a ``size`` (h, w) that is no larger, with little noise."""
    large = photo.shape[1] >= 2 * size[1]
    how = cv2.INTER_AREA if large else cv2.INTER_LINEAR
    return np.asarray(cv2.medianBlur(cv2.resize(photo, size[::-1], interpolation=how), 3), np.uint8)


def _thin_parts(mask: Picture) -> Picture:
    """255 where ``mask`` (h, w) uint8 has parts that are thin and more than a crumb, (h, w)."""
    thin = cv2.subtract(mask, cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disc(THIN_PX)))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.inRange(thin, STANDS_OUT, 255))
    kept = stats[:, cv2.CC_STAT_AREA] >= CRUMB
    kept[0] = False
    return np.where(kept[labels], 255, 0).astype(np.uint8)


def _thin_gaps(mask: Picture) -> Picture:
    """255 where ``mask`` (h, w) uint8 has gaps that are thin and more likely than not, (h, w)."""
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _disc(THIN_PX))
    return np.asarray(cv2.inRange(cv2.subtract(closed, mask), 128, 255), np.uint8)


def _between(levels: Floats, none: float, all_: float) -> Floats:
    """From 0 (at ``none`` and beyond) to 1 (at ``all_`` and beyond)."""
    return np.asarray(np.clip((levels - none) / (all_ - none), 0, 1), np.float32)


def without_specks(mask: Picture) -> Picture:
    """The mask (h, w) uint8 without pieces that are none of the subject's: smaller than a
    hundredth of its largest, nowhere more likely subject than not, or lying apart from the
    largest and much smaller than it (a dark corner of the booth; an antenna's tip lies near)."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8))
    if count <= 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    largest = int(areas.argmax())
    rest = np.flatnonzero((labels != largest) & (mask > 0))
    piece = labels.reshape(-1)[rest]
    kept = np.zeros(count, np.bool_)
    kept[piece[mask.reshape(-1)[rest] >= 128]] = True
    kept &= areas >= SPECK_SHARE * areas[largest]
    kept[largest] = mask[labels == largest].max() >= 128
    small = kept & (areas < APART_SHARE * areas[largest])
    if small.any():
        apart = cv2.distanceTransform((labels != largest).astype(np.uint8), cv2.DIST_L2, 3)
        near = apart.reshape(-1)[rest] <= NEAR_SHARE * max(mask.shape)
        small[piece[near]] = False
        kept &= ~small
    if kept[1:].all():
        return mask
    return np.where(kept[labels], mask, np.uint8(0))


def _disc(across_px: int) -> Picture:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (across_px,) * 2), np.uint8)


def _square(reach_px: int) -> Picture:
    return np.ones((2 * reach_px + 1,) * 2, np.uint8)
