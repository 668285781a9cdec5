"""Curves and example figures are PNG files that show what they were given."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unet_core.plots import (
    Example,
    Measured,
    PlotError,
    plot_curves,
    plot_examples,
    require_matplotlib,
)

HISTORY = [Measured(1, 0.4, 0.7, 0.3, 0.8), Measured(2, 0.04, 0.9, 0.03, 0.95)]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.array(image.convert("RGB")).astype(int)


def coloured(path: Path, *, blue: bool) -> int:
    """Pixels in the colour of the training (blue) or of the validation curve."""
    red, green, blueness = np.moveaxis(pixels(path), -1, 0)
    cold, warm = blueness - red > 80, (red - blueness > 80) & (red > green)
    return int((cold if blue else warm).sum())


def example(name: str = "car_01.jpg", *, side: int = 24) -> Example:
    picture = np.full((side, side, 3), (220, 20, 20), np.uint8)
    mask = np.zeros((side, side), np.uint8)
    return Example(name, picture, mask, mask + np.uint8(255), dice=0.5)


def test_both_curves_are_drawn(tmp_path: Path) -> None:
    plot_curves(HISTORY, tmp_path / "new" / "curves.png")
    assert coloured(tmp_path / "new" / "curves.png", blue=True) > 100
    assert coloured(tmp_path / "new" / "curves.png", blue=False) > 100


def test_a_curve_without_a_measurement_is_left_out(tmp_path: Path) -> None:
    plot_curves([Measured(1, 0.4, 0.7), Measured(2, 0.3, 0.8)], tmp_path / "c.png", unit="step")
    assert coloured(tmp_path / "c.png", blue=True) > 100
    assert coloured(tmp_path / "c.png", blue=False) == 0


def test_a_single_row_is_seen(tmp_path: Path) -> None:
    plot_curves([Measured(1, 0.4, 0.7)], tmp_path / "c.png")
    plot_curves([Measured(1)], tmp_path / "empty.png")
    assert coloured(tmp_path / "c.png", blue=True) > coloured(tmp_path / "empty.png", blue=True)


def test_the_zoom_hides_what_lies_above_it_on_the_loss_axis_only(tmp_path: Path) -> None:
    high = [Measured(1, 0.4, 0.7), Measured(2, 0.3, 0.8)]
    plot_curves(high, tmp_path / "full.png")
    plot_curves(high, tmp_path / "zoom.png", zoom=(0, 0.05))
    full, zoomed = pixels(tmp_path / "full.png"), pixels(tmp_path / "zoom.png")
    middle = full.shape[1] // 2
    blue = [(half[..., 2] - half[..., 0] > 80).sum() for half in (full[:, :middle],
            zoomed[:, :middle], zoomed[:, middle:])]  # fmt: skip
    assert blue[1] < blue[0] / 2, "only the legend is left"
    assert blue[2] > blue[1], "Dice is drawn as before"


def test_the_figure_has_a_row_an_example(tmp_path: Path) -> None:
    plot_examples([example()], tmp_path / "one.png")
    plot_examples([example(), example("car_02.jpg")], tmp_path / "two.png")
    one, two = pixels(tmp_path / "one.png"), pixels(tmp_path / "two.png")
    assert two.shape[0] == 2 * one.shape[0]
    red = (one == (220, 20, 20)).all(-1).sum()
    assert red > 1000
    assert (two == (220, 20, 20)).all(-1).sum() == pytest.approx(2 * red, rel=0.1)


@pytest.mark.parametrize("draw", [plot_curves, plot_examples])
def test_nothing_to_draw_is_refused_and_leaves_no_file(draw, tmp_path: Path) -> None:
    with pytest.raises(PlotError, match=r"x\.png is not drawn"):
        draw([], tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "c.png"
    path.write_bytes(b"old")
    bad = Example("x", np.zeros((2, 2, 7), np.uint8), *2 * (np.zeros((2, 2), np.uint8),), 0.0)
    with pytest.raises(TypeError):
        plot_examples([bad], path)
    assert [file.name for file in tmp_path.iterdir()] == ["c.png"]
    assert path.read_bytes() == b"old"


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PlotError, match=r"pip install '\.\[train\]'"):
        require_matplotlib()


def test_pyplot_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it would fail
    plot_curves(HISTORY, tmp_path / "c.png")
    plot_examples([example()], tmp_path / "e.png")
