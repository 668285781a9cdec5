"""What was tried to make the line fast, side by side: runtimes, threads, memory, codecs.

    .venv/bin/python scripts/tried.py [--photo FILE] [--repeats N] [--json]

All of a group take turns, after a round that does not count. What is not installed (openvino,
onnxruntime) is left out and named.
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
from functools import partial
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
from torch import nn

from unet_core.checkpoint import load_checkpoint
from unet_core.cores import usable_cores
from unet_core.export import export_onnx
from unet_core.fusion import fuse_activations, fuse_batch_norm
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
    parser.add_argument("--json", action="store_true", help="print JSON for a program")
    parser.add_argument("--in-memory", choices=["kept", "usual"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cyclorama-tried-") as folder:
        root = Path(folder)
        path = options.photo or rendered(root / "inbox", PHOTO_PX, 1).paths[0]
        if options.in_memory:
            print(_frame_seconds(path, kept=options.in_memory == "kept"))
            return 0
        groups = {
            "network, one thread, ms of processor": _networks(path, root),
            "network, all cores, ms a picture": _threads(path),
            "refine and composite on all cores, ms a frame": _memories(path),
            "codecs, ms of processor": _codecs(path),
        }
        report = {"machine": processor(), "cores": usable_cores(), "torch": torch.__version__}
        tables = {name: _medians(ways, options.repeats) for name, ways in groups.items()}
    if options.json:
        print(json.dumps(report | {"milliseconds": tables}))
        return 0
    out = Console()
    for name, figures in tables.items():
        table = Table(name, "median")
        for way, value in figures.items():
            table.add_row(way, f"{value:.1f}")
        out.print(table)
    out.print(", ".join(f"{name} {value}" for name, value in report.items()), highlight=False)
    return 0


def _medians(ways: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    times = in_turns(ways, repeats)
    return {name: round(1000 * statistics.median(found), 2) for name, found in times.items()}


def _networks(path: Path, root: Path) -> Ways:
    """The network in every form, each with one thread: processor time of one picture."""
    torch.set_num_threads(1)
    network, card = load_checkpoint(ModelStore(SHIPPED).champion().folder)
    picture = Segmenter(network, card, CPU).prepare(decode(path).srgb())
    square = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    ways: Ways = {}
    for dtype in (torch.float32, torch.bfloat16):
        apart = fuse_batch_norm(network).to(memory_format=torch.channels_last)
        joined = fuse_activations(fuse_batch_norm(network), dtype)
        for how, form in {"": apart, ", activations joined": joined}.items():
            name = f"PyTorch {str(dtype).removeprefix('torch.')}{how}"
            ways[name] = _one_thread(_through(form, square, dtype))
    onnx = root / "network.onnx"
    try:
        export_onnx(network, card, onnx)
        ways |= _onnx_runtime(onnx, square.numpy()) | _openvino(onnx, square.numpy())
    except Exception as error:
        err.print(f"left out: {error}", markup=False)
    return ways


def _through(network: nn.Module, x: torch.Tensor, dtype: torch.dtype) -> Callable[[], object]:
    x = x.to(dtype).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run() -> object:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            return torch.sigmoid(network(x))

    return run


def _onnx_runtime(path: Path, x: NDArray[np.float32]) -> Ways:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return {"ONNX Runtime float32": _one_thread(lambda: session.run(None, {"picture": x}))}


def _openvino(path: Path, x: NDArray[np.float32]) -> Ways:
    try:
        import openvino
    except ImportError as error:
        err.print(f"left out: {error}", markup=False)
        return {}
    ways: Ways = {}
    for name, hint in {"float32": "f32", "bfloat16": "bf16"}.items():
        model = openvino.Core().read_model(path)
        model.reshape({0: list(x.shape)})
        settings = {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": hint,
        }
        request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
        ways[f"OpenVINO {name}"] = _one_thread(partial(request.infer, {0: x}))
    return ways


def _one_thread(run: Callable[[], object]) -> Callable[[], float]:
    def seconds() -> float:
        torch.set_num_threads(1)
        began = time.process_time()
        run()
        return time.process_time() - began

    return seconds


def _threads(path: Path) -> Ways:
    """All cores on one picture, on a batch, or each on a picture of its own."""
    segmenter = Segmenter.load(ModelStore(SHIPPED).champion(), CPU)
    picture, cores = segmenter.prepare(decode(path).srgb()), usable_cores()

    def together(batch: int) -> Callable[[], float]:
        def seconds() -> float:
            torch.set_num_threads(cores)
            began = time.perf_counter()
            segmenter.segment([picture] * batch)
            return (time.perf_counter() - began) / batch

        return seconds

    def apart() -> float:
        torch.set_num_threads(1)
        began = time.perf_counter()
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(lambda _: segmenter.segment([picture]), range(4 * cores)))
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
    return {name: _one_thread(run) for name, run in runs.items()}


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # exporters', about their own parts
    sys.exit(main())
