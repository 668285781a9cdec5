"""What a training run leaves to look at: a TensorBoard log, and its curves as PNG.

Needs the extra ``train``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unet_core.plots import Measured, PlotError, plot_curves, require_matplotlib

if TYPE_CHECKING:
    from unet_core.training import Progress

ZOOM = (0.0, 0.1)


class RunLog:
    """The log of one run in its folder; used as a context, it is closed whole."""

    def __init__(self, folder: Path) -> None:
        """Raises :class:`PlotError` where matplotlib or TensorBoard is missing: before hours of
        training, not after them."""
        require_matplotlib()
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise PlotError(
                "the log needs TensorBoard, which is not installed; "
                "install it with: pip install '.[train]'"
            ) from error
        self.folder = folder
        self._writer = SummaryWriter(folder / "tensorboard")

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def step(self, done: Progress) -> None:
        """Logs one step."""
        self._writer.add_scalar("loss/training", done.loss, done.step)
        self._writer.add_scalar("learning_rate", done.learning_rate, done.step)
        if done.validation is not None:
            self._writer.add_scalar("dice/validation", done.validation, done.step)

    def history(self, rows: Sequence[dict[str, float]]) -> None:
        """Draws curves.png and curves-zoom.png from a run's history."""
        measured = [
            Measured(row["step"], row["loss"], validation_dice=row.get("validation"))
            for row in rows
        ]
        plot_curves(measured, self.folder / "curves.png", unit="step")
        plot_curves(measured, self.folder / "curves-zoom.png", zoom=ZOOM, unit="step")
