"""Framing of a set: one scale, one ground line and one centre for all frames of a shoot.

A camera on a tripod sees the turntable at the same place in every photo. So all photos of one size
get the same placement, and the car neither jumps nor breathes from angle to angle. The outline's
lowest point does move through a turn, by perspective; following it would make the car bob.

    boxes of all masks ─ their hull ─ on the ground line, centred, as large as the margin allows
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.finish.presets import Framing

LARGEST = 2.0
"""Times that a photo is enlarged at most: beyond, it would only be blurred."""

LEAST_ROOM = 0.2
"""Of the picture's height: what the car has at least, however wide the margins are asked for."""
COARSE = 8
"""Pieces of a mask are found in one so many times smaller…"""
DOT_SHARE = 0.01
"""…and are dots below this share of the largest one's area."""
SAME_ASPECT = 0.01
"""Photos whose aspects differ by so little have one scale."""

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""Left, top, right and bottom in px; right and bottom lie just outside."""


@dataclass(frozen=True)
class FrameShape:
    """What framing knows of one frame."""

    size: tuple[int, int]
    """Width and height of the photo, px."""
    box: Box | None
    """Of the car in it; None where nothing was found."""


@dataclass(frozen=True)
class Placement:
    """Where a photo goes: it is resized to ``scaled`` and laid with its corner at ``offset``."""

    size: tuple[int, int]
    """Width and height of the finished picture, px."""
    photo: tuple[int, int]
    """Width and height of the photo, px…"""
    scaled: tuple[int, int]
    """…and what they become."""
    offset: tuple[int, int]
    """x and y in the finished picture, px; negative where the photo is cropped."""

    @property
    def is_identity(self) -> bool:
        """Whether the photo stays as it was shot."""
        return self.size == self.photo == self.scaled and self.offset == (0, 0)


def subject_box(alpha: Pixels) -> Box | None:
    """The box of what a mask (H, W) uint8 takes for car rather than not, a dot that a brush left
    elsewhere aside; None if there is none."""
    car = np.asarray(cv2.inRange(alpha, 128, 255), np.uint8)
    rows, columns = _without_dots(car)
    left, top, width, height = cv2.boundingRect(car[rows, columns])
    left, top = left + columns.start, top + rows.start
    return (left, top, left + width, top + height) if width else None


def _without_dots(car: Pixels) -> tuple[slice, slice]:
    """Rows and columns of the pieces of a mask (H, W) uint8, 0 or 255, that are more than dots;
    to a few pixels, because the pieces are found in a smaller picture."""
    height, width = car.shape
    small = cv2.resize(
        car, (-(-width // COARSE), -(-height // COARSE)), interpolation=cv2.INTER_AREA
    )
    count, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.inRange(small, 1, 255))
    if count <= 2:
        return slice(0, height), slice(0, width)
    areas = np.bincount(labels.ravel(), weights=small.ravel(), minlength=count)[1:]
    kept = stats[1:][areas >= DOT_SHARE * areas.max()]
    left, top = kept[:, : cv2.CC_STAT_WIDTH].min(axis=0)
    right, bottom = (kept[:, :2] + kept[:, 2:4]).max(axis=0)
    down, across = height / small.shape[0], width / small.shape[1]
    return (
        slice(int(top * down), math.ceil(bottom * down)),
        slice(int(left * across), math.ceil(right * across)),
    )


def fit(shapes: Sequence[FrameShape], framing: Framing) -> list[Placement]:
    """A placement for every frame of a shoot, the same for all photos of one size, and as if they
    had it for those of one aspect.

    A box that reaches the photo's border (a car cut off, a wall taken for car) does not count as
    long as there are others. Photos of a size in which nothing was found are shown whole.
    """
    usual = Counter(shape.size for shape in shapes).most_common(1)[0][0]
    size = _picture_size(usual, framing)
    hulls = {shape.size: _hull(shapes, shape.size) for shape in shapes}
    placements = {photo: _place(photo, hull, size, framing) for photo, hull in hulls.items()}
    return [placements[shape.size] for shape in shapes]


def reframe(pixels: Pixels, alpha: Pixels, placement: Placement) -> tuple[Pixels, Pixels]:
    """A photo (H, W, 3) uint8 and its mask (H, W) uint8 in their new frame, (H', W', 3) and
    (H', W'). Beyond the photo its border goes on, without car. The identity gives both back as
    they are."""
    if placement.is_identity:
        return pixels, alpha
    return (
        _laid(pixels, placement, cv2.BORDER_REPLICATE),
        _laid(alpha, placement, cv2.BORDER_CONSTANT),
    )


def _picture_size(usual: tuple[int, int], framing: Framing) -> tuple[int, int]:
    across, down = framing.proportions or usual
    width = framing.width or usual[0]
    return width, max(1, round(width * down / across))


def _hull(shapes: Sequence[FrameShape], size: tuple[int, int]) -> Box | None:
    """Around the car in all frames of this aspect, in pixels of a photo of ``size``."""
    boxes = [(s.size, s.box) for s in shapes if s.box and _same_aspect(s.size, size)]
    whole = [
        (photo, box)
        for photo, box in boxes
        if box[0] > 0 and box[1] > 0 and box[2] < photo[0] and box[3] < photo[1]
    ]
    counted = np.array(
        [np.multiply(box, size[0] / photo[0]) for photo, box in whole or boxes]
    )  # (N, 4)
    if not counted.size:
        return None
    left, top = np.floor(counted[:, :2].min(axis=0))
    right, bottom = np.ceil(counted[:, 2:].max(axis=0))
    return int(left), int(top), int(right), int(bottom)


def _same_aspect(one: tuple[int, int], other: tuple[int, int]) -> bool:
    across, down = one[0] * other[1], one[1] * other[0]
    return abs(across - down) <= SAME_ASPECT * down


def _place(
    photo: tuple[int, int], hull: Box | None, size: tuple[int, int], framing: Framing
) -> Placement:
    if hull is None:
        scale = min(size[0] / photo[0], size[1] / photo[1])
        scaled = max(1, round(photo[0] * scale)), max(1, round(photo[1] * scale))
        corner = (size[0] - scaled[0]) // 2, (size[1] - scaled[1]) // 2
        return Placement(size, photo, scaled, corner)
    left, top, right, bottom = hull
    margin, ground = framing.margin * size[0], framing.ground * size[1]
    room = size[0] - 2 * margin, max(ground - margin, LEAST_ROOM * size[1])
    scale = min(room[0] / (right - left), room[1] / (bottom - top), LARGEST)
    scaled = max(1, round(photo[0] * scale)), max(1, round(photo[1] * scale))
    x = round(size[0] / 2 - scale * (left + right) / 2)
    return Placement(size, photo, scaled, (x, round(ground - scale * bottom)))


def _laid(picture: Pixels, placement: Placement, border: int) -> Pixels:
    width, height = placement.scaled
    how = cv2.INTER_AREA if width < placement.photo[0] else cv2.INTER_CUBIC
    resized = cv2.resize(picture, placement.scaled, interpolation=how)
    x, y = placement.offset
    # The part of the photo that is in the picture: one pixel at least, whose border goes on.
    left, right = min(max(0, -x), width - 1), max(1, min(width, placement.size[0] - x))
    top, bottom = min(max(0, -y), height - 1), max(1, min(height, placement.size[1] - y))
    part = resized[top:bottom, left:right]
    beside = max(0, x), max(0, placement.size[0] - x - right)
    beyond = max(0, y), max(0, placement.size[1] - y - bottom)
    laid = cv2.copyMakeBorder(part, *beyond, *beside, border)
    return np.asarray(laid[: placement.size[1], : placement.size[0]], np.uint8)
