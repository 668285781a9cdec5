"""Measures whether the same car gives the same mask in photos that are turned, resized or relit.

    scripts/robustness.py DATA [--checkpoint FOLDER] [--frames N] [--cars A,B] [--page FOLDER]

DATA: a labelled folder (train/, train_masks/) or any folder of photos. Of a labelled one, only
cars on the holdout list of the checkpoint's card count; with --all every car.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from unet_core.checkpoint import CheckpointError
from unet_core.data import DataError, Pair, Picture, find_pairs, find_photos, read_pair
from unet_core.devices import DeviceError, choose_device
from unet_core.evaluation import cut_out, spaced
from unet_core.gallery import Gallery, outlined
from unet_core.images import ImageError, decode
from unet_core.robustness import Result, Row, by_change, try_changes
from unet_core.segment import Segmenter
from unet_core.store import chosen_version

console = Console(stderr=True)


@dataclass(frozen=True)
class Frame:
    """One photo, and its labelled pair where there is a mask."""

    image: Path
    car: str
    pair: Pair | None = None


def main() -> int:
    """Exit code 0: measured; 1: but for photos that cannot be read; 2: wrong usage or data."""
    options = arguments()
    gallery = Gallery(options.page, title="The same cars, otherwise") if options.page else None
    results: list[Result] = []
    try:
        version = chosen_version(options.checkpoint)
        segmenter = Segmenter.load(version, choose_device(options.device))
        frames = chosen_frames(options, set(segmenter.card.holdout))
        unreadable = 0
        for frame in track(frames, console=console, disable=not console.is_terminal):
            try:
                results += tried(segmenter, frame, gallery)
            except (DataError, ImageError) as error:
                unreadable += 1
                console.print(f"skipped: {error}", style="yellow", markup=False)
        if not results:
            raise DataError(f"none of {len(frames)} photos of {options.data} can be read")
    except (CheckpointError, DataError, DeviceError) as error:
        console.print(str(error), style="red", markup=False)
        return 2
    rows = by_change(results)
    if options.json:
        figures = {"version": version.name, "changes": [asdict(row) for row in rows]}
        print(json.dumps({**figures, "results": [asdict(result) for result in results]}))
    else:
        Console().print(table(rows, version.name))
    if gallery:
        console.print(f"page: {gallery.write()}", markup=False, soft_wrap=True)
    return 1 if unreadable else 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="labelled folder, or folder of photos")
    parser.add_argument("--checkpoint", type=Path, help="default: the one that comes along")
    parser.add_argument("--all", action="store_true", help="every car, seen in training or not")
    parser.add_argument("--cars", metavar="A,B", help="only these cars")
    parser.add_argument("--frames", type=int, default=2, metavar="N", help="at most N frames a car")
    parser.add_argument("--page", type=Path, metavar="FOLDER", help="writes a page to look at")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="print JSON for a program")
    return parser.parse_args()


def chosen_frames(options: argparse.Namespace, unseen: set[str]) -> list[Frame]:
    """At most ``--frames`` of each car, evenly spaced; raises :class:`DataError` for none."""
    cars: dict[str, list[Frame]] = {}
    for frame in all_frames(options.data):
        if frame.pair is None or options.all or frame.car in unseen:
            cars.setdefault(frame.car, []).append(frame)
    if not cars:
        raise DataError(
            f"no car of {options.data} is on the checkpoint's holdout list; --all takes every car"
        )
    wanted = options.cars.split(",") if options.cars else list(cars)
    if strange := [car for car in wanted if car not in cars]:
        raise DataError(f"{options.data} has no car {strange[0]!r} to measure on; see --all")
    return [frame for car in wanted for frame in spaced(cars[car], options.frames)]


def all_frames(data: Path) -> list[Frame]:
    """Labelled frames, or photos: those of one folder or name before _NN are one car."""
    if (data / "train_masks").is_dir():
        return [Frame(pair.image, pair.car, pair) for pair in find_pairs(data)]
    photos = find_photos(data)
    return [
        Frame(path, path.parent.name if path.parent != data else path.stem.rpartition("_")[0])
        for path in photos
    ]


def tried(segmenter: Segmenter, frame: Frame, gallery: Gallery | None) -> list[Result]:
    """All changes of one frame, a row of the page. Raises :class:`DataError` for a labelled one,
    :class:`ImageError` for another."""
    truth: Picture | None = None
    if frame.pair:
        pixels, truth = read_pair(frame.pair)
    else:
        pixels = decode(frame.image).srgb()
    pictures: dict[str, Picture] = {}

    def show(result: Result, changed: Picture, mask: Picture) -> None:
        if gallery:
            words = f"{result.change}: Dice {result.dice:.4f}, edge {result.boundary_f_4px:.3f}"
            pictures[words] = outlined(changed, mask)

    cut = partial(cut_out, segmenter)
    results = try_changes(cut, pixels, frame=frame.image.name, truth=truth, show=show)
    if gallery:
        gallery.add(frame.image.name, pictures)
    return results


def table(rows: Sequence[Row], name: str) -> Table:
    """A row a change; what fell below 0.98 in red."""
    labelled = rows[0].dice_truth_mean is not None
    heads = ["Dice mean", "worst", "worst frame", "edge F 4 px"] + ["Dice to truth"] * labelled
    found = Table("change", *heads, title=escape(f"{name}, {rows[0].frames} frames"))
    for row in rows:
        figures = [f"{row.dice_mean:.4f}", f"{row.dice_worst:.4f}", escape(row.worst_frame)]
        figures.append(f"{row.boundary_f_4px_mean:.3f}")
        if row.dice_truth_mean is not None:
            figures.append(f"{row.dice_truth_mean:.4f}")
        found.add_row(row.change, *figures, style="red" if row.dice_mean < 0.98 else None)
    return found


if __name__ == "__main__":
    sys.exit(main())
