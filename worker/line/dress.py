"""From a photo and its mask to the files that are published: the half of the line without a
network. A new preset needs no more than this.

photo, mask ─ reframe ─ compose ─ encode
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
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
    read_mask,
)
from worker.corrections.desk import Corrected
from worker.errors import FolderError, PlateError
from worker.finish.composite import Finished, compose
from worker.finish.framing import FrameShape, Placement, fit, reframe, subject_box
from worker.finish.plates import Plates
from worker.finish.presets import Preset, RealShadow
from worker.line.parallel import in_parallel
from worker.line.stopwatch import Stopwatch
from worker.outbox.manifest import Failure, Flag, FrameRow
from worker.outbox.publish import Staging
from worker.outbox.quality import NOTHING_BELOW_AREA, flags, mask_area

log = logging.getLogger(__name__)
Pixels = NDArray[np.uint8]
Files = dict[str, tuple[str, bytes]]
"""Kind → (path in the shoot's folder, bytes)."""
OUT_OF_REACH = "missing", "no-permission", "read-failed"
"""Codes of a file that says nothing of its content."""
PLATE_UNUSED = "plate-unused"
OTHER_FLOOR = PlateError(
    "the plate shows another floor than the photo, or one that was lit otherwise",
    cure="Photograph the empty booth anew, with camera and lamps as they stand for the cars",
)
SUFFIX = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}


@dataclass(frozen=True)
class Look:
    """How the frames of one shoot are dressed."""

    preset: Preset
    plates: Plates = field(default_factory=Plates)
    placements: Mapping[str, Placement] = field(default_factory=dict)
    """By name of the frame; a frame without one stays as it was shot."""


@dataclass(frozen=True)
class Dressed:
    """The pictures of one frame, and what a person should know of them."""

    files: Files
    flags: list[Flag]
    untouched: bool
    """Whether pixels well inside the mask are the photo's own."""
    size: tuple[int, ...]
    """Width and height of the composite."""

    def noted_in(self, row: FrameRow) -> FrameRow:
        """``row`` with what it should tell of these pictures."""
        return row.model_copy(
            update={
                "flags": [f for f in row.flags if f.code != PLATE_UNUSED] + self.flags,
                "untouched_paint": self.untouched,
                "picture_size": None if self.size == (row.width, row.height) else self.size,
            }
        )


@dataclass(frozen=True)
class Wardrobe:
    """Where the second pass over a shoot finds photos and masks, and where it puts pictures."""

    look: Look
    inbox: Path
    masks: Path
    """The folder of the edition whose masks are used."""
    staging: Staging
    max_pixels: int
    cores: AbstractContextManager[object] = field(default_factory=nullcontext)
    """Held while a frame computes, as in the first pass."""
    reads: int | None = None
    """How often in all a photo is tried that cannot be read; None: as often as it takes."""


def dress(row: FrameRow, photo: Photo, alpha: Pixels, look: Look, watch: Stopwatch) -> Dressed:
    """The pictures of one frame; ``alpha`` is (H, W) uint8, as large as the photo.

    Raises :class:`PresetError` when the preset's pictures cannot be used.
    """
    with watch.stage("composite"):
        pixels, (plate, found) = photo.pixels, _plate(row, photo, look)
        placement = look.placements.get(row.name)
        if placement is not None:
            plate = None if plate is None else reframe(plate, alpha, placement)[0]
            pixels, alpha = reframe(pixels, alpha, placement)
        finished = compose(pixels, alpha, look.preset, icc=photo.icc, plate=plate)
        if not finished.plate_fits:
            found.append(_plate_unused(OTHER_FLOOR))
    with watch.stage("encode"):
        files = _encode(row.name, photo, finished, look.preset)
    untouched = (placement is None or placement.is_identity) and not finished.covered
    return Dressed(files, found, untouched, finished.composite.shape[1::-1])


def _plate(row: FrameRow, photo: Photo, look: Look) -> tuple[Pixels | None, list[Flag]]:
    if not isinstance(look.preset.shadow, RealShadow):
        return None, []
    try:
        return look.plates.of(row.angle, photo.pixels.shape), []
    except PlateError as error:
        return None, [_plate_unused(error)]


def _plate_unused(why: PlateError) -> Flag:
    sentence = f"The shadow was taken from the photo alone: {why}"
    return Flag(code=PLATE_UNUSED, value=0.0, sentence=sentence)


def judged(row: FrameRow, alpha: Pixels) -> FrameRow:
    """``row`` with what its mask (H, W) uint8 tells: area, box (of a car, and not of a speck where
    there is none) and flags."""
    area = mask_area(alpha)
    return row.model_copy(
        update={
            "mask_area": round(area, 5),
            "box": None if area < NOTHING_BELOW_AREA else subject_box(alpha),
            "flags": flags(alpha, certainty=row.edge_certainty, turned=row.turned),
        }
    )


def out_of_reach(photo: str, error: ImageError) -> FolderError:
    """What to tell of a photo that can perhaps be read the next time."""
    return FolderError(
        f"{photo}, or its mask, is out of reach: {error.what}",
        cure="Look at the disk or the share, and at its rights; then it is tried again",
    )


