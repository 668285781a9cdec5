"""Flags: reasons for a person to look at a frame. Pure."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_core.metrics import binary, distance_to, outline
from worker.outbox.manifest import Flag

CODES = ("nothing-found", "low-confidence", "touches-border", "more-pieces", "hole", "not-upright")
"""Of the flags here; those of a frame in its turn are in `turn`."""
TURNS = {1: "by 90° to the left", 2: "by 180°", 3: "by 90° to the right"}
NOTHING_BELOW_AREA = 0.005
LOW_CERTAINTY = 0.58
"""Of the edge. With studio-7, 64 photos of real booths reach 0.65 and more, 37 rendered ones 0.69;
five of streets lie at 0.37 and below."""
EDGE_PX = 3
LARGE_PIECE = 0.02
"""Of the largest piece's area, from which another one is worth a look: no antenna or mirror that
lies apart in the hand-made masks of 88 real cars is so large."""
LARGE_HOLE = 0.025
"""Of the car's area, likewise: no gap between roof and rails is so large."""


def mask_area(alpha: NDArray[np.uint8]) -> float:
    """Share of the picture that is subject, in [0, 1]; ``alpha`` is (H, W) uint8."""
    return cv2.mean(alpha)[0] / 255


def confidence(alpha: NDArray[np.uint8]) -> float:
    """The Dice, in [0, 1], that a mask (H, W) of probabilities · 255 would have on average if
    each pixel were subject with just its probability; 0.0 for an empty mask."""
    histogram = cv2.calcHist([alpha], [0], None, [256], [0, 256]).ravel().astype(np.float64)
    probability = np.arange(256) / 255
    taken = probability >= 0.5
    subject = float((histogram * probability).sum())
    chosen = float(histogram[taken].sum())
    agreed = float((histogram * probability)[taken].sum())
    return 2 * agreed / (subject + chosen) if subject + chosen else 0.0


def edge_certainty(mask: NDArray[np.uint8]) -> float:
    """How sure the network is along the edge of its mask, in [0, 1]: the mean of ``|2 p - 1|``
    within ``EDGE_PX`` of the outline.

    ``mask`` is (h, w) uint8 of probabilities · 255, as the network gives it, before it is refined.
    0.0 where it has no outline: nothing or everything is subject. A network that has seen such
    pictures knows its edges to a pixel; on others it blurs them.
    """
    left, top, width, height = cv2.boundingRect(binary(mask).view(np.uint8))
    margin = EDGE_PX + 1
    mask = mask[
        max(0, top - margin) : top + height + margin, max(0, left - margin) : left + width + margin
    ]
    edge = distance_to(outline(binary(mask))) <= EDGE_PX
    return float(np.abs(2 * (mask[edge] / 255) - 1).mean()) if edge.any() else 0.0


def flags(alpha: NDArray[np.uint8], *, certainty: float | None, turned: int = 0) -> list[Flag]:
    """The flags that one finished mask (H, W) uint8 deserves by itself, by the
    :func:`edge_certainty` of the network's own mask (None: it was not made by one), and by how many
    times 90° anticlockwise the photo had to be ``turned`` for the car to stand on its wheels."""
    area = mask_area(alpha)
    if area < NOTHING_BELOW_AREA:
        return [
            Flag(
                code="nothing-found",
                value=round(area, 5),
                sentence="No car was found in this frame; look at the photo.",
            )
        ]
    found = []
    if certainty is not None and certainty < LOW_CERTAINTY:
        sentence = "The network was unsure where the car ends; look at all of the edge."
        found.append(Flag(code="low-confidence", value=round(certainty, 4), sentence=sentence))
    found += _pieces_and_holes(alpha)
    if turned:
        sentence = f"The photo is not upright: turn it {TURNS[turned]}, and it is made again."
        found.append(Flag(code="not-upright", value=90.0 * turned, sentence=sentence))
    borders = {"left": alpha[:, 0], "right": alpha[:, -1], "top": alpha[0], "bottom": alpha[-1]}
    if touched := [side for side, line in borders.items() if (line >= 128).any()]:
        found.append(
            Flag(
                code="touches-border",
                value=float(len(touched)),
                sentence=f"The car is cut off at the {' and the '.join(touched)} of the picture.",
            )
        )
    return found


def _pieces_and_holes(alpha: NDArray[np.uint8]) -> list[Flag]:
    small = cv2.resize(alpha, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    car = cv2.inRange(small, 128, 255)
    left, top, width, height = cv2.boundingRect(car)
    if width == 0:
        return []
    car = car[top : top + height, left : left + width]
    car = cv2.copyMakeBorder(car, 1, 1, 1, 1, cv2.BORDER_CONSTANT)  # all around is one piece
    pieces = sorted(_areas(car, connectivity=8), reverse=True)
    holes = _areas(cv2.bitwise_not(car), connectivity=4)
    largest = pieces[0]
    found = []
    if others := [area for area in pieces[1:] if area > LARGE_PIECE * largest]:
        sentence = f"The car is in {len(others) + 1} pieces; look for what is no part of it."
        found.append(Flag(code="more-pieces", value=len(others) + 1.0, sentence=sentence))
    if wide := [area for area in holes if area > LARGE_HOLE * largest]:
        sentence = "There is a large hole in the car; look for a part that was taken for wall."
        found.append(Flag(code="hole", value=round(max(wide) / largest, 4), sentence=sentence))
    return found


def _areas(mask: cv2.typing.MatLike, *, connectivity: int) -> list[int]:
    """Areas in pixels of the pieces that ``mask`` (H, W) marks, but for that of its first pixel."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=connectivity)
    areas = stats[:, cv2.CC_STAT_AREA]
    return [int(area) for label, area in enumerate(areas) if label not in (0, labels[0, 0])]
