"""One frame, from the photo to finished files in staging; reads as its diagram."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_core.images import (
    ImageError,
    Photo,
    decode,
    encode_jpeg,
    encode_mask,
    encode_png,
    encode_webp,
)
from unet_core.refine import refine
from unet_core.segment import Segmenter
from worker.errors import CycloramaError, FolderError, ModelError
from worker.finish.composite import compose
from worker.finish.presets import Preset
from worker.line.batcher import Batcher, Masked
from worker.outbox.manifest import Failure, FrameRow, SourceRecord
from worker.outbox.publish import Staging
from worker.outbox.quality import confidence, flags, mask_area
from worker.shoots import Frame, Source

log = logging.getLogger(__name__)
Pixels = NDArray[np.uint8]
DEADLY = 2
"""A frame that was begun so often without an end is set aside."""
SUFFIX = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}


@dataclass(frozen=True)
class Order:
    """What all frames of one job share."""

    job: str
    preset: Preset
    segmenter: Segmenter
    batcher: Batcher
    staging: Staging
    inbox: Path
    max_pixels: int
    careful: bool = False
    """An earlier attempt died: note each frame before it is begun, and set aside a killer."""


@dataclass
class Stopwatch:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - began, 4)


def make_frame(frame: Frame, order: Order) -> FrameRow:
    """Makes one frame and its row. A bad photo is a row with its error, never an exception;
    a full disk, a device that fails or an impossible preset does raise, because it is not the
    photo's fault."""
    path = order.inbox / frame.source.path
    died = order.careful and order.staging.begin(frame.name) >= DEADLY
    source = SourceRecord(**dataclasses.asdict(frame.source))
    try:
        source = _seen_now(path, frame.source)
        row = _killer(frame, source) if died else _finish(frame, source, path, order)
    except ImageError as error:
        if not order.inbox.is_dir():  # the share is gone, not this photo
            raise FolderError(f"the inbox {order.inbox} went away") from error
        row = _failed(frame, source, error.code, str(error))
    except (OSError, MemoryError, CycloramaError):
        raise
    except Exception as error:
        log.exception("frame %s failed", frame.source.path)
        row = _failed(
            frame, source, "internal", f"{type(error).__name__}: {error}. Please report this photo"
        )
    row = row.model_copy(
        update={"checkpoint": order.segmenter.card.sha256, "preset": order.preset.digest}
    )
    order.staging.add(row)
    return row


def _finish(frame: Frame, source: SourceRecord, path: Path, order: Order) -> FrameRow:
    watch = Stopwatch()
    with watch.stage("decode"):
        photo = decode(path, max_pixels=order.max_pixels)
    with watch.stage("network"):
        masked = _mask(photo, order)
    with watch.stage("refine"):
        alpha = refine(masked.mask, photo.pixels)
        if photo.alpha is not None:
            alpha = np.minimum(alpha, photo.alpha)
    with watch.stage("composite"):
        finished = compose(photo.pixels, alpha, order.preset, icc=photo.icc)
    with watch.stage("encode"):
        files = _encode(frame.name, photo, alpha, finished.composite, finished.cutout, order.preset)
    with watch.stage("write"):
        outputs = {kind: order.staging.write(*file) for kind, file in files.items()}
    height, width = alpha.shape
    sure = confidence(masked.mask)
    return FrameRow(
        name=frame.name,
        angle=frame.angle,
        source=source.model_copy(update={"sha256": photo.sha256}),
        width=width,
        height=height,
        outputs=outputs,
        mask_area=round(mask_area(alpha), 5),
        confidence=round(sure, 5),
        flags=flags(alpha, confidence=sure),
        seconds=watch.seconds,
        batch=masked.batch,
    )


def _mask(photo: Photo, order: Order) -> Masked:
    small = order.segmenter.prepare(photo.pixels)
    picture = dataclasses.replace(photo, pixels=small, alpha=None).srgb()
    try:
        return order.batcher.submit(order.segmenter, picture, job=order.job).result()
    except Exception as error:
        raise ModelError(
            f"the network failed on {order.segmenter.device} ({error})",
            cure="Look at the worker's log and at the device",
        ) from error


def _encode(
    name: str,
    photo: Photo,
    alpha: Pixels,
    composite: Pixels,
    cutout: Pixels | None,
    preset: Preset,
) -> dict[str, tuple[str, bytes]]:
    """Kind → (path in the shoot's folder, bytes)."""
    output = preset.output
    icc, exif = photo.icc, photo.exif
    if output.format == "jpeg":
        picture = encode_jpeg(composite, quality=output.quality, icc=icc, exif=exif)
    elif output.format == "webp":
        picture = encode_webp(composite, quality=output.quality, icc=icc, exif=exif)
    else:
        picture = encode_png(composite, icc=icc, exif=exif)
    files = {
        "composite": (name + SUFFIX[output.format], picture),
        "mask": (f"masks/{name}.png", encode_mask(alpha)),
    }
    if cutout is not None:
        files["cutout"] = (f"cutouts/{name}.png", encode_png(cutout, icc=icc, exif=exif))
    return files


def _killer(frame: Frame, source: SourceRecord) -> FrameRow:
    message = (
        f"{frame.source.path} ended the worker {DEADLY} times and was set aside. "
        "Export the photo anew, replace it, and it is made again"
    )
    return _failed(frame, source, "crashed", message)


def _seen_now(path: Path, seen: Source) -> SourceRecord:
    """The photo's state at this moment: what the row answers for."""
    try:
        stat = path.stat()
    except OSError:
        return SourceRecord(**dataclasses.asdict(seen))  # decode() says what is wrong
    return SourceRecord(path=seen.path, size=stat.st_size, mtime_ns=stat.st_mtime_ns)


def _failed(frame: Frame, source: SourceRecord, code: str, message: str) -> FrameRow:
    log.warning("%s: %s", frame.source.path, message)
    return FrameRow(
        name=frame.name,
        angle=frame.angle,
        source=source,
        error=Failure(code=code, message=message),
    )
