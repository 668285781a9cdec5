"""The photos that the bench works on: shoots of 16 in an inbox of its own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from unet_core.booth import Booth
from unet_core.images import decode, encode_jpeg
from unet_core.suffixes import PHOTO_SUFFIXES
from worker.intake.scan import look
from worker.queue.messages import JobMessage
from worker.shoots import group

TURN = 16
DISTINCT = 4
"""Different photos among the rendered ones; each is there several times, as another frame."""


@dataclass(frozen=True)
class Frames:
    """An inbox and what lies in it."""

    inbox: Path
    size: tuple[int, int]
    """Width and height of the first photo, in pixels."""

    @property
    def paths(self) -> list[Path]:
        """All photos."""
        return sorted(self.inbox.glob("*/*"))

    def messages(self) -> list[JobMessage]:
        """The messages that a watcher would send."""
        return [JobMessage.of(shoot) for shoot in group(look(self.inbox).sources.values())]


def rendered(inbox: Path, size: tuple[int, int], count: int, *, distinct: int = DISTINCT) -> Frames:
    """``count`` frames of a rendered car in its booth, ``distinct`` different ones; drawn at half a
    megapixel at most and enlarged, for speed."""
    width = min(size[0], 960)
    booth = Booth(seed=15, width=width, height=round(width * size[1] / size[0]), samples=4)
    pictures = []
    for number in range(min(distinct, count)):
        angle = 1 + number * TURN // distinct
        image = cv2.resize(booth.render(angle).image, size, interpolation=cv2.INTER_CUBIC)
        pictures.append(encode_jpeg(image, quality=95))  # type: ignore[arg-type]
    return _laid_out(inbox, pictures, ".jpg", size, count)


def given(inbox: Path, folder: Path, count: int) -> Frames:
    """``count`` frames from the photos in a folder and its sub-folders, over and over.

    Raises ``FileNotFoundError`` when there are none, ``ImageError`` when one of them is no photo.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
    if not found:
        raise FileNotFoundError(f"{folder} holds no photo (JPEG, PNG, TIFF, WebP)")
    found = found[:count]
    shapes = [decode(path).pixels.shape for path in found]
    height, width = shapes[0][:2]
    pictures = [path.read_bytes() for path in found]
    return _laid_out(inbox, pictures, found[0].suffix, (width, height), count)


def _laid_out(
    inbox: Path, pictures: Sequence[bytes], suffix: str, size: tuple[int, int], count: int
) -> Frames:
    shutil.rmtree(inbox, ignore_errors=True)
    for number in range(count):
        shoot = inbox / f"car-{1 + number // TURN:03}"
        shoot.mkdir(parents=True, exist_ok=True)
        photo = pictures[number % len(pictures)]
        (shoot / f"{1 + number % TURN:02}{suffix}").write_bytes(photo)
    return Frames(inbox, size)
