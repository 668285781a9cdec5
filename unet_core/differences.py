"""Where two networks differ on photos whose truth nobody knows, as a contact sheet.

photo ─ both networks, at the size that they see ─ Dice between the masks ─ the least alike on top
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from unet_core.data import Picture
from unet_core.evaluation_views import TILE_PX, error_view, reduced
from unet_core.images import encode_jpeg
from unet_core.metrics import binary, dice
from unet_core.segment import Segmenter

SHOWN = 8


@dataclass(frozen=True)
class Seen:
    """A photo as the networks are to see it."""

    shoot: str
    frame: str
    pixels: Picture
    """(h, w, 3) uint8 sRGB."""


@dataclass(frozen=True)
class Difference:
    """How alike two networks' masks of one photo are."""

    shoot: str
    frame: str
    dice: float
    """Between the two masks, in [0, 1]; 1: the same."""
    picture: str
    """File beside the report; empty for a frame that is not shown."""


@dataclass(frozen=True)
class Sheet:
    """What a comparison found."""

    frames: int
    """Compared; ``shoots`` likewise."""
    shoots: int
    mean_dice: float | None
    largest: list[Difference]
    """The least alike first."""


def compare_on(
    champion: Segmenter,
    candidate: Segmenter,
    photos: Iterable[Seen],
    folder: Path,
) -> Sheet:
    """Puts ``photos`` through both networks and writes pictures of the ``SHOWN`` on which they
    differ most into ``folder``: ``differs-1.jpg``, …"""
    alike: list[tuple[float, str, str]] = []
    kept: list[tuple[float, Seen, Picture, Picture]] = []
    for seen in photos:
        before, after = (_mask(network, seen.pixels) for network in (champion, candidate))
        after = _sized(after, before)
        likeness = dice(after, before)
        alike.append((likeness, seen.shoot, seen.frame))
        kept = sorted([*kept, (likeness, seen, before, after)], key=lambda each: each[0])[:SHOWN]
    largest = []
    for number, (likeness, seen, before, after) in enumerate(kept, start=1):
        name = f"differs-{number}.jpg"
        view = _view(seen.pixels, before, after)
        (folder / name).write_bytes(encode_jpeg(view, subsampling="4:4:4"))
        largest.append(Difference(seen.shoot, seen.frame, round(likeness, 5), name))
    mean = round(float(np.mean([each[0] for each in alike])), 5) if alike else None
    return Sheet(len(alike), len({shoot for _, shoot, _ in alike}), mean, largest)


def section(sheet: Sheet, *, title: str) -> str:
    """The sheet as a part of a page in the sheet's folder: HTML."""
    tiles = "".join(
        f'<figure><img src="{each.picture}" alt=""><figcaption>'
        f"{html.escape(f'{each.shoot}/{each.frame}')}: Dice {each.dice:.4f}</figcaption></figure>"
        for each in sheet.largest
    )
    if not sheet.frames:
        return f"<h2>{html.escape(title)}</h2><p>No photo was there to compare on.</p>"
    return (
        f"<h2>{html.escape(title)}</h2><p>Both networks on {sheet.frames} frames of "
        f"{sheet.shoots} shoots; between their masks Dice {sheet.mean_dice:.4f} on average. Shown "
        "are the least alike: red only the candidate takes for car, blue only the champion.</p>"
        f"<div class=sheet>{tiles}</div>"
    )


def _mask(network: Segmenter, pixels: Picture) -> Picture:
    return network.segment([network.prepare(pixels)])[0]


def _sized(mask: Picture, other: Picture) -> Picture:
    if mask.shape == other.shape:
        return mask
    return np.asarray(cv2.resize(mask, other.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _view(pixels: Picture, before: Picture, after: Picture) -> Picture:
    """At most ``TILE_PX`` wide; a pixel is coloured where any that it stands for differs."""
    scale = min(1.0, TILE_PX / pixels.shape[1])
    small = reduced(pixels, scale)
    size = small.shape[1::-1]
    only = binary(after) & ~binary(before), binary(before) & ~binary(after)
    extra, missing = (
        np.asarray(cv2.resize(part.astype(np.float32), size, interpolation=cv2.INTER_AREA)) > 0
        for part in only
    )
    return error_view(small, extra, missing)
