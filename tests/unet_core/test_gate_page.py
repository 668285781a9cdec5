"""A night's report, for eyes and for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.carvana import disc, picture_of, write_frame
from unet_core.checkpoint import Card
from unet_core.data import Pair, find_pairs
from unet_core.gate import Compared, Figures, SliceRow, Verdict
from unet_core.gate_page import (
    SHOWN,
    for_programs,
    write_page,
    write_pictures,
    write_report,
)
from unet_core.model import UNet
from unet_core.segment import Segmenter

VERDICT = Verdict(
    promote=False,
    reason="the slice paint <red> lost 0.0052 Dice",
    told_by="paint <red>",
    gain=-0.001,
    interval=(-0.002, 0.0005),
    boundary_gain=-0.01,
    champion={"dice_mean": 0.99123, "dice_worst": 0.98},
    candidate={"dice_mean": 0.99023, "dice_worst": 0.97},
    slices=[
        SliceRow("paint <red>", 8, 2, 0.9912, 0.9860, -0.0052),
        SliceRow("size large", 4, 1, 0.9900, 0.9925, 0.0025),
        SliceRow("angle 03", 4, 4, 0.9, 0.95, 0.05),
    ],
    learned=["golf/01.jpg"],
    not_learned=["van & co/02.jpg", "van & co/03.jpg"],
    times_as_long=1.04,
)


def page(folder: Path, verdict: Verdict = VERDICT) -> str:
    path = write_page(folder, verdict, title="night & day", pictures=["<h3>the worst</h3>"])
    return path.read_text()


def test_the_page_gives_the_verdict_with_all_figures_and_shows_what_it_was_told(
    tmp_path: Path,
) -> None:
    text = page(tmp_path)
    assert "Refused: the slice paint &lt;red&gt; lost 0.0052 Dice" in text
    assert "<td>dice_mean</td><td>0.99123</td><td>0.99023</td>" in text
    assert "Dice by car -0.00100, 95 % interval -0.00200 to +0.00050" in text
    assert "boundary F -0.0100; 1.04 times as long" in text
    assert "<title>night &amp; day</title>" in text
    assert "<h3>the worst</h3>" in text
    assert "Promoted: " in page(tmp_path, replace(VERDICT, promote=True))


def test_corrections_are_listed_as_learned_and_not(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert "<b>Right now</b> (1): golf/01.jpg" in text
    assert "<b>Not learned yet</b> (2): van &amp; co/02.jpg, van &amp; co/03.jpg" in text
    none = page(tmp_path, replace(VERDICT, learned=[]))
    assert "<b>Right now</b> (0): none" in none


def test_bars_go_left_for_a_loss_right_for_a_gain_and_never_out_of_their_box(
    tmp_path: Path,
) -> None:
    bars = re.findall(r'class=(\w+) style="left:([\d.]+)%;width:([\d.]+)%"', page(tmp_path))
    assert bars == [("down", "24.0", "26.0"), ("up", "50.0", "12.5"), ("up", "50.0", "50.0")]


def test_the_page_needs_neither_network_nor_script(tmp_path: Path) -> None:
    assert not re.search(r"https?:|<script|@import|<link", page(tmp_path))


@pytest.fixture
def pairs(tmp_path: Path) -> Iterator[list[Pair]]:
    """A frame each of more cars than are shown."""
    for number in range(SHOWN + 2):
        mask = disc(64, 96, centre=(32, 40 + number), radius=14)
        write_frame(tmp_path / "data", f"car{number}_01", mask, picture_of(mask, seed=number))
    yield find_pairs(tmp_path / "data")


def constant(bias: float) -> Segmenter:
    """A network that takes everything for car, or nothing."""
    network = UNet(width=4, depth=2, fold=2, norm="batch")
    parameters = list(network.parameters())
    for parameter in parameters:
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(parameters[-1], bias)
    return Segmenter(network, Card(version="v", long_side_px=96), torch.device("cpu"))


def test_the_frames_that_changed_most_are_shown_with_both_networks_errors(
    tmp_path: Path, pairs: list[Pair]
) -> None:
    gains = [0.01 * number * (-1) ** number for number in range(len(pairs))]
    frames = [
        (Compared("holdout", p.car, p.image.name, Figures(0.8, 0), Figures(0.8 + gain, 0)), p)
        for p, gain in zip(pairs, gains, strict=True)
    ]
    rows = write_pictures(tmp_path, constant(-20.0), constant(20.0), frames)
    shown = [re.findall(r"<h3>(\w+)/", row)[0] for row in rows]
    assert shown == [f"car{number}" for number in range(SHOWN + 1, 1, -1)]
    assert "car7/car7_01.jpg (holdout): 0.8000 → 0.7300" in rows[0]
    named = re.findall(r'src="([^"]+)"', "".join(rows))
    assert set(named) == {path.name for path in tmp_path.glob("*.jpg")}
    red, blue = (
        np.asarray(Image.open(tmp_path / f"1-{name}-whole.jpg")).astype(int).mean((0, 1))
        for name in ("candidate", "champion")
    )
    assert red[0] > red[2] + 20, "the candidate takes all of the wall for car"
    assert blue[2] > blue[0], "the champion misses the car"


def test_the_report_for_programs_is_whole_and_says_all_of_the_verdict(tmp_path: Path) -> None:
    facts = {"reason": "é", "verdict": for_programs(VERDICT)}
    path = write_report(tmp_path, "refused", facts)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert (found["outcome"], found["reason"]) == ("refused", "é")
    assert found["verdict"]["told_by"] == "paint <red>"
    assert found["verdict"]["slices"][0] == {
        "name": "paint <red>", "frames": 8, "cars": 2,
        "champion": 0.9912, "candidate": 0.9860, "gain": -0.0052,
    }  # fmt: skip
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_a_report_that_cannot_be_told_leaves_no_mark_that_the_run_is_over(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_report(tmp_path, "refused", {"reason": object()})
    assert list(tmp_path.iterdir()) == []
