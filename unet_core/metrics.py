"""How good a mask is, at the picture's own full size: its area, its edge, its confidence.

Masks are (H, W) arrays: bool, or uint8 where 128 and more is subject; truths are the same.

    mask, truth ─ compare ─▶ Counts    what is subject, by alpha  ─▶ Dice, IoU, calibration
                             Outlines  how far the edges are apart ─▶ boundary F, Hausdorff 95
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8] | NDArray[np.bool_]

NEAR_EDGE_PX = 8
"""The band around the true outline in which confidence is judged on its own."""
RELIABILITY_BINS = 15
"""As in Guo et al. 2017; 17 levels of alpha each, the last one 18."""


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each alpha was given to what is truly subject, and to what is not.

    Counts of many pictures add up: ``sum(counts, Counts.none())``.
    """

    pixels: NDArray[np.int64]
    """(2, 256), by alpha: [0] what is not subject, [1] what is."""

    @classmethod
    def none(cls) -> Counts:
        """The counts of no pixel at all."""
        return cls(np.zeros((2, 256), np.int64))

    @classmethod
    def of(cls, alpha: NDArray[np.uint8], truth: NDArray[np.bool_]) -> Counts:
        """The counts of two arrays of one shape; alpha 255 is surely subject."""
        subject = np.bincount(alpha[truth], minlength=256)
        return cls(np.stack([np.bincount(alpha.ravel(), minlength=256) - subject, subject]))

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.pixels + other.pixels)

    @property
    def dice(self) -> float:
        """2·|A∩B| / (|A|+|B|), in [0, 1]; two empty masks agree (1.0)."""
        total = int(self.pixels[:, 128:].sum() + self.pixels[1].sum())
        return 2 * int(self.pixels[1, 128:].sum()) / total if total else 1.0

    @property
    def left_open(self) -> float:
        """The share of what is not subject that is left out of the mask, in [0, 1]: specificity;
        1.0 where there is nothing to leave out."""
        outside = int(self.pixels[0].sum())
        return int(self.pixels[0, :128].sum()) / outside if outside else 1.0

    @property
    def iou(self) -> float:
        """|A∩B| / |A∪B|, in [0, 1]; two empty masks agree (1.0)."""
        union = int(self.pixels[:, 128:].sum() + self.pixels[1, :128].sum())
        return int(self.pixels[1, 128:].sum()) / union if union else 1.0

    def reliability(self) -> list[Bin]:
        """The reliability table: for each range of alpha, what was promised and what is true."""
        bins = []
        for number in range(RELIABILITY_BINS):
            first = number * 17
            last = 255 if number == RELIABILITY_BINS - 1 else first + 16
            levels = self.pixels[:, first : last + 1]
            count = int(levels.sum())
            promised = float((levels.sum(axis=0) * np.arange(first, last + 1)).sum()) / 255
            subject = int(levels[1].sum())
            bins.append(Bin(first, last, count, promised / (count or 1), subject / (count or 1)))
        return bins

    @property
    def calibration_error(self) -> float:
        """Expected calibration error, in [0, 1], 0 is best: how far what is promised lies from
        what is true, a mean over the bins by their pixels (Naeini et al. 2015, Guo et al. 2017;
        of alpha as the probability of subject). 0.0 where nothing was counted."""
        bins = self.reliability()
        total = sum(each.pixels for each in bins)
        return sum(each.pixels * abs(each.promised - each.true) for each in bins) / (total or 1)


@dataclass(frozen=True)
class Bin:
    """One row of a reliability table; an empty row has 0 in all figures."""

    first: int
    last: int
    """The alphas that it holds, both included."""
    pixels: int
    promised: float
    """Mean alpha / 255 of its pixels."""
    true: float
    """The share of its pixels that is truly subject."""


@dataclass(frozen=True, eq=False)
class Outlines:
    """How far two outlines are apart, from every point of each to the nearest of the other."""

    from_mask: NDArray[np.float32]
    from_truth: NDArray[np.float32]
    """Distances in pixels; both are empty where mask or truth has no outline."""
    same: bool
    """Whether mask and truth are equal."""
    diagonal_px: float
    """Of the picture: no distance in it is longer."""

    def boundary_f(self, tolerance_px: float) -> float:
        """F-score of the two outlines, in [0, 1]: a point of one is right when the other passes
        within ``tolerance_px`` (Martin, Fowlkes, Malik 2004; Perazzi et al. 2016, the F of DAVIS).
        Where one of them has no outline (all or nothing is subject), only equal masks agree."""
        if not self.from_mask.size:
            return float(self.same)
        precision = float((self.from_mask <= tolerance_px).mean())
        recall = float((self.from_truth <= tolerance_px).mean())
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    @property
    def hausdorff_95(self) -> float:
        """95 % Hausdorff distance of the two outlines in pixels, 0 is best: 95 of 100 points of
        either lie within it of the other (the larger of the two directions; Huttenlocher et al.
        1993 with the percentile of Taha and Hanbury 2015). Where one of them has no outline, 0
        for equal masks, else the picture's diagonal, so that a mean over frames stays finite."""
        if not self.from_mask.size:
            return 0.0 if self.same else self.diagonal_px
        return float(max(np.percentile(self.from_mask, 95), np.percentile(self.from_truth, 95)))


