"""One frame, from the photo to its files in staging; reads as its diagram.

photo ─ decode ─ network ─ refine ─ mask ─ dress ─ write
               └ a person's correction ─┘
"""

from __future__ import annotations

import dataclasses
import logging
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_core.images import ImageError, Photo, decode
from unet_core.refine import refine
from unet_core.segment import Segmenter
from worker.booth.view import booth_view
from worker.corrections.desk import Desk
from worker.errors import CycloramaError, FolderError, ModelError
from worker.line.batcher import Batcher, Masked
from worker.line.dress import (
    OUT_OF_REACH,
    Files,
    Look,
    dress,
    judged,
    mask_file,
    out_of_reach,
    with_correction,
)
from worker.line.parallel import Cores
from worker.line.stopwatch import Stopwatch
from worker.line.trial import TIMES, Trial
from worker.line.vigil import Vigil
from worker.logs import about
from worker.outbox.manifest import Failure, FrameRow, SourceRecord
from worker.outbox.publish import Staging
from worker.outbox.quality import confidence, edge_certainty
from worker.shoots import Frame, Source

log = logging.getLogger(__name__)
Pixels = NDArray[np.uint8]
DEADLY = 2
"""A frame that was begun so often without an end is set aside."""
NETWORK = "network"
"""The stage in which a frame waits for the device: that it hangs there is no photo's fault."""


@dataclass(frozen=True)
class Order:
    """What all frames of one job share."""

    job: str
    look: Look
    segmenter: Segmenter
    batcher: Batcher
    staging: Staging
    desk: Desk
    inbox: Path
    max_pixels: int
    dresses: bool = True
    """Whether frames get their pictures at once, and not when all masks of the shoot are known."""
    vigil: Vigil = field(default_factory=Vigil)
    cores: Cores = field(default_factory=lambda: Cores(1))
    """Held while a frame computes: where each core has a frame of its own, none loses its pictures
    from the core's caches, and another is at hand while one waits for the disk."""
    reads: int = 1
    """How often in all a photo is tried that cannot be read."""
    postponed: dict[str, FolderError] = field(default_factory=dict)
    """By name, the frames whose photos are to be tried again in the job's next attempt."""
    trial: Trial | None = None
    """An earlier attempt died: try each photo in a process of its own before it is begun here, note
    that it is begun, and set aside a killer."""


def make_frame(frame: Frame, order: Order) -> FrameRow:
    """Makes one frame and its row. A bad photo is a row with its error, never an exception;
    a full disk, a device that fails or an impossible preset does raise, because it is not the
    photo's fault. The row of a frame that is ``postponed`` is not kept."""
    with about(shoot=order.staging.shoot, frame=frame.name, job=order.job):
        return _make(frame, order)


def _make(frame: Frame, order: Order) -> FrameRow:
    path = order.inbox / frame.source.path
    source = SourceRecord(**dataclasses.asdict(frame.source))
    try:
        source = _seen_now(path, frame.source)
        row = _made_or_bad(frame, source, path, order)
    except MemoryError:
        raise
    except (OSError, CycloramaError):
        order.staging.absolve(frame.name)
        raise
    except Exception as error:
        log.exception("frame %s failed", frame.source.path)
        row = _failed(
            frame, source, "internal", f"{type(error).__name__}: {error}. Please report this photo"
        )
    row = row.model_copy(
        update={"checkpoint": order.segmenter.card.sha256, "preset": order.look.preset.digest}
    )
    if frame.name in order.postponed:
        order.staging.absolve(frame.name)
    else:
        order.staging.add(row)
    return row


def _made_or_bad(frame: Frame, source: SourceRecord, path: Path, order: Order) -> FrameRow:
    """The row of a finished frame, or of a photo that is at fault."""
    try:
        reason = order.trial and _guilt(frame, path, order)
        return _killer(frame, source, reason) if reason else _finish(frame, source, path, order)
    except ImageError as error:
        if not order.inbox.is_dir():  # the share is gone, not this photo
            raise FolderError(f"the inbox {order.inbox} went away") from error
        message = str(error)
        if error.code in OUT_OF_REACH:  # the file stays as it is: nobody sees that it is well again
            if error.code != "missing" and order.staging.unread(frame.name) < order.reads:
                order.postponed[frame.name] = out_of_reach(frame.source.path, error)
            message += f" Then: cyclorama retry {order.staging.shoot}"
        return _failed(frame, source, error.code, message)


