"""What the bench found, as tables and as a picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from unet_core.plots import PlotError, require_matplotlib

WHAT = {
    "line": "the line, alone in a process",
    "celery": "a worker, through Celery on Redis",
    "naive": "the tutorial's network in the usual loop",
    "rembg": "rembg, folder mode, our network in ONNX Runtime",
}
LONGEST = 4
"""Times the bound that a bar of the picture is long at most."""


def show(report: dict[str, Any]) -> None:
    """The report as tables."""
    out = Console()
    for size in report["sizes"]:
        table = Table(
            "stage",
            "ms of a core",
            title=f"{size['photo']}, {size['frames']} frames, {size['repeats']} rounds in turns",
        )
        for name, value in size["stages_ms"].items():
            table.add_row(name, f"{value:.1f}")
        table.add_row("bound, all cores busy", f"{size['bound_ms']:.1f} a frame", style="bold")
        out.print(table)
        table = Table("way", "ms a frame", "least", "most", "frames a second")
        for name, row in size["milliseconds_a_frame"].items():
            figures = [f"{row[key]:.1f}" for key in ("median", "least", "most")]
            table.add_row(WHAT[name], *figures, f"{1000 / row['median']:.2f}")
        out.print(table)
        ratios = {name: value for name, value in size.items() if "_over_" in name}
        out.print(", ".join(f"{name} {value}" for name, value in ratios.items()), highlight=False)
        out.print(f"worker's most memory: {size['peak_rss_mb']} MB", highlight=False)
    if report["workers"]:
        table = Table("worker processes", "frames a second", "most memory of one, MB")
        for row in report["workers"]:
            table.add_row(*(str(value) for value in row.values()))
        out.print(table)
    cold = ", ".join(f"{name} {value}" for name, value in report["cold_start_seconds"].items())
    out.print(f"cold start of cyclorama run, seconds: {cold}", highlight=False)
    network = report["network"]
    ours, theirs = (network["milliseconds"][name]["median"] for name in ("ours", "tutorial"))
    out.print(
        f"network: photo to full-size mask {ours} ms ({network['checkpoint']}, "
        f"{report['dtype']}), the tutorial's at 512x512 {theirs} ms (float32): "
        f"{network['tutorial_over_ours']} times as fast",
        highlight=False,
    )
    out.print(
        f"{report['machine']}, {report['device']}, {report['cores']} cores, "
        f"network by {report['runtime']}, torch {report['torch']}, Python {report['python']}",
        highlight=False,
    )


def require_picture(path: Path) -> None:
    """Raises :class:`PlotError` where no PNG can be written: ask before minutes of measuring."""
    require_matplotlib()
    if path.suffix.lower() != ".png":
        raise PlotError(f"--picture {path} is no PNG; give a name that ends in .png")
    if path.is_dir():
        raise PlotError(f"--picture {path} is a folder; give a file")
    if not os.access(path.parent, os.W_OK):
        raise PlotError(f"--picture: {path.parent} is no folder to write into; make it first")


def write_picture(report: dict[str, Any], path: Path) -> None:
    """A chart of the first size as PNG: the stages that make up the bound, and the ways beside
    it. Needs matplotlib (extra ``train``)."""
    from matplotlib.figure import Figure

    size, cores = report["sizes"][0], report["cores"]
    ways = {name: row["median"] for name, row in size["milliseconds_a_frame"].items()}
    longest = min(max(ways.values()), LONGEST * size["bound_ms"])
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    left = 0.0
    for name, value in size["stages_ms"].items():
        axes.barh("bound", value / cores, left=left, label=name)
        left += value / cores
    for name, value in {"bound": left, **ways}.items():
        if name != "bound":
            axes.barh(name, min(value, longest), color="0.6")
        cut = "… " if value > longest else ""
        axes.text(min(value, longest), name, f" {cut}{value:.0f} ms", va="center")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * longest)
    axes.set_xlabel("milliseconds a frame; above, each stage's part of all cores")
    axes.set_title(f"{size['photo']} on {report['machine']}, {cores} cores")
    axes.legend(fontsize="small", loc="upper right")
    figure.savefig(path, dpi=110)
