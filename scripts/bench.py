"""Measures how long the network takes for a photo, beside the tutorial's network.

    scripts/bench [--photo FILE] [--repeats N] [--device NAME] [--json]

Both take turns in one run, after a warm-up. The last line is JSON; with --json it is the only one.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from unet_core.booth import Booth
from unet_core.checkpoint import CheckpointError
from unet_core.images import ImageError, decode
from unet_core.model import UNet
from unet_core.refine import refine
from unet_core.segment import DeviceError, Segmenter, choose_device, inference_dtype
from unet_core.store import SHIPPED, ModelStore

Picture = NDArray[np.uint8]
Stage = Callable[[], object]
err = Console(stderr=True)

PHOTO_PX = (1918, 1280)
TUTORIAL_PX = (512, 512)


def main() -> int:
    """Exit code 0: measured; 2: wrong usage."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, help="default: a rendered one of 1918×1280")
    parser.add_argument(
        "--repeats", type=int, default=7, help="measured rounds, after one unmeasured"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--tutorial-width", type=int, default=64, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print the JSON line alone")
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error("--repeats must be 1 or more")
    try:
        device = choose_device(options.device)
        segmenter = Segmenter.load(ModelStore(SHIPPED).champion(), device)
        photo = decode(options.photo).srgb() if options.photo else rendered_photo()
    except (CheckpointError, DeviceError, ImageError) as error:
        err.print(str(error), style="red", markup=False)
        return 2
    height, width = photo.shape[:2]
    stages = {
        "ours": lambda: ours(segmenter, photo),
        "tutorial": tutorial(photo, device, width=options.tutorial_width),
    }
    figures = {name: spread(times) for name, times in measure(stages, options.repeats).items()}
    report = {
        **machine(device),
        "checkpoint": segmenter.card.version,
        "photo": f"{width}x{height}",
        "repeats": options.repeats,
        "milliseconds": figures,
        "tutorial_over_ours": round(figures["tutorial"]["median"] / figures["ours"]["median"], 2),
    }
    if not options.json:
        show(report)
    print(json.dumps(report))
    return 0


def rendered_photo() -> Picture:
    """(1280, 1918, 3) uint8 sRGB: a car in its booth; rendered at half the size, for speed."""
    width, height = PHOTO_PX
    err.print("rendering a photo …")
    frame = Booth(seed=15, width=width // 2, height=height // 2, samples=4).render(3)
    return np.asarray(cv2.resize(frame.image, PHOTO_PX, interpolation=cv2.INTER_CUBIC), np.uint8)


def ours(segmenter: Segmenter, photo: Picture) -> Picture:
    """(H, W, 3) uint8 → mask (H, W) uint8, by the path that a photo takes on the line."""
    (mask,) = segmenter.segment([segmenter.prepare(photo)])
    return refine(mask, photo)


def tutorial(photo: Picture, device: torch.device, *, width: int) -> Stage:
    """The tutorial's network as it is used there: the photo squashed to 512×512, float32, one at
    a time, cut at one half. Its weights are random: the time does not depend on them."""
    network = UNet(3, 1, width=width).eval().to(device)

    @torch.inference_mode()
    def cut_out() -> Picture:
        small = cv2.resize(photo, TUTORIAL_PX, interpolation=cv2.INTER_AREA)
        x = torch.from_numpy(small).to(device).permute(2, 0, 1)[None].float() / 255
        mask: Picture = (network(x) > 0).to(torch.uint8)[0, 0].cpu().numpy()  # (512, 512)
        return mask

    return cut_out


def measure(
    stages: Mapping[str, Stage], repeats: int, *, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of every stage in each round: all take turns, so that what disturbs the machine
    disturbs all alike. A round before is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in stages}
    for stage in stages.values():
        stage()
    for _ in range(repeats):
        for name, stage in stages.items():
            start = clock()
            stage()
            seconds[name].append(clock() - start)
    return seconds


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, least and most, in milliseconds."""
    found = {"median": statistics.median(seconds), "least": min(seconds), "most": max(seconds)}
    return {name: round(value * 1000, 2) for name, value in found.items()}


def machine(device: torch.device) -> dict[str, Any]:
    """Where and with what this runs."""
    cuda = device.type == "cuda"
    return {
        "machine": torch.cuda.get_device_name(device) if cuda else processor(),
        "device": str(device),
        "dtype": str(inference_dtype(device)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "cyclorama": installed("cyclorama"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def processor() -> str:
    """The processor's name, as well as the system knows."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def show(report: dict[str, Any]) -> None:
    """The report as a table."""
    out = Console()
    what = {
        "ours": f"{report['checkpoint']}, photo of {report['photo']} to its full-size mask, "
        f"{report['dtype']}",
        "tutorial": "the tutorial's network, photo squashed to 512x512, float32",
    }
    table = Table("stage", "what", "median ms", "least", "most")
    for name, figures in report["milliseconds"].items():
        table.add_row(name, what[name], *(f"{value:.1f}" for value in figures.values()))
    out.print(table)
    out.print(
        f"{report['machine']}, {report['device']}, {report['threads']} threads, "
        f"torch {report['torch']}, Python {report['python']}; {report['repeats']} rounds in turns",
        highlight=False,
    )
    out.print(f"tutorial_over_ours: {report['tutorial_over_ours']}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
