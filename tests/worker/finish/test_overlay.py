from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from worker.errors import PresetError
from worker.finish.overlay import lay_over
from worker.finish.presets import Overlay

GREY = np.full((100, 200, 3), 128, np.uint8)


def logo(folder: Path, size: tuple[int, int] = (40, 20), *, alpha: int = 255) -> Path:
    path = folder / "logo.png"
    Image.new("RGBA", size, (255, 0, 0, alpha)).save(path)
    return path


def box_of(picture: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is not grey any more."""
    y, x = np.nonzero((picture[..., :3] != 128).any(axis=-1))
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1


@pytest.mark.parametrize(
    ("position", "box"),
    [
        ("top-left", (10, 10, 50, 30)),
        ("top", (80, 10, 120, 30)),
        ("bottom-right", (150, 70, 190, 90)),
        ("centre", (80, 40, 120, 60)),
    ],
)
def test_a_logo_stands_where_the_preset_says(
    tmp_path: Path, position: str, box: tuple[int, int, int, int]
) -> None:
    overlay = Overlay.model_validate(
        {"picture": logo(tmp_path), "position": position, "width": 0.2, "margin": 0.05}
    )
    drawn = lay_over(GREY.copy(), overlay)
    assert box_of(drawn) == box
    assert tuple(drawn[(box[1] + box[3]) // 2, (box[0] + box[2]) // 2]) == (255, 0, 0)


def test_a_logo_larger_than_the_frame_is_made_to_fit_and_keeps_its_shape(tmp_path: Path) -> None:
    overlay = Overlay(picture=logo(tmp_path, (4000, 4000)), width=1.0, margin=0.05)
    left, top, right, bottom = box_of(lay_over(GREY.copy(), overlay))
    assert right - left == bottom - top == 80


def test_what_is_half_transparent_is_mixed_and_opacity_fades(tmp_path: Path) -> None:
    half = Overlay(picture=logo(tmp_path, alpha=128), position="centre")
    assert lay_over(GREY.copy(), half)[50, 100, 0] == pytest.approx(192, abs=1)
    faded = Overlay(picture=logo(tmp_path), position="centre", opacity=0.5)
    assert lay_over(GREY.copy(), faded)[50, 100, 0] == pytest.approx(192, abs=1)


def test_a_transparent_frame_becomes_opaque_under_its_logo(tmp_path: Path) -> None:
    empty = np.zeros((100, 200, 4), np.uint8)
    drawn = lay_over(empty, Overlay(picture=logo(tmp_path), position="centre"))
    assert tuple(drawn[50, 100]) == (255, 0, 0, 255)
    assert drawn[0, 0, 3] == 0


def test_a_broken_logo_is_named(tmp_path: Path) -> None:
    path = tmp_path / "logo.png"
    path.write_bytes(b"no picture")
    with pytest.raises(PresetError, match=r"overlay .*logo\.png cannot be used"):
        lay_over(GREY.copy(), Overlay(picture=path))


@pytest.mark.parametrize("position", ["top-left", "centre", "bottom-right"])
@pytest.mark.parametrize("size", [(900, 20), (20, 900), (1, 1)])
def test_a_wide_margin_on_a_narrow_frame_leaves_room_for_a_small_logo(
    tmp_path: Path, position: str, size: tuple[int, int]
) -> None:
    overlay = Overlay.model_validate(
        {"picture": logo(tmp_path), "position": position, "margin": 0.4}
    )
    frame = np.full((size[1], size[0], 3), 128, np.uint8)
    assert (lay_over(frame, overlay) != 128).any()


def test_a_logo_that_was_replaced_is_drawn_as_it_is_now(tmp_path: Path) -> None:
    overlay = Overlay(picture=logo(tmp_path), position="centre")
    assert tuple(lay_over(GREY.copy(), overlay, digest="1")[50, 100]) == (255, 0, 0)
    Image.new("RGBA", (40, 20), (0, 0, 255, 255)).save(overlay.picture)
    assert tuple(lay_over(GREY.copy(), overlay, digest="2")[50, 100]) == (0, 0, 255)
