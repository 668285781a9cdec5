"""Small parts that many tests put together: photos, a list that serves as a queue, quick looks."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from worker.intake.scan import look
from worker.outbox.manifest import (
    CheckpointRecord,
    FrameRow,
    Manifest,
    PresetRecord,
    SourceRecord,
)
from worker.queue.messages import JobMessage
from worker.shoots import Shoot, Source, group

if TYPE_CHECKING:
    from unet_core.store import ModelStore

SIZE = (48, 32)


def photo_bytes(seed: int = 0, *, size: tuple[int, int] = SIZE, form: str = "JPEG") -> bytes:
    """A photo file of coloured noise; another ``seed`` is another photo."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def drop_photos(folder: Path, count: int, *, size: tuple[int, int] = SIZE) -> list[Path]:
    """Photos ``01.jpg``, ``02.jpg``, … in a folder that need not be there."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:02}.jpg" for number in range(1, count + 1)]
    for number, path in enumerate(paths, start=1):
        path.write_bytes(photo_bytes(number, size=size))
    return paths


def shoot_in(inbox: Path, name: str) -> Shoot:
    """A shoot as it lies in the inbox now."""
    return next(shoot for shoot in group(look(inbox).sources.values()) if shoot.name == name)


def manifest_with(shoot: str, rows: Iterable[FrameRow], *, status: str = "complete") -> Manifest:
    """A manifest of these rows; everything else in it is plain."""
    return Manifest(
        shoot=shoot,
        status=status,  # type: ignore[arg-type]
        preset=PresetRecord(name="p", digest="d"),
        checkpoint=CheckpointRecord(version="v", sha256="s"),
        program="0",
        started="",
        finished="",
        frames=list(rows),
    )


def row_of(source: Source, name: str = "01", **changes: object) -> FrameRow:
    """A row of a frame without outputs, made from ``source``."""
    record = SourceRecord(path=source.path, size=source.size, mtime_ns=source.mtime_ns)
    return FrameRow.model_validate({"name": name, "angle": 1, "source": record, **changes})


def tiny_models(folder: Path) -> ModelStore:
    """A model store with the checkpoints ``first`` (the champion) and ``second``."""
    import torch

    from unet_core.checkpoint import Card, save_checkpoint
    from unet_core.model import UNet
    from unet_core.store import ModelStore

    for seed, name in enumerate(("first", "second")):
        torch.manual_seed(seed)
        network = UNet(width=4, depth=2, fold=2, norm="batch")
        save_checkpoint(folder / name, network, Card(version=name, long_side_px=64))
    store = ModelStore(folder)
    store.promote("first")
    return store


class ListQueue(list[JobMessage]):
    """A queue that nobody takes from."""

    def __init__(self) -> None:
        super().__init__()
        self._times: dict[str, float] = {}

    def send(self, message: JobMessage, *, at: float) -> None:
        self.append(message)
        self._times[message.job] = at

    def oldest(self) -> float | None:
        return self._times[self[0].job] if self else None
