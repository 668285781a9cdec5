"""Two networks on photos whose truth nobody knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.carvana import Picture
from unet_core.checkpoint import Card
from unet_core.differences import SHOWN, Seen, compare_on, section
from unet_core.model import UNet
from unet_core.segment import Segmenter


class Bright(Segmenter):
    """Takes for car what is brighter than a level, at its own size."""

    def __init__(self, level: int, *, long_side_px: int = 96) -> None:
        card = Card(version=f"over-{level}", long_side_px=long_side_px)
        super().__init__(UNet(width=4, depth=2, fold=2, norm="batch"), card, torch.device("cpu"))
        self._level = level

    def segment(self, pictures: list[Picture]) -> list[Picture]:  # type: ignore[override]
        return [np.uint8(255 * (picture[..., 0] > self._level)) for picture in pictures]


def seen(number: int, *, doubtful: int) -> Seen:
    """A photo with a bright car of 40 rows, and as many doubtful columns beside it."""
    pixels = np.full((64, 96, 3), 20, np.uint8)
    pixels[12:52, 20:60] = 220
    pixels[12:52, 60 : 60 + doubtful] = 120
    return Seen(f"shoot-{number % 3}", f"{number:02}", pixels)


def test_the_frames_that_differ_most_are_shown_the_least_alike_first(tmp_path: Path) -> None:
    photos = [seen(number, doubtful=number) for number in range(12)]
    sheet = compare_on(Bright(200), Bright(100), photos, tmp_path)
    assert (sheet.frames, sheet.shoots) == (12, 3)
    assert [each.frame for each in sheet.largest] == [f"{n:02}" for n in range(11, 11 - SHOWN, -1)]
    assert sheet.largest[0].dice == pytest.approx(2 * 40 / (40 + 51), abs=1e-4)
    assert sheet.mean_dice == pytest.approx(np.mean([2 * 40 / (80 + n) for n in range(12)]), 1e-3)
    assert {p.name for p in tmp_path.iterdir()} == {f"differs-{n}.jpg" for n in range(1, SHOWN + 1)}


def test_red_is_what_only_the_candidate_takes_for_car_and_blue_what_only_the_champion_does(
    tmp_path: Path,
) -> None:
    for champion, candidate, channel in ((200, 100, 0), (100, 200, 2)):
        compare_on(Bright(champion), Bright(candidate), [seen(1, doubtful=20)], tmp_path)
        picture = np.asarray(Image.open(tmp_path / "differs-1.jpg"), np.int16)
        assert picture[30, 70].argmax() == channel
        assert np.ptp(picture[30, 40]) < 20, "the rest is grey"


def test_networks_that_see_different_sizes_are_compared_at_the_champions(tmp_path: Path) -> None:
    sheet = compare_on(Bright(100), Bright(100, long_side_px=192), [seen(1, doubtful=0)], tmp_path)
    assert sheet.largest[0].dice > 0.97


def test_photos_are_taken_one_after_another_and_not_kept(tmp_path: Path) -> None:
    alive = []

    def photos() -> Iterator[Seen]:
        for number in range(30):
            alive.append(number)
            yield seen(number, doubtful=1)

    assert compare_on(Bright(200), Bright(100), photos(), tmp_path).frames == 30
    assert alive == list(range(30))


def test_the_section_names_every_picture_and_escapes_what_people_named(tmp_path: Path) -> None:
    odd = Seen("<b>4711</b>", "01", seen(1, doubtful=5).pixels)
    text = section(
        compare_on(Bright(200), Bright(100), [odd], tmp_path), title="Last week's shoots"
    )
    assert re.findall(r'src="([^"]+)"', text) == ["differs-1.jpg"]
    assert "&lt;b&gt;4711&lt;/b&gt;/01: Dice 0." in text and "<b>" not in text
    nothing = section(
        compare_on(Bright(200), Bright(100), [], tmp_path), title="Last week's shoots"
    )
    assert "No photo was there" in nothing
