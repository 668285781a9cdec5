"""Measures the line against what bounds it and against what a studio would use instead.

    scripts/bench [--photos FOLDER] [--quick] [--workers N…] [--picture FILE] [--json]

All take turns in one run, after a warm-up, so that what disturbs the machine disturbs all alike.
The last line is JSON; with --json it is the only one.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import torch
from bench_cold import cold_start
from bench_frames import Frames, given, rendered
from bench_line import InProcess, ThroughCelery, redis_server
from bench_others import NaiveLoop, Rembg, tutorial
from bench_report import require_picture, show, write_picture
from bench_stages import PRESET, measure_stages
from rich.console import Console

from unet_core.checkpoint import CheckpointError
from unet_core.cores import usable_cores
from unet_core.devices import DeviceError, choose_device, inference_dtype
from unet_core.images import ImageError, decode
from unet_core.plots import PlotError
from unet_core.refine import refine
from unet_core.segment import Segmenter
from unet_core.store import SHIPPED, ModelStore
from worker.errors import CycloramaError
from worker.line.memory import keep_memory
from worker.settings import Settings, read_settings

err = Console(stderr=True)
SIZES = ((1918, 1280), (6000, 4000))
NAIVE_FRAMES = 4
"""So many are enough for what does the same with each photo, one after the other."""


def main() -> int:
    """Exit code 0: measured; 2: wrong usage, or the line does not run here."""
    parser = _parser()
    options = parser.parse_args()
    if options.repeats < 1 or options.frames < 1 or min(options.workers, default=1) < 1:
        parser.error("--repeats, --frames and --workers must be 1 or more")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leaves no server behind
    keep_memory()  # as a worker does
    try:
        if options.picture:
            require_picture(options.picture)
        report = _measured(options)
        if not options.json:
            show(report)
        print(json.dumps(report), flush=True)
        if options.picture:
            write_picture(report, options.picture)
    except (CycloramaError, CheckpointError, DeviceError, ImageError, PlotError, OSError) as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--photos", type=Path, metavar="FOLDER", help="default: rendered ones, of two sizes"
    )
    parser.add_argument("--frames", type=int, default=96, help="through the line in each round")
    parser.add_argument(
        "--repeats", type=int, default=5, help="measured rounds, after one unmeasured"
    )
    parser.add_argument("--quick", action="store_true", help="about five minutes")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--runtime", choices=["torch", "openvino"], default="torch", help="what runs the network"
    )
    parser.add_argument(
        "--workers", type=int, nargs="*", default=[], metavar="N", help="so many processes, too"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="stages and lines as a PNG")
    parser.add_argument("--tutorial-width", type=int, default=64, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print the JSON line alone")
    return parser


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    device = choose_device(options.device, options.runtime)
    count, repeats = options.frames, options.repeats
    if options.quick:
        count, repeats = min(count, 48), min(repeats, 2)
    with tempfile.TemporaryDirectory(prefix="cyclorama-bench-") as folder:
        root = Path(folder)
        if options.photos:
            sets = [given(root / "inbox", options.photos, count)]
        else:
            err.print("rendering photos …")
            large = max(4, count // 6)  # ten times the pixels
            sets = [
                rendered(root / f"inbox-{width}", (width, height), frames)
                for (width, height), frames in zip(SIZES, (count, large), strict=True)
            ]
        network = _network(sets[0], device, max(3, repeats), options)
        found = [_size(frames, root, device, repeats, options) for frames in sets]
        scaling = _scaling(sets[0], root, options)
        cold = cold_start(sets[0], _settings(sets[0], root, "cold", options))
    first = found[0]
    return {
        **machine(device, options.runtime),
        **{name: first[name] for name in ("frames_per_second", "peak_rss_mb")},
        **{name: first[name] for name in first if "_over_" in name},
        "network": network,
        "sizes": found,
        "workers": scaling,
        "cold_start_seconds": cold,
    }


def _network(
    frames: Frames, device: torch.device, repeats: int, options: argparse.Namespace
) -> dict[str, Any]:
    """A photo to its full-size mask beside the tutorial's network on the same photo squashed."""
    photo = decode(frames.paths[0]).srgb()
    segmenter = Segmenter.load(ModelStore(SHIPPED).champion(), device, options.runtime)

    def ours() -> object:
        (mask,) = segmenter.segment([segmenter.prepare(photo)])
        return refine(mask, photo)

    runs = {"ours": ours, "tutorial": tutorial(photo, device, width=options.tutorial_width)}
    times = in_turns({name: _timed(run) for name, run in runs.items()}, repeats)
    figures = {name: spread([1000 * second for second in times[name]]) for name in runs}
    ratio = figures["tutorial"]["median"] / figures["ours"]["median"]
    return {
        "checkpoint": segmenter.card.version,
        "milliseconds": figures,
        "tutorial_over_ours": round(ratio, 2),
    }


