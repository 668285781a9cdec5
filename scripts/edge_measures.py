"""The figures of edges.py: every method on frames of which the truth is known, and their means."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from types import ModuleType
from typing import ParamSpec, TypeVar

from edge_methods import Picture, Scene, colour_methods, light_methods, mask_methods

from unet_core.edge_metrics import alpha_error, colour_error, light_error, true_light
from unet_core.refine import refine

P = ParamSpec("P")
T = TypeVar("T")
Figures = dict[str, float]


@dataclass(frozen=True)
class Found:
    """What one method got wrong on one frame."""

    subject: str
    """"alpha", "colour" or "light"."""
    method: str
    figures: Figures


def measured(scene: Scene, small: Picture, library: ModuleType | None) -> Iterator[Found]:
    """Every method on one frame, of which ``small`` (h, w) uint8 is the network's mask;
    PyMatting's where ``library`` is that."""
    mask = refine(small, scene.image)
    for name, cut in mask_methods(library).items():
        found, spent = timed(cut, small, scene.image)
        yield Found("alpha", name, asdict(alpha_error(found, scene.alpha)) | spent)
    truth = scene.alpha
    for name, unmix in colour_methods(library).items():
        colours, spent = timed(unmix, scene.image, truth)
        exact = colour_error(colours, scene.foreground, truth=truth, mask=truth)
        colours = unmix(scene.image, mask)
        ours = colour_error(colours, scene.foreground, truth=truth, mask=mask)
        yield Found("colour", name, {"true_alpha": exact, "our_mask": ours} | spent)
    light = true_light(scene.background, scene.plate)
    for name, shade in light_methods().items():
        shadow, spent = timed(shade, scene, mask)
        error = light_error(shadow, light, alpha=truth)
        yield Found("light", name, {"error": error} | spent)


def timed(method: Callable[P, T], *given: P.args, **named: P.kwargs) -> tuple[T, Figures]:
    """What a method gives, and its milliseconds of processor time, those of all its threads
    together: neither cores nor whatever else runs change the comparison. The second of two calls
    counts: the first one may load code, and gets its memory from the system."""
    method(*given, **named)
    started = time.process_time()
    result = method(*given, **named)
    return result, {"cpu_ms": (time.process_time() - started) * 1000}


def means(results: Sequence[Found]) -> dict[str, dict[str, Figures]]:
    """Over all frames: by subject, then by method, in the order in which they came."""
    rows: dict[str, dict[str, Figures]] = {}
    for subject, method in dict.fromkeys((found.subject, found.method) for found in results):
        mine = [each for each in results if (each.subject, each.method) == (subject, method)]
        rows.setdefault(subject, {})[method] = {
            name: fmean(each.figures[name] for each in mine) for name in mine[0].figures
        }
    return rows
