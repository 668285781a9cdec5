"""Each stage of the line alone, and the bound: the time that all cores need for all of it.

One process a core, and in each the stages one after the other, so that every core is busy with
the same and has its share of caches and memory, and no more. What counts is processor time: what
a perfect line, which never waits, would need for a frame is their sum over the cores. On a GPU the
network's part is the time of the one thread that feeds it, with the copies there and back, and the
bound is that or what is left for the cores, whichever is more.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any

import torch
from bench_line import BenchError
from PIL import Image

from unet_core.devices import Runtime, choose_device
from unet_core.images import decode, encode_jpeg, encode_mask
from unet_core.refine import refine
from unet_core.segment import Segmenter
from unet_core.store import SHIPPED, ModelStore
from worker.booth.view import booth_view
from worker.finish.composite import compose
from worker.finish.presets import load_preset
from worker.line.dress import judged
from worker.line.memory import keep_memory
from worker.line.shape import share_cores
from worker.outbox.manifest import FrameRow, SourceRecord
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.outbox.quality import confidence, edge_certainty
from worker.outbox.report import SheetFrame, contact_sheet

PRESET = "studio-grey"
DEVICE_BATCH = 16
NETWORK = "network"
MOST_PIXELS = 100_000_000
"""Of all frames that a process holds with whatever is made of them: some GB."""


@dataclass
class Work:
    """One frame on its way, and its photo file."""

    path: Path
    made: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stages:
    """Milliseconds for one frame, by stage."""

    milliseconds: dict[str, float]
    cores: int
    on_device: bool
    """Whether the network's part is the device's time and not the cores'."""

    @property
    def bound_ms(self) -> float:
        """What the busiest resource needs for a frame."""
        network = self.milliseconds[NETWORK]
        cores = sum(self.milliseconds.values())
        if not self.on_device:
            return cores / self.cores
        return max(network, (cores - network) / self.cores)


def measure_stages(
    paths: Sequence[Path], device: torch.device, runtime: Runtime, *, cores: int, repeats: int
) -> Stages:
    """Means over repeats, frames and processes: all frames have to be made, slow ones too."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(cores), context.SimpleQueue()
    with Image.open(paths[0]) as first:
        most = max(2, min(16, MOST_PIXELS // (first.width * first.height)))
    chosen = [str(path) for path in paths[:most]]
    processes = [
        context.Process(target=_one_core, args=(number, chosen, runtime, repeats, barrier, results))
        for number in range(cores)
    ]
    for process in processes:
        process.start()
    told: list[dict[str, list[float]] | str] = [results.get() for _ in processes]
    for process in processes:
        process.join()
    found = [each for each in told if isinstance(each, dict)]
    if len(found) < cores:
        reason = next(each for each in told if isinstance(each, str) and each)
        raise BenchError(f"the stages were not measured: {reason}")
    means = {
        name: statistics.fmean(value for each in found for value in each[name]) for name in found[0]
    }
    if device.type != "cpu":
        means[NETWORK] = _on_device(Path(chosen[0]), device, repeats)
    rounded = {name: round(value, 2) for name, value in means.items()}
    return Stages(rounded, cores, device.type != "cpu")


def _one_core(
    number: int,
    paths: list[str],
    runtime: Runtime,
    repeats: int,
    barrier: Barrier,
    results: Any,
) -> None:
    """One process's share: puts milliseconds of processor time by stage, or what went wrong."""
    try:
        if hasattr(
            os, "sched_setaffinity"
        ):  # or OpenVINO has threads for every core, which wait busily
            os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[number]})
        results.put(_share(paths, runtime, repeats, barrier))
    except BrokenBarrierError:
        results.put("")  # another one tells why
    except Exception as error:
        barrier.abort()  # the others wait there
        results.put(f"{type(error).__name__}: {error}")


def _share(
    paths: list[str], runtime: Runtime, repeats: int, barrier: Barrier
) -> dict[str, list[float]]:
    cpu = torch.device("cpu")
    keep_memory()
    share_cores(cpu)
    segmenter = Segmenter.load(ModelStore(SHIPPED).champion(), cpu, runtime)
    spent: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="cyclorama-bench-") as folder:
        stages = _stages(segmenter, Path(folder))
        works = [Work(Path(path)) for path in paths]
        for turn in range(repeats + 1):  # the first warms up
            for name, (stage, frames) in stages.items():
                barrier.wait()
                for work in works:
                    began = time.process_time()
                    stage(work)
                    if turn:
                        spent.setdefault(name, []).append(
                            (time.process_time() - began) * 1000 / frames
                        )
    return spent


def _stages(segmenter: Segmenter, folder: Path) -> dict[str, tuple[Callable[[Work], None], int]]:
    """By name: what a stage does, and for how many frames at once."""
    preset = load_preset(PRESET, folders=[])
    (folder / ".staging").mkdir(exist_ok=True)
    staging = Staging(Places(folder, folder), "car")
    row = FrameRow(name="01", angle=1, source=SourceRecord(path="01.jpg", size=1, mtime_ns=1))

    def decoded(work: Work) -> None:
        work.made["photo"] = decode(work.path)

    def prepared(work: Work) -> None:
        work.made["small"] = segmenter.prepare(work.made["photo"].pixels)

    def segmented(work: Work) -> None:
        (work.made["mask"],) = segmenter.segment([work.made["small"]])

    def refined(work: Work) -> None:
        work.made["alpha"] = refine(work.made["mask"], work.made["photo"].pixels)

    def checked(work: Work) -> None:
        mask = work.made["mask"]
        confidence(mask)
        judged(row.model_copy(update={"edge_certainty": edge_certainty(mask)}), work.made["alpha"])
        booth_view(work.made["photo"].pixels, work.made["alpha"])

    def composed(work: Work) -> None:
        photo = work.made["photo"]
        work.made["composite"] = compose(
            photo.pixels, work.made["alpha"], preset, icc=photo.icc
        ).composite

    def mask_encoded(work: Work) -> None:
        work.made["png"] = encode_mask(work.made["alpha"])

    def picture_encoded(work: Work) -> None:
        photo = work.made["photo"]
        work.made["jpeg"] = encode_jpeg(
            work.made["composite"], quality=preset.output.quality, icc=photo.icc, exif=photo.exif
        )

    def written(work: Work) -> None:
        staging.write("masks/01.png", work.made["png"])
        staging.write("01.jpg", work.made["jpeg"])
        staging.add(row)

    def reported(work: Work) -> None:
        picture = staging.folder / "01.jpg"
        tiles = [SheetFrame(str(n), n, picture, ()) for n in range(1, 17)]
        staging.write("contact-sheet.jpg", contact_sheet(tiles, title="car", subtitle=""))

    return {
        "decode": (decoded, 1),
        "prepare": (prepared, 1),
        NETWORK: (segmented, 1),
        "refine": (refined, 1),
        "check": (checked, 1),
        "composite": (composed, 1),
        "encode mask": (mask_encoded, 1),
        "encode composite": (picture_encoded, 1),
        "write": (written, 1),
        "contact sheet": (reported, 16),
    }


def _on_device(path: Path, device: torch.device, repeats: int) -> float:
    """Milliseconds of the thread that feeds the device, for one picture of a full batch."""
    segmenter = Segmenter.load(ModelStore(SHIPPED).champion(), choose_device(str(device)))
    batch = [segmenter.prepare(decode(path).pixels)] * DEVICE_BATCH
    spent = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        segmenter.segment(batch)
        spent.append((time.perf_counter() - began) * 1000 / DEVICE_BATCH)
    return statistics.median(spent[2:])
