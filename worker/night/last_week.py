"""Photos of the shoots that were delivered lately, to try a candidate on: a sample, within bounds.

The manifests say what was made; a photo that has left the inbox, or changed, is passed over.
"""

from __future__ import annotations

import dataclasses
import logging
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from unet_core.differences import Seen
from unet_core.images import ImageError, decode
from unet_core.segment import Segmenter
from worker.outbox.manifest import MANIFEST, FrameRow, read_manifest
from worker.settings import Settings

log = logging.getLogger(__name__)

DAY_SECONDS, DAYS = 86_400.0, 7
MOST_FRAMES, MOST_SECONDS = 48, 120.0
"""Of one comparison; what it waits for others does not count."""


def delivered(outbox: Path, now: float) -> list[tuple[str, FrameRow]]:
    """The frames that the network masked in shoots of the last ``DAYS`` before ``now`` (seconds
    since the epoch), each with its shoot, by name and angle."""
    found = []
    for path in sorted(outbox.glob(f"*/{MANIFEST}")):
        folder = path.parent
        if folder.name.startswith(".") or _written(path) < now - DAYS * DAY_SECONDS:
            continue
        if manifest := read_manifest(folder):
            rows = [row for row in manifest.frames if not row.error and row.mask == "network"]
            found += [(manifest.shoot, row) for row in rows]
    return found


def sampled_photos(
    settings: Settings, network: Segmenter, now: float, *, pause: Callable[[], None]
) -> Iterator[Seen]:
    """``MOST_FRAMES`` of last week's photos at most, the same for the same week, at the size that
    ``network`` sees; ends early after ``MOST_SECONDS`` of reading and of what is done with them.
    ``pause`` is called before each one and returns when the device is free."""
    frames = delivered(settings.outbox, now)
    random.Random(0).shuffle(frames)  # in order, every shoot would show the same few angles
    given, spent = 0, 0.0
    for shoot, row in frames:
        pause()
        began = time.monotonic()
        seen = _seen(settings, shoot, row, network)
        if seen is not None:
            yield seen
            given += 1
        spent += time.monotonic() - began
        if given == MOST_FRAMES or spent > MOST_SECONDS:
            return


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0  # a newer edition takes its place just now


def _seen(settings: Settings, shoot: str, row: FrameRow, network: Segmenter) -> Seen | None:
    path = settings.inbox / row.source.path
    try:
        stat = path.stat()
        if (stat.st_size, stat.st_mtime_ns) != (row.source.size, row.source.mtime_ns):
            return None
        most = int(settings.max_megapixels * 1e6)
        photo = decode(path, max_pixels=most, within=settings.inbox)
    except (OSError, ImageError) as error:
        log.info("%s is not compared: %s", row.source.path, error)
        return None
    small = dataclasses.replace(photo, pixels=network.prepare(photo.pixels), alpha=None)
    return Seen(shoot, row.name, small.srgb())