def _finish(frame: Frame, source: SourceRecord, path: Path, order: Order) -> FrameRow:
    watch = Stopwatch()
    with order.vigil.over(
        frame.source.path, watch, blame=lambda: _blame(frame, watch, order.staging)
    ):
        return _through_all_stages(frame, source, path, order, watch)


def _blame(frame: Frame, watch: Stopwatch, staging: Staging) -> None:
    if watch.current != NETWORK:
        staging.begin(frame.name)


def _through_all_stages(
    frame: Frame, source: SourceRecord, path: Path, order: Order, watch: Stopwatch
) -> FrameRow:
    with order.cores:
        row, files = _made(frame, source, path, order, watch)
    with watch.stage("write"):
        outputs = {kind: order.staging.write(*file) for kind, file in files.items()}
    return row.model_copy(update={"outputs": outputs, "seconds": watch.seconds})


def _made(
    frame: Frame, source: SourceRecord, path: Path, order: Order, watch: Stopwatch
) -> tuple[FrameRow, Files]:
    with watch.stage("decode"):
        photo = decode(path, max_pixels=order.max_pixels, within=order.inbox).on_white()
    height, width = photo.pixels.shape[:2]
    row = FrameRow(
        name=frame.name,
        angle=frame.angle,
        source=source.model_copy(update={"sha256": photo.sha256}),
        width=width,
        height=height,
    )
    corrected = order.desk.mask_of(frame.name, frame.angle, photo, path)
    if corrected is None:
        alpha, row = _by_network(row, photo, order, watch)
    else:
        alpha, row = corrected.alpha, with_correction(row, corrected)
    if photo.alpha is None:  # else the booth was cut away before
        row = row.model_copy(update={"booth": booth_view(photo.pixels, alpha)})
    files = mask_file(frame.name, alpha)
    if order.dresses:
        dressed = dress(row, photo, alpha, order.look, watch)
        files |= dressed.files
        row = dressed.noted_in(row)
    return row, files


def _by_network(
    row: FrameRow, photo: Photo, order: Order, watch: Stopwatch
) -> tuple[Pixels, FrameRow]:
    """The network's mask at the photo's size, and the row with what it tells."""
    with watch.stage(NETWORK):
        masked = _masked(photo, order)
    with watch.stage("refine"):
        alpha = refine(masked.seen.mask, photo.pixels)
        if photo.alpha is not None:
            alpha = np.minimum(alpha, photo.alpha)
    row = row.model_copy(
        update={
            "confidence": round(confidence(masked.seen.mask), 5),
            "edge_certainty": round(edge_certainty(masked.seen.mask), 4),
            "turned": masked.seen.turned,
            "batch": masked.batch,
        }
    )
    return alpha, judged(row, alpha)


def _masked(photo: Photo, order: Order) -> Masked:
    small = order.segmenter.prepare(photo.pixels)
    picture = dataclasses.replace(photo, pixels=small, alpha=None).srgb()
    try:
        waiting = order.batcher.submit(order.segmenter, picture, job=order.job)
        with nullcontext() if waiting.done() else order.cores.lent():
            return waiting.result()
    except Exception as error:
        raise ModelError(
            f"the network failed on {order.segmenter.place} ({error})",
            cure="Look at the worker's log and at the device",
        ) from error


def _guilt(frame: Frame, path: Path, order: Order) -> str | None:
    """What the photo does to the program, in words; ``None`` if nothing is known against it."""
    if order.trial and (reason := order.trial.verdict(path)):
        return f"{reason}, {TIMES} times out of {TIMES}"
    if order.staging.begin(frame.name) >= DEADLY:
        return f"ended or held up the worker {DEADLY} times"
    return None


def _killer(frame: Frame, source: SourceRecord, reason: str) -> FrameRow:
    message = (
        f"{frame.source.path} {reason}, and was set aside. "
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