def with_correction(row: FrameRow, corrected: Corrected) -> FrameRow:
    """``row`` with what a corrected mask tells; nothing that was said of the network's holds."""
    row = row.model_copy(
        update={
            "mask": "corrected",
            "correction": corrected.record,
            "confidence": None,
            "edge_certainty": None,
            "batch": None,
        }
    )
    return judged(row, corrected.alpha)


def mask_file(name: str, alpha: Pixels) -> Files:
    """The published mask of one frame."""
    return {"mask": (f"masks/{name}.png", encode_mask(alpha))}


def dress_again(row: FrameRow, wardrobe: Wardrobe) -> FrameRow:
    """The row of a frame that has its mask, with pictures made anew from photo and mask.

    A photo or mask that is damaged is a row with its error. A full disk and a preset that cannot
    be used do raise, and so does a file that cannot be reached, for some attempts: it could be a
    moment ago.
    """
    look, watch = wardrobe.look, Stopwatch()
    try:
        with wardrobe.cores, watch.stage("decode"):
            photo = decode(
                wardrobe.inbox / row.source.path,
                max_pixels=wardrobe.max_pixels,
                within=wardrobe.inbox,
            ).on_white()
            alpha = read_mask(wardrobe.masks / row.outputs["mask"].path)
        if row.source.sha256 not in (None, photo.sha256):
            raise FolderError(
                f"{row.source.path} was replaced after its mask was made",
                cure="Its shoot is made again",
            )
        if alpha.shape != photo.pixels.shape[:2]:
            height, width = photo.pixels.shape[:2]
            message = (
                f"{row.outputs['mask'].path} is {alpha.shape[1]}×{alpha.shape[0]} and "
                f"{row.source.path} {width}×{height}: have the mask made again (retry)"
            )
            return _failed(row, "mask-size", message)
    except ImageError as error:
        if error.code in OUT_OF_REACH:
            if wardrobe.reads is None or wardrobe.staging.unread(row.name) < wardrobe.reads:
                raise out_of_reach(row.source.path, error) from error
            if "composite" in row.outputs:
                log.warning("%s keeps its picture: %s", row.source.path, error)
                return row
        return _failed(row, error.code, str(error))
    staging, mask = wardrobe.staging, row.outputs["mask"]
    if wardrobe.masks != staging.folder:
        stored = staging.write(mask.path, (wardrobe.masks / mask.path).read_bytes())
        if stored != mask:  # by hand: what was said of the network's mask no longer holds
            row = row.model_copy(update={"confidence": None, "edge_certainty": None})
            row = judged(row, alpha)
        mask = stored
    try:
        with wardrobe.cores:
            dressed = dress(row, photo, alpha, look, watch)
    except ImageError as error:  # larger than its format can be
        return _failed(row, error.code, str(error))
    with watch.stage("write"):
        outputs = {kind: staging.write(*file) for kind, file in dressed.files.items()}
        outputs["mask"] = mask
    again = dressed.noted_in(row).model_copy(
        update={
            "outputs": outputs,
            "preset": look.preset.digest,
            "seconds": row.seconds | watch.seconds,
        }
    )
    wardrobe.staging.add(again)
    return again


def dress_all(rows: Iterable[FrameRow], wardrobe: Wardrobe, *, at_once: int) -> Iterator[FrameRow]:
    """:func:`dress_again` for every row, ``at_once`` together, in the order in which they are
    done. Frames that failed, and delivered ones whose photo is gone, are left as they are."""
    found = [row for row in rows if not row.error and (wardrobe.inbox / row.source.path).is_file()]
    return in_parallel(lambda row: dress_again(row, wardrobe), found, at_once=at_once)


def placements(rows: Iterable[FrameRow], preset: Preset) -> dict[str, Placement]:
    """Where each frame of a shoot goes, by name; nothing where frames stay as they were shot."""
    placed = [row for row in rows if row.width and row.height]
    if preset.framing.mode == "keep" or not placed:
        return {}
    shapes = [FrameShape((row.width or 1, row.height or 1), row.box) for row in placed]
    found = fit(shapes, preset.framing)
    return {row.name: placement for row, placement in zip(placed, found, strict=True)}


def _encode(name: str, photo: Photo, finished: Finished, preset: Preset) -> Files:
    output, composite = preset.output, finished.composite
    icc, exif = photo.icc, photo.exif
    if output.format == "jpeg":
        picture = encode_jpeg(composite, quality=output.quality, icc=icc, exif=exif)
    elif output.format == "webp":
        picture = encode_webp(composite, quality=output.quality, icc=icc, exif=exif)
    else:
        picture = encode_png(composite, icc=icc, exif=exif)
    files = {"composite": (name + SUFFIX[output.format], picture)}
    if finished.cutout is not None:
        files["cutout"] = (f"cutouts/{name}.png", encode_png(finished.cutout, icc=icc, exif=exif))
    return files


def _failed(row: FrameRow, code: str, message: str) -> FrameRow:
    log.warning("%s: %s", row.source.path, message)
    return row.model_copy(
        update={"outputs": {}, "flags": [], "error": Failure(code=code, message=message)}
    )