def _size(
    frames: Frames, root: Path, device: torch.device, repeats: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Stages, bound, line, Celery and the others on one set of frames."""
    width, height = frames.size
    err.print(f"{len(frames.paths)} frames of {width}×{height}: stages …")
    stages = measure_stages(
        frames.paths, device, options.runtime, cores=usable_cores(), repeats=repeats
    )
    settings = _settings(frames, root, "state", options)
    few = frames.paths[:: max(1, len(frames.paths) // NAIVE_FRAMES)][:NAIVE_FRAMES]
    with ExitStack() as stack:
        url = stack.enter_context(redis_server(settings.state))
        celery = ThroughCelery(settings, url)
        try:
            line = InProcess(settings, url)
            stack.callback(line.close)
            runs = {
                "line": lambda: line.seconds(frames) / len(frames.paths),
                "celery": lambda: celery.seconds(frames) / len(frames.paths),
            }
            naive = NaiveLoop(device, root / "naive", width=options.tutorial_width)
            runs["naive"] = _all_cores(lambda: naive.seconds(few) / len(few))
            try:
                rembg = Rembg(root, few, device)
                runs["rembg"] = _all_cores(lambda: rembg.seconds(few) / len(few))
            except ImportError as missing:
                err.print(f"rembg is left out ({missing}); pip install rembg onnx onnxscript")
            err.print(f"{', '.join(runs)}, in turns …")
            times = in_turns(runs, repeats)
        finally:
            peak = celery.close()
    figures = {name: spread([1000 * second for second in times[name]]) for name in times}
    median = {name: row["median"] for name, row in figures.items()}
    return {
        "photo": f"{width}x{height}",
        "frames": len(frames.paths),
        "repeats": repeats,
        "stages_ms": stages.milliseconds,
        "bound_ms": round(stages.bound_ms, 2),
        "milliseconds_a_frame": figures,
        "frames_per_second": round(1000 / median["celery"], 2),
        "peak_rss_mb": round(peak),
        "line_over_bound": round(stages.bound_ms / median["line"], 3),
        "celery_over_line": round(median["line"] / median["celery"], 3),
        "line_over_naive": round(median["naive"] / median["line"], 2),
        "line_over_rembg": (
            round(median["rembg"] / median["line"], 2) if "rembg" in median else None
        ),
    }


def _scaling(frames: Frames, root: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Frames a second by the number of worker processes."""
    found = []
    for count in options.workers:
        err.print(f"{count} worker processes …")
        settings = _settings(frames, root, f"state-{count}", options)
        with redis_server(settings.state) as url:
            celery = ThroughCelery(settings, url, count=count)
            try:
                celery.seconds(frames)
                seconds = celery.seconds(frames)
            finally:
                peak = celery.close()
        found.append(
            {
                "workers": count,
                "frames_per_second": round(len(frames.paths) / seconds, 2),
                "peak_rss_mb": round(peak),
            }
        )
    return found


def _settings(frames: Frames, root: Path, state: str, options: argparse.Namespace) -> Settings:
    """A studio of the bench's own, with the checkpoint that comes along."""
    return read_settings(
        inbox=frames.inbox,
        outbox=root / "outbox",
        state=root / state,
        preset=PRESET,
        device=options.device,
        runtime=options.runtime,
        models=root / "models",
        corrections=root / "corrections",
    )


def _timed(run: Callable[[], object]) -> Callable[[], float]:
    def seconds() -> float:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    return _all_cores(seconds)


def _all_cores(run: Callable[[], float]) -> Callable[[], float]:
    """One picture at a time may have all cores to itself, as PyTorch has it by default."""

    def with_threads() -> float:
        before = torch.get_num_threads()
        torch.set_num_threads(usable_cores())
        try:
            return run()
        finally:
            torch.set_num_threads(before)

    return with_threads


def in_turns(runs: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """The seconds that every run returns in each round: all take turns. A round before is not
    counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(repeats + 1):
        for name, run in runs.items():
            found = run()
            if number:
                seconds[name].append(found)
    return seconds


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and most."""
    found = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: round(value, 2) for name, value in found.items()}


def machine(device: torch.device, runtime: str) -> dict[str, Any]:
    """Where and with what this runs."""
    cuda = device.type == "cuda"
    return {
        "machine": torch.cuda.get_device_name(device) if cuda else processor(),
        "device": str(device),
        "runtime": f"{runtime} {installed(runtime)}",
        "torch": torch.__version__,
        "dtype": str(inference_dtype(device)).removeprefix("torch."),
        "cores": usable_cores(),
        "cyclorama": installed("cyclorama"),
        "python": platform.python_version(),
    }


def processor() -> str:
    """The processor's name, as well as the system knows."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
