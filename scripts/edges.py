"""Measures edges, colours and shadows where the truth is known: in rendered booths.

    scripts/edges.py [--cars N] [--first-seed S] [--checkpoint FOLDER] [--width W] [--json]
    scripts/edges.py --page FOLDER [--photos FOLDER] [--cars 0]

Sets the plain way, ours and PyMatting's side by side, with the processor time of each in the same
run. The page shows pieces of the outlines at 100 %, of your photos or of the rendered ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from edge_measures import Figures, Found, means, measured
from edge_methods import Scene, pymatting
from edge_page import add_row
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from unet_core.booth import Booth
from unet_core.checkpoint import CheckpointError
from unet_core.data import DataError, find_photos
from unet_core.devices import DeviceError, choose_device
from unet_core.evaluation import cut_out, spaced
from unet_core.gallery import Gallery
from unet_core.images import ImageError, decode
from unet_core.segment import Segmenter
from unet_core.store import chosen_version

console = Console(stderr=True)

NEXT_ANGLE = 5
"""From one car to the next, so that a few cars show all sides."""
HEADS = {
    "sad": ("SAD, 1000 px", "{:.3f}"),
    "mse": ("MSE", "{:.4f}"),
    "gradient": ("gradient, 1000", "{:.3f}"),
    "true_alpha": ("levels, true alpha", "{:.2f}"),
    "our_mask": ("levels, our mask", "{:.2f}"),
    "error": ("error of light", "{:.4f}"),
    "cpu_ms": ("CPU ms", "{:.0f}"),
}
"""What stands above a figure, and how it is written."""


def main() -> int:
    """Exit code 0: measured; 1: but for photos that cannot be read; 2: wrong usage or data."""
    options = arguments()
    gallery = Gallery(options.page, title="Edges at 100 %") if options.page else None
    results: list[Found] = []
    unreadable = 0
    try:
        version = chosen_version(options.checkpoint)
        segmenter = Segmenter.load(version, choose_device(options.device))
        for name, scene in scenes(options):
            small = segmenter.segment([segmenter.prepare(scene.image)])[0]
            results += measured(scene, small, options.library)
            if gallery and not options.photos:
                add_row(gallery, name, scene.image, cut_out(segmenter, scene.image))
        if gallery and options.photos:
            unreadable = show_photos(gallery, segmenter, options)
    except (CheckpointError, DataError, DeviceError) as error:
        console.print(str(error), style="red", markup=False)
        return 2
    rows = means(results)
    if options.json:
        print(json.dumps({"version": version.name, "frames": options.cars, **rows}))
    elif rows:
        print_tables(rows, title=f"{version.name}, {options.cars} frames, {options.width} px")
    if gallery:
        console.print(f"page: {gallery.write()}", markup=False, soft_wrap=True)
    return 1 if unreadable else 0


def arguments() -> argparse.Namespace:
    """The command line; ``library`` is PyMatting, if it is wanted and there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cars", type=int, default=4, metavar="N", help="booths, a frame of each")
    parser.add_argument("--first-seed", type=int, default=9000, metavar="S")
    parser.add_argument("--width", type=int, default=1918, metavar="W", help="pixels, 3:2")
    parser.add_argument("--checkpoint", type=Path, help="default: the one that comes along")
    parser.add_argument("--page", type=Path, metavar="FOLDER", help="writes a page to look at")
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="shows these on the page")
    parser.add_argument("--frames", type=int, default=2, metavar="N", help="photos of each car")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="print JSON for a program")
    options = parser.parse_args()
    if options.photos and not options.page:
        parser.error("--photos are shown and not measured; add --page FOLDER")
    if options.cars < 0 or options.frames < 1 or options.width < 96:
        parser.error("--cars takes 0 or more, --frames 1 or more, --width 96 or more")
    options.library = pymatting() if options.cars else None
    if options.cars and not options.library:
        words = "without PyMatting, which is not installed: pip install pymatting"
        console.print(words, style="yellow")
    return options


def scenes(options: argparse.Namespace) -> Iterator[tuple[str, Scene]]:
    """One frame of each booth with its name, rendered when its turn comes."""
    numbers = range(options.cars)
    for number in track(numbers, console=console, disable=not console.is_terminal):
        seed = options.first_seed + number
        booth = Booth(seed, width=options.width, height=round(options.width * 2 / 3))
        angle = 1 + number * NEXT_ANGLE % booth.angles
        yield f"booth {seed}, angle {angle}", Scene.rendered(booth, angle)


def show_photos(gallery: Gallery, segmenter: Segmenter, options: argparse.Namespace) -> int:
    """A row for some photos of each car, evenly spaced; says how many could not be read."""
    cars: dict[Path, list[Path]] = {}
    for path in find_photos(options.photos):
        cars.setdefault(path.parent / path.stem.rpartition("_")[0], []).append(path)
    unreadable = 0
    for car in cars.values():
        for path in spaced(car, options.frames):
            try:
                pixels = decode(path).srgb()
                add_row(gallery, path.name, pixels, cut_out(segmenter, pixels))
            except ImageError as error:
                unreadable += 1
                console.print(f"skipped: {error}", style="yellow", markup=False)
    return unreadable


def print_tables(rows: Mapping[str, Mapping[str, Figures]], *, title: str) -> None:
    """A table each for masks, colours and shadows; the least of each column in bold."""
    for subject, methods in rows.items():
        names = list(next(iter(methods.values())))
        table = Table(subject, *(HEADS[name][0] for name in names), title=escape(title))
        least = {name: min(figures[name] for figures in methods.values()) for name in names}
        for method, figures in methods.items():
            cells = [
                f"[b]{text}[/b]" if figures[name] == least[name] else text
                for name in names
                for text in [HEADS[name][1].format(figures[name])]
            ]
            table.add_row(method, *cells)
        Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
