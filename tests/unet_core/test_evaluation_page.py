"""The page of an evaluation works from its folder alone and shows the worst frames first."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from PIL import Image

from tests.bright import bright_network
from tests.carvana import write_cars
from unet_core.checkpoint import Card
from unet_core.data import Pair, find_pairs, read_pair
from unet_core.evaluation import evaluate
from unet_core.evaluation_page import EvaluationPage
from unet_core.segment import Segmenter


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    pairs = find_pairs(write_cars(tmp_path / "data", ["a b#"], frames=3, size=(80, 120)))
    worse = np.roll(read_pair(pairs[1])[1], 20, axis=1)
    Image.fromarray(worse).save(pairs[1].mask)
    return pairs


def bright(threshold: float = 0.45) -> Segmenter:
    network = bright_network(threshold=threshold)
    return Segmenter(network, Card(version="bright"), torch.device("cpu"))


def page_of(folder: Path, pairs: list[Pair], names: list[str], *, frames: int = 2) -> str:
    page = EvaluationPage(folder, title="<b>ut & dried")
    for number, name in enumerate(names):
        segmenter = bright(0.45 + 2 * number)  # the second one sees nothing
        page.add(segmenter, evaluate(segmenter, pairs), name=name, frames=frames)
    assert page.write() == folder / "index.html"
    return (folder / "index.html").read_text(encoding="utf-8")


def test_the_worst_frames_come_first_and_only_as_many_as_asked_for(
    tmp_path: Path, pairs: list[Pair]
) -> None:
    text = page_of(tmp_path / "new/page", pairs, ["one"])

    shown = re.findall(r"<h3>(.*?)</h3>", text)
    assert len(shown) == 2
    assert shown[0] == "a b#_02.jpg"


def test_every_picture_lies_next_to_the_page_and_is_of_the_size_that_it_says(
    tmp_path: Path, pairs: list[Pair]
) -> None:
    text = page_of(tmp_path, pairs, ["one", "two"])

    found = re.findall(r'<img src="(.*?)" alt="(.*?)" width="(.*?)" height="(.*?)">', text)
    views = [alt.rpartition(", ")[2] for _, alt, *_ in found]
    assert views == ["photo", "mask", "truth", "error"] * 8
    assert {alt.rpartition(", ")[0] for _, alt, *_ in found} <= {p.image.name for p in pairs}
    assert len({link for link, *_ in found}) == len(found) == 32
    for link, _, width, height in found:
        with Image.open(tmp_path / unquote(link)) as picture:
            assert picture.size == (int(width), int(height)) == (120, 80)


def test_the_page_asks_for_nothing_from_elsewhere_and_runs_nothing(
    tmp_path: Path, pairs: list[Pair]
) -> None:
    text = page_of(tmp_path, pairs, ["one"])

    assert not re.search(r"https?:|//|<script|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text


def test_checkpoints_stand_side_by_side_with_the_better_one_in_bold(
    tmp_path: Path, pairs: list[Pair]
) -> None:
    text = page_of(tmp_path, pairs, ["good", "blind"])

    assert "<th>figure</th><th>good</th><th>blind</th>" in text
    assert re.search(r"<td>dice_worst</td><td><b>0\.\d+</b></td><td>0</td>", text)
    assert re.search(r"<td>hausdorff_95_px_mean</td><td><b>[\d.]+</b></td><td>144.222</td>", text)
    assert "<td>frames</td><td>3</td><td>3</td>" in text
    assert text.count("<summary>By angle</summary>") == 2


def test_titles_and_names_are_text_and_never_markup(tmp_path: Path, pairs: list[Pair]) -> None:
    text = page_of(tmp_path, pairs, ["<i>1"])

    assert "<h1>&lt;b&gt;ut &amp; dried</h1>" in text
    assert "<th>&lt;i&gt;1</th>" in text
    assert "<i>" not in text
