"""Shows what happens on photos from elsewhere: their masks, and what the line would say of them.

    scripts/outside.py PATH… [--checkpoint FOLDER] [--page FOLDER] [--json]

PATH: photos or folders of photos; no labels are needed. The verdict is the flags that the
line would raise.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Column, Table

from unet_core.checkpoint import CheckpointError
from unet_core.data import DataError, Picture, find_photos
from unet_core.devices import DeviceError, choose_device
from unet_core.gallery import Gallery, on_grey, outlined
from unet_core.images import ImageError, decode
from unet_core.metrics import binary
from unet_core.refine import refine
from unet_core.segment import Segmenter, Sighting
from unet_core.store import chosen_version
from worker.outbox.quality import confidence, edge_certainty, flags, mask_area

console = Console(stderr=True)


@dataclass(frozen=True)
class Look:
    """What the numbers say of one photo's mask; shares in [0, 1]."""

    photo: str
    area: float
    confidence: float
    edge_certainty: float
    """Mean of |2p - 1| within 3 px of the edge, at the network's size; 0 without an edge."""
    pieces: int
    verdict: str


def main() -> int:
    """Exit code 0: all looked at; 1: but for photos that cannot be read; 2: wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    parser.add_argument("--checkpoint", type=Path, help="default: the one that comes along")
    parser.add_argument("--page", type=Path, metavar="FOLDER", help="writes a page to look at")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="print JSON for a program")
    options = parser.parse_args()
    gallery = Gallery(options.page, title="Photos from elsewhere") if options.page else None
    looks, unreadable = [], 0
    try:
        version = chosen_version(options.checkpoint)
        segmenter = Segmenter.load(version, choose_device(options.device))
        photos = [photo for path in options.paths for photo in find_photos(path)]
    except (CheckpointError, DataError, DeviceError) as error:
        console.print(str(error), style="red", markup=False)
        return 2
    for photo in track(photos, console=console, disable=not console.is_terminal):
        try:
            looks.append(look_at(photo, segmenter, gallery))
        except ImageError as error:
            unreadable += 1
            console.print(f"skipped: {error}", style="yellow", markup=False)
    if options.json:
        print(json.dumps({"version": version.name, "photos": [asdict(look) for look in looks]}))
    else:
        Console().print(table(looks, version.name))
    if gallery:
        console.print(f"page: {gallery.write()}", markup=False, soft_wrap=True)
    return 1 if unreadable else 0


def look_at(photo: Path, segmenter: Segmenter, gallery: Gallery | None) -> Look:
    """Cuts one photo out, judges the mask, adds a row to the page. Raises :class:`ImageError`."""
    pixels = decode(photo).srgb()
    (seen,) = segmenter.look([segmenter.prepare(pixels)])
    mask = refine(seen.mask, pixels)
    look = judged(f"{photo.parent.name}/{photo.name}", seen, mask)
    if gallery:
        pictures = {"photo": pixels, "mask": mask, "its edge": outlined(pixels, mask)}
        figures = f"{look.area:.1%} of the picture, confidence {look.confidence:.3f}"
        note = f"{look.verdict} ({figures}, pieces: {look.pieces})"
        gallery.add(look.photo, {**pictures, "cut-out": on_grey(pixels, mask)}, note=note)
    return look


def judged(name: str, seen: Sighting, mask: Picture) -> Look:
    """The look at ``mask`` (H, W) uint8, made from what the network has ``seen``."""
    certainty = edge_certainty(seen.mask)
    told = flags(mask, certainty=certainty, turned=seen.turned)
    verdict = ", ".join(flag.code for flag in told) or "nothing to flag"
    pieces = cv2.connectedComponents(binary(mask).astype(np.uint8))[0] - 1
    return Look(name, mask_area(mask), confidence(seen.mask), certainty, pieces, verdict)


def table(looks: Sequence[Look], name: str) -> Table:
    """A row a photo."""
    heads = ("photo", "area", "confidence", "edge certainty", "pieces", "verdict")
    found = Table(*(Column(head, overflow="fold") for head in heads), title=escape(name))
    for look in looks:
        sure = f"{look.confidence:.4f}", f"{look.edge_certainty:.3f}"
        figures = (f"{look.area:.2%}", *sure, str(look.pieces))
        found.add_row(escape(look.photo), *figures, escape(look.verdict))
    return found


if __name__ == "__main__":
    sys.exit(main())
