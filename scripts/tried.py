"""What was tried to make the line fast, side by side: runtimes, threads, memory, codecs.

    .venv/bin/python scripts/tried.py [--photo FILE] [--repeats N] [--as-it-is] [--json]

All of a group take turns, after a round that does not count. What is not installed (openvino, nncf,
onnxruntime) is left out and named. Integers are calibrated on the photos beside FILE.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from bench import in_turns, processor
from bench_frames import rendered
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from tried_networks import differences, network_forms, one_thread

from unet_core.cores import usable_cores
from unet_core.images import decode
from unet_core.refine import refine
from unet_core.segment import Segmenter
from unet_core.store import SHIPPED, ModelStore
from worker.finish.composite import compose
from worker.finish.presets import load_preset
from worker.line.memory import keep_memory
from worker.line.shape import share_cores

Picture = NDArray[np.uint8]
Ways = dict[str, Callable[[], float]]
err = Console(stderr=True)
CPU = torch.device("cpu")
PHOTO_PX = (1918, 1280)


def main() -> int:
    """Exit code 0: measured; 2: wrong usage."""
    parser = argparse.ArgumentParser(prog="tried.py", description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, help="default: a rendered one of 1918×1280")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--as-it-is",
        action="store_true",
        help="leave out what compiles or translates the network first, which takes minutes",
    )
    parser.add_argument("--json", action="store_true", help="print JSON for a program")
    parser.add_argument("--in-memory", choices=["kept", "usual"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cyclorama-tried-") as folder:
        root = Path(folder)
        path = options.photo or rendered(root / "inbox", PHOTO_PX, 1).paths[0]
        if options.in_memory:
            print(_frame_seconds(path, kept=options.in_memory == "kept"))
            return 0
        forms = network_forms(path, root, err, translate=not options.as_it_is)
        groups = {
            "network, one thread, ms of processor": {n: one_thread(f) for n, f in forms.items()},
            "network, all cores, ms a picture": _threads(path),
            "refine and composite on all cores, ms a frame": _memories(path),
            "codecs, ms of processor": _codecs(path),
        }
        report = {"machine": processor(), "cores": usable_cores(), "torch": torch.__version__}
        tables = {name: _medians(ways, options.repeats) for name, ways in groups.items()}
        apart = differences(forms)
    if options.json:
        print(json.dumps(report | {"milliseconds": tables, "apart": apart}))
        return 0
    out = Console()
    for name, figures in tables.items():
        table = Table(name, "median")
        for way, value in figures.items():
            table.add_row(way, f"{value:.1f}")
        out.print(table)
    table = Table("the network's mask beside float32's", "levels at most", "pixels in a million")
    for form, by in apart.items():
        table.add_row(form, f"{by['levels']:.0f}", f"{by['pixels_in_a_million']:.0f}")
    out.print(table)
    out.print(", ".join(f"{name} {value}" for name, value in report.items()), highlight=False)
    return 0


def _medians(ways: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    times = in_turns(ways, repeats)
    return {name: round(1000 * statistics.median(found), 2) for name, found in times.items()}


def _threads(path: Path) -> Ways:
    """All cores on one picture, on a batch, or each on a picture of its own."""
    segmenter = Segmenter.load(ModelStore(SHIPPED).champion(), CPU)
    picture, cores = segmenter.prepare(decode(path).srgb()), usable_cores()

    def together(batch: int) -> Callable[[], float]:
        def seconds() -> float:
            torch.set_num_threads(cores)
            began = time.perf_counter()
            segmenter.segment_whole([picture] * batch)
            return (time.perf_counter() - began) / batch

        return seconds

    def apart() -> float:
        torch.set_num_threads(1)
        began = time.perf_counter()
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(lambda _: segmenter.segment_whole([picture]), range(4 * cores)))
        return (time.perf_counter() - began) / (4 * cores)

    return {
        f"one picture, {cores} threads": together(1),
        f"a batch of 4, {cores} threads": together(4),
        f"{cores} pictures, a thread each": apart,
    }


def _memories(path: Path) -> Ways:
    """With freed memory kept for the next picture, or given back: each in a process of its own."""

    def child(how: str) -> Callable[[], float]:
        command = [sys.executable, __file__, "--photo", str(path), "--in-memory", how]
        return lambda: float(subprocess.check_output(command, timeout=300))

    return {"memory given back": child("usual"), "memory kept": child("kept")}


def _frame_seconds(path: Path, *, kept: bool) -> float:
    if kept:
        keep_memory()
    share_cores(CPU)
    segmenter = Segmenter.load(ModelStore(SHIPPED).champion(), CPU)
    preset, photo, cores = load_preset("studio-grey", folders=[]), decode(path), usable_cores()
    (mask,) = segmenter.segment([segmenter.prepare(photo.pixels)])

    def frame(_: int) -> None:
        compose(photo.pixels, refine(mask, photo.pixels), preset)

    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(frame, range(2 * cores)))
        began = time.perf_counter()
        list(pool.map(frame, range(16 * cores)))
        return (time.perf_counter() - began) / (16 * cores)


def _codecs(path: Path) -> Ways:
    """JPEG in and out, masks out, by the libraries that are there anyway."""
    from torchvision.io import decode_jpeg, encode_jpeg

    data, pixels = path.read_bytes(), decode(path).srgb()
    channels_first = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    raw = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    grey = np.asarray(cv2.GaussianBlur(cv2.inRange(pixels[..., 1], 0, 110), (0, 0), 1), np.uint8)

    def pillow(picture: Picture, form: str, **options: Any) -> None:
        Image.fromarray(picture).save(io.BytesIO(), form, **options)

    quality = [cv2.IMWRITE_JPEG_QUALITY, 92]
    buffer = np.frombuffer(data, np.uint8)
    runs: dict[str, Callable[[], object]] = {
        "JPEG in: Pillow": lambda: np.asarray(Image.open(io.BytesIO(data))),
        "JPEG in: OpenCV": lambda: cv2.imdecode(buffer, cv2.IMREAD_COLOR_RGB),
        "JPEG in: torchvision": lambda: decode_jpeg(raw),
        "JPEG out: Pillow": lambda: pillow(pixels, "JPEG", quality=92),
        "JPEG out: OpenCV": lambda: cv2.imencode(".jpg", pixels, quality),
        "JPEG out: torchvision": lambda: encode_jpeg(channels_first, quality=92),
        "mask out: Pillow, level 1": lambda: pillow(grey, "PNG", compress_level=1),
        "mask out: OpenCV": lambda: cv2.imencode(".png", grey),
    }
    return {name: one_thread(run) for name, run in runs.items()}


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # exporters', about their own parts
    sys.exit(main())
