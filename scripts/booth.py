"""Measures what is told of a booth: as its shoots are, and when they are altered.

    scripts/booth.py DATA [--draws N] [--json]

DATA: a labelled folder (train/, train_masks/) of at least 18 shoots of one booth. First, shoots are
drawn in any order: nothing should be told. Then, of the shoots whose camera stands alike, the last
three of each draw are altered as a booth changes: that should be told, as what it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from unet_core.data import DataError, Pair, find_pairs, read_pair
from unet_core.evaluation_views import reduced
from worker.booth.displacement import Ground
from worker.booth.finding import LATEST, PAST, Finding
from worker.booth.health import judge
from worker.booth.view import ShootView, booth_view, shoot_view
from worker.outbox.manifest import (
    CheckpointRecord,
    FrameRow,
    Manifest,
    PresetRecord,
    SourceRecord,
)

Pixels = NDArray[np.uint8]
Photo = tuple[Pixels, Pixels]
"""(h, w, 3) sRGB and its mask (h, w)."""
Alteration = Callable[[Photo], Photo]

console = Console(stderr=True)
LONG_SIDE_PX = 288
"""At which photos are altered: six times what is kept of them."""
ALIKE, GROUP = 0.006, 18
"""Parts of the width within which cameras stand alike, and shoots of which such a group is made."""
ALTERED = 6
LONGEST = 28
"""Shoots that the program looks at, at most."""
GAMMA = 2.2


def main() -> int:
    """Exit code 0: measured; 2: wrong usage or data."""
    options = arguments()
    try:
        turns = shoots(options.data)
    except DataError as error:
        console.print(str(error), style="red", markup=False)
        return 2
    steps = track(turns.items(), console=console, disable=not console.is_terminal)
    views = {car: view for car, photos in steps if (view := view_of(car, photos))}
    group = alike(views)
    if len(views) < PAST + LATEST + 1 or len(group) < PAST + ALTERED:
        console.print(f"{options.data}: {len(views)} shoots, {len(group)} of them alike: too few")
        return 2
    rng = np.random.default_rng(0)
    rows = {}
    for length in (PAST + LATEST, min(LONGEST, len(views))):
        window = partial(any_window, views, length, rng)
        rows[f"as they are, {length} of {len(views)} in any order"] = drawn(options.draws, window)
    for name, alteration in ALTERATIONS.items():
        other = {car: view_of(car, turns[car], alteration) for car in group[:ALTERED]}
        altered = partial(altered_window, views, other, group, rng)
        rows[f"{name}, {len(group)} alike"] = drawn(options.draws, altered)
    report(rows, as_json=options.json)
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="labelled folder")
    parser.add_argument("--draws", type=int, default=50, help="of each kind [default: 50]")
    parser.add_argument("--json", action="store_true", help="print JSON for a program")
    return parser.parse_args()


def shoots(data: Path) -> dict[str, list[Photo]]:
    """The photos of each car and their masks, reduced."""
    found: dict[str, list[Photo]] = {}
    for pair in track(find_pairs(data), console=console, disable=not console.is_terminal):
        found.setdefault(pair.car, []).append(_small(pair))
    return found


def _small(pair: Pair) -> Photo:
    pixels, mask = read_pair(pair)
    scale = LONG_SIDE_PX / max(mask.shape)
    return reduced(pixels, scale), reduced(mask, scale)


def view_of(
    car: str, photos: Sequence[Photo], alteration: Alteration = lambda photo: photo
) -> ShootView | None:
    """What the photos of a car show of the booth."""
    rows = []
    for number, photo in enumerate(photos):
        pixels, mask = alteration(photo)
        source = SourceRecord(path=f"{car}/{number}.jpg", size=1, mtime_ns=1)
        view = booth_view(pixels, mask)
        rows.append(
            FrameRow(
                name=str(number),
                angle=number,
                source=source,
                booth=view,
                box=(0, 0, 1, 1),
                width=mask.shape[1],
            )
        )
    manifest = Manifest(
        shoot=car,
        status="complete",
        preset=PresetRecord(name="", digest=""),
        checkpoint=CheckpointRecord(version="", sha256=""),
        program="",
        started="",
        finished="",
        frames=rows,
    )
    return shoot_view(manifest)


def alike(views: dict[str, ShootView]) -> list[str]:
    """The largest group, ``GROUP`` at most, of shoots whose camera stands as in one of them."""
    greys = {car: view.logs.mean(axis=2) for car, view in views.items()}
    groups = []
    for ground in map(Ground, greys.values()):
        places = {car: ground.displacement(grey) for car, grey in greys.items()}
        far = {car: np.hypot(p.right, p.down) + abs(p.larger) / 3 for car, p in places.items()}
        near = sorted(far, key=lambda car: far[car])
        groups.append([car for car in near if far[car] < ALIKE][:GROUP])
    return max(groups, key=len, default=[])


def any_window(
    views: dict[str, ShootView], length: int, rng: np.random.Generator
) -> list[ShootView]:
    """Shoots as they are, in an order of chance."""
    return [views[str(car)] for car in rng.permutation(list(views))[:length]]


def altered_window(
    views: dict[str, ShootView],
    other: dict[str, ShootView | None],
    group: Sequence[str],
    rng: np.random.Generator,
) -> list[ShootView]:
    """Shoots as they are, and three altered ones after them."""
    last = [str(car) for car in rng.permutation(list(other))[:LATEST]]
    past = [str(car) for car in rng.permutation(list(group)) if car not in last][:PAST]
    return [views[car] for car in past] + [view for car in last if (view := other[car])]


def drawn(count: int, window: Callable[[], list[ShootView]]) -> tuple[int, int, Counter[str]]:
    """Windows in which something is told, windows, and how often each kind is."""
    told: list[list[Finding]] = [judge(window()) for _ in range(count)]
    kinds = Counter(finding.kind for found in told for finding in found)
    return sum(map(bool, told)), count, Counter({str(kind): n for kind, n in kinds.items()})


def report(rows: dict[str, tuple[int, int, Counter[str]]], *, as_json: bool) -> None:
    """A table, or JSON."""
    if as_json:
        print(json.dumps({n: {"told": t, "of": of, **kinds} for n, (t, of, kinds) in rows.items()}))
        return
    table = Table("shoots", "something told", "as what", box=None, pad_edge=False)
    for name, (told, of, kinds) in rows.items():
        what = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
        table.add_row(name, f"{told} of {of}", what)
    Console().print(table)


def moved(right: float, down: float = 0.0, larger: float = 1.0) -> Alteration:
    """The camera: lengths as parts of the picture's width."""

    def change(photo: Photo) -> Photo:
        height, width = photo[1].shape
        place = cv2.getRotationMatrix2D((width / 2, height / 2), 0, larger)
        place[:, 2] += right * width, down * width
        pixels = cv2.warpAffine(photo[0], place, (width, height), borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpAffine(photo[1], place, (width, height))
        return np.asarray(pixels, np.uint8), np.asarray(mask, np.uint8)

    return change


def relit(share: Callable[[Pixels], NDArray[np.float64]]) -> Alteration:
    """The light times ``share`` of it, (h, w, 1) or one for each channel, in linear light."""

    def change(photo: Photo) -> Photo:
        light = (photo[0] / 255) ** GAMMA * share(photo[1])
        encoded = np.rint(255 * np.clip(light, 0, 1) ** (1 / GAMMA))
        return np.asarray(encoded, np.uint8), photo[1]

    return change


def spot(mask: Pixels, *, right: float, down: float, radius: float) -> NDArray[np.float64]:
    """(h, w, 1): 1 at a place, falling to 0 around it; lengths as parts of the width."""
    height, width = mask.shape
    rows, columns = np.mgrid[0:height, 0:width] / width
    away = np.hypot(columns - right, rows - down) / radius
    return np.asarray(np.exp(-(away**2))[..., None])


def lamp(right: float, down: float) -> Alteration:
    """A lamp that gives a fifth less where it shines most."""
    return relit(lambda mask: 1 - 0.2 * spot(mask, right=right, down=down, radius=0.35))


ALTERATIONS: dict[str, Alteration] = {
    "as they are": lambda photo: photo,
    "moved by 1 % of the width": moved(0.01),
    "moved by 1 % upwards": moved(0, -0.01),
    "zoomed by 3 %": moved(0, 0, 1.03),
    "lamp on the left -20 %": lamp(0.2, 0.2),
    "lamp on the right -20 %": lamp(0.8, 0.2),
    "lamp in front -20 %": lamp(0.4, 0.55),
    "red +5 %": relit(lambda mask: np.array([1.05, 1, 1])),
    "blue -5 %": relit(lambda mask: np.array([1, 1, 0.95])),
    "all lamps -20 %": relit(lambda mask: np.array(0.8)),
    "spot on the floor": relit(
        lambda mask: 1 - 0.35 * spot(mask, right=0.85, down=0.55, radius=0.025)
    ),
    "spot on the lens": relit(
        lambda mask: 1 - 0.25 * spot(mask, right=0.1, down=0.38, radius=0.04)
    ),
}

if __name__ == "__main__":
    sys.exit(main())
