"""Where a network doubts, the outline that the photo shows: a minimal cut.

    mask, photo ─ doubtful pixels and the known ones beside them ─ steps of total variation ─ mask

Each doubtful pixel becomes subject or not so that as little as possible is said against the
network, and the outline is short but for where the photo has an edge (Boykov and Jolly,
"Interactive graph cuts", ICCV 2001). That is a convex problem (Chan, Esedoglu and Nikolova,
"Algorithms for finding global minimizers of image segmentation and denoising models", SIAM J.
Appl. Math. 2006), solved by the steps of Chambolle and Pock (JMIV 2011), each as long as its pixel
allows (Pock and Chambolle, ICCV 2011). The cost is proportional to the doubtful area.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
Places = NDArray[np.intp]

_ALIKE = np.float32(3)
"""What it costs to cut between two neighbours of one colour, in nats of the network's odds…"""
_ANYWHERE = np.float32(0.05)
"""…and between any two."""
_NOTICED = np.float32(1)
"""Two colours so far apart in CIELAB are just seen to differ; at three times that a cut between
them costs next to nothing."""
_SURE = np.float32(0.02)
"""The network's word is never taken as surer than so far from 0 and from 1."""
_STEPS = 40
"""Of the solver: then one doubtful pixel in a hundred is on the other side than in the end."""


def cut(mask: Picture, photo: Picture, where: NDArray[np.bool_]) -> Picture:
    """``mask`` (h, w) uint8 of ``photo`` (h, w, 3) uint8 sRGB with what is marked in ``where``
    (h, w) decided: subject from 128 on, most of it near 0 or 255, (h, w) uint8. All else stays,
    and so do the inputs."""
    undecided = where.reshape(-1)
    place = np.flatnonzero(undecided)
    if not place.size:
        return mask
    one, other = _edges(undecided, place, mask.shape[1])
    asked = undecided.copy()
    asked[one] = asked[other] = True
    nodes = np.flatnonzero(asked)  # (M,): with the known ones beside
    number = np.empty(mask.size, np.intp)
    number[nodes] = np.arange(nodes.size)
    one, other = number[one], number[other]
    costs = _costs(photo.reshape(-1, 3)[nodes], one, other)
    free = undecided[nodes]
    solved = _total_variation(mask.reshape(-1)[nodes], free, one, other, costs)
    decided = mask.copy()
    decided.reshape(-1)[place] = np.rint(255 * solved[free]).astype(np.uint8)
    return decided


def _edges(undecided: NDArray[np.bool_], place: Places, width: int) -> tuple[Places, Places]:
    """Both ends (E,) of all edges, to the right and downwards, of which an end at least is
    undecided, as flat indices."""
    column = place % width
    beside, above = place[column > 0] - 1, place[place >= width] - width
    to_right = np.concatenate([place[column < width - 1], beside[~undecided[beside]]])
    down = np.concatenate([place[place < undecided.size - width], above[~undecided[above]]])
    return np.concatenate([to_right, down]), np.concatenate([to_right + 1, down + width])


def _costs(colours: Picture, one: Places, other: Places) -> Floats:
    """(E,) what it costs to cut each edge between two of the ``colours`` (M, 3) uint8 sRGB."""
    lab = cv2.cvtColor(colours[:, None] / np.float32(255), cv2.COLOR_RGB2LAB)[:, 0]
    apart = np.square(lab[one] - lab[other]).sum(axis=1)
    return np.asarray(_ANYWHERE + _ALIKE * np.exp(-apart / (2 * _NOTICED**2)), np.float32)


def _total_variation(
    levels: Picture, free: NDArray[np.bool_], one: Places, other: Places, costs: Floats
) -> Floats:
    """(M,) in [0, 1]: ``levels`` (M,) uint8, decided where ``free``; elsewhere 0 or 1."""
    likely = np.clip(levels / np.float32(255), _SURE, 1 - _SURE).astype(np.float32)
    against = np.where(free, np.log(1 / likely - 1), 0).astype(np.float32)
    # One divided by the number of a pixel's edges; what is known never moves.
    step = np.where(free, 0.25, 0).astype(np.float32)
    x = np.where(free, likely, levels >= 128).astype(np.float32)
    ahead, flow = x, np.zeros(costs.size, np.float32)
    for _ in range(_STEPS):
        flow = np.clip(flow + (ahead[one] - ahead[other]) / 2, -costs, costs)
        moved = np.bincount(one, flow, x.size) - np.bincount(other, flow, x.size)
        before, x = x, np.clip(x - step * (moved + against), 0, 1).astype(np.float32)
        ahead = 2 * x - before
    return x
