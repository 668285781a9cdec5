"""Curves of a training run and a figure of example masks, as PNG files.

Needs the extra ``train``. Draws on figures of its own: nothing of pyplot's global state is
touched, so that it works without a display and beside other drawing.

    PlotError
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAINING, VALIDATION = "tab:blue", "tab:orange"


class PlotError(Exception):
    """Nothing can be drawn; the message says what is missing or wrong, and the cure."""


@dataclass(frozen=True)
class Measured:
    """One row of a run's history; ``None`` where nothing was measured."""

    at: float
    """Where it was measured: the number of the epoch or of the step."""
    training_loss: float | None = None
    training_dice: float | None = None
    validation_loss: float | None = None
    validation_dice: float | None = None


@dataclass(frozen=True)
class Example:
    """One picture with what the network made of it."""

    name: str
    picture: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    prediction: NDArray[np.uint8]
    """(H, W), 255 = subject."""
    truth: NDArray[np.uint8]
    """(H, W), 255 = subject."""
    dice: float


def require_matplotlib() -> None:
    """Raises :class:`PlotError` where matplotlib is missing: ask before hours of training."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise PlotError(
            "curves and figures need matplotlib, which is not installed; "
            "install it with: pip install '.[train]'"
        ) from error


def plot_curves(
    history: Sequence[Measured],
    path: Path,
    *,
    zoom: tuple[float, float] | None = None,
    unit: str = "epoch",
) -> None:
    """Writes loss and Dice over a run, training beside validation, as a PNG.

    ``zoom`` is the (lowest, highest) loss that the loss axis shows: late in a run the curves lie
    so low that a full axis hides them. ``unit`` names what ``Measured.at`` counts. Raises
    :class:`PlotError` where there is no row, or no matplotlib.
    """
    if not history:
        raise PlotError(f"{path} is not drawn: the run has measured nothing yet")
    figure = _figure(10, 4)
    loss, dice = figure.subplots(1, 2)
    for axes, figure_name in ((loss, "loss"), (dice, "dice")):
        for part, colour in (("training", TRAINING), ("validation", VALIDATION)):
            _draw(axes, history, f"{part}_{figure_name}", label=part, colour=colour)
        axes.set_xlabel(unit)
        axes.xaxis.get_major_locator().set_params(integer=True)  # there is no half epoch
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    loss.set_title("Loss" if zoom is None else f"Loss, {zoom[0]:g} to {zoom[1]:g}")
    dice.set_title("Dice")
    if zoom is not None:
        loss.set_ylim(*zoom)
    _write(figure, path)


def plot_examples(examples: Sequence[Example], path: Path) -> None:
    """Writes a row a picture as a PNG: original, prediction with its Dice, truth.

    Raises :class:`PlotError` where there is no example, or no matplotlib.
    """
    if not examples:
        raise PlotError(f"{path} is not drawn: there is no picture to show")
    figure = _figure(7.5, 2.6 * len(examples))
    for row, example in zip(
        figure.subplots(len(examples), 3, squeeze=False), examples, strict=True
    ):
        row[0].imshow(example.picture)
        row[0].set_title(example.name, fontsize=8)
        row[1].imshow(example.prediction, cmap="gray", vmin=0, vmax=255)
        row[1].set_title(f"prediction, Dice {example.dice:.4f}", fontsize=8)
        row[2].imshow(example.truth, cmap="gray", vmin=0, vmax=255)
        row[2].set_title("truth", fontsize=8)
        for axes in row:
            axes.set_axis_off()
    _write(figure, path)


def _draw(axes: Axes, history: Sequence[Measured], field: str, *, label: str, colour: str) -> None:
    points = [(row.at, value) for row in history if (value := getattr(row, field)) is not None]
    if points:
        at, values = zip(*points, strict=True)
        axes.plot(at, values, label=label, color=colour, marker=".")  # one point is no line


def _figure(width: float, height: float) -> Figure:
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _write(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        figure.savefig(part, format="png")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
