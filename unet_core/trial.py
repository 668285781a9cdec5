"""Champion and candidate measured on the same pictures, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np

from unet_core.data import Pair, read_pair
from unet_core.evaluation import cut_out
from unet_core.gate import Compared, Figures, Kind
from unet_core.metrics import compare
from unet_core.segment import Segmenter
from unet_core.slices import slices_of

BOUNDARY_PX = 2
TIMED, ROUNDS = 7, 8
EVEN = 1.03
"""From here on one round too few may be to blame, and another one is taken."""


def try_both(
    champion: Segmenter,
    candidate: Segmenter,
    pairs: Iterable[Pair],
    *,
    kind: Kind,
    on_pair: Callable[[], None] = lambda: None,
) -> list[Compared]:
    """What both make of each picture; ``on_pair`` is called before each one.

    Raises :class:`DataError` at the first picture that cannot be read.
    """
    found = []
    for pair in pairs:
        on_pair()
        pixels, truth = read_pair(pair)
        results = [compare(cut_out(network, pixels), truth) for network in (champion, candidate)]
        figures = [Figures(r.counts.dice, r.outlines.boundary_f(BOUNDARY_PX)) for r in results]
        angle = pair.angle if kind == "holdout" else None
        slices = slices_of(pixels, truth, angle=angle)
        found.append(Compared(kind, pair.car, pair.image.name, figures[0], figures[1], slices))
    return found


def times_as_long(champion: Segmenter, candidate: Segmenter) -> float:
    """The candidate's time for one picture by the champion's: the least of several, taken in
    turn, because whatever else the machine does only ever adds."""
    picture = np.zeros((640, 960, 3), np.uint8)
    least = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        for _ in range(TIMED):
            for place, network in enumerate((champion, candidate)):
                started = time.perf_counter()
                network.segment_whole([network.prepare(picture)])
                least[place] = min(least[place], time.perf_counter() - started)
        if least[1] <= EVEN * least[0]:
            break
    return least[1] / least[0]