@dataclass(frozen=True)
class Comparison:
    """One mask against its truth."""

    counts: Counts
    """Of the whole picture."""
    edge_counts: Counts
    """Of what lies within ``NEAR_EDGE_PX`` of the true outline."""
    opening_counts: Counts
    """Of what is seen through the subject: floor between spokes, wall below a roof rail."""
    outlines: Outlines


def compare(mask: Mask, truth: Mask) -> Comparison:
    """Both (H, W) of one shape; outlines and distances are made once, and only where something
    is: in the box around both. Raises ValueError when the shapes differ."""
    if mask.shape != truth.shape:
        raise ValueError(f"the mask is {mask.shape}, the truth {truth.shape}; bring them to one")
    box = _box(_alpha(mask), binary(truth))
    alpha, truly = _alpha(mask)[box], binary(truth)[box]
    counts = Counts.of(alpha, truly)
    counts.pixels[0, 0] += mask.size - alpha.size  # outside the box all is empty
    a, b = outline(alpha >= 128), outline(truly)
    to_truth = distance_to(b)
    both = bool(a.any() and b.any())
    nothing = np.zeros(0, np.float32)
    outlines = Outlines(
        from_mask=to_truth[a] if both else nothing,
        from_truth=distance_to(a)[b] if both else nothing,
        same=bool(np.array_equal(alpha >= 128, truly)),
        diagonal_px=math.hypot(*mask.shape),
    )
    edge, open_ = (
        Counts.of(alpha[part], truly[part]) for part in (to_truth <= NEAR_EDGE_PX, openings(truly))
    )
    return Comparison(counts, edge, open_, outlines)


def dice(mask: Mask, truth: Mask) -> float:
    """Dice coefficient of :class:`Counts`, in [0, 1] (Dice 1945, Sørensen 1948)."""
    return Counts.of(_alpha(mask), binary(truth)).dice


def iou(mask: Mask, truth: Mask) -> float:
    """Intersection over union of :class:`Counts`, in [0, 1] (Jaccard 1912)."""
    return Counts.of(_alpha(mask), binary(truth)).iou


def boundary_f(mask: Mask, truth: Mask, *, tolerance_px: float) -> float:
    """:meth:`Outlines.boundary_f`, in [0, 1]; for several tolerances :func:`compare` once."""
    return compare(mask, truth).outlines.boundary_f(tolerance_px)


def hausdorff_95(mask: Mask, truth: Mask) -> float:
    """:attr:`Outlines.hausdorff_95`, in pixels."""
    return compare(mask, truth).outlines.hausdorff_95


def total(counts: Iterable[Counts]) -> Counts:
    """The counts of many pictures as those of one."""
    return sum(counts, Counts.none())


def binary(mask: Mask) -> NDArray[np.bool_]:
    """(H, W) bool: True is subject."""
    return np.asarray(mask, np.bool_) if mask.dtype == np.bool_ else mask >= 128


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The subject's own pixels that touch what is not subject (4-neighbours)."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inner = cv2.erode(mask.astype(np.uint8), cross, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(mask & (inner == 0), np.bool_)


def openings(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) bool: what is not subject and has the subject, and nothing else, around it
    (4-neighbours)."""
    _, labels = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=4)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    inside = np.ones(int(labels.max(initial=0)) + 1, np.bool_)
    inside[border] = inside[0] = False  # 0 is the subject
    return np.asarray(inside[labels], np.bool_)


def distance_to(points: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) Euclidean distance in pixels from every pixel to the nearest True one; infinite
    where there is none."""
    if not points.any():
        return np.full(points.shape, np.inf, np.float32)
    inverse = (~points).astype(np.uint8)
    distances = cv2.distanceTransform(inverse, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distances, np.float32)


def _alpha(mask: Mask) -> NDArray[np.uint8]:
    return np.asarray(mask * np.uint8(255) if mask.dtype == np.bool_ else mask, np.uint8)


def _box(alpha: NDArray[np.uint8], truth: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Around all that is not empty, with room for the band along the edge."""
    anything = (truth | (alpha > 0)).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(anything)
    room = NEAR_EDGE_PX + 1
    return (
        slice(max(0, top - room), top + height + room),
        slice(max(0, left - room), left + width + room),
    )
