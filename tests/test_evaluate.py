"""scripts/evaluate.py from its command line: which cars, which outputs, which exit codes."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.bright import bright_network
from tests.carvana import write_cars
from unet_core.checkpoint import Card, save_checkpoint
from unet_core.data import find_pairs
from unet_core.evaluation import evaluate as measure_all
from unet_core.evaluation import summary
from unet_core.segment import Segmenter
from unet_core.store import SHIPPED, ModelStore

SCRIPTS = Path(__file__).parent.parent / "scripts"
OURS = ModelStore(SHIPPED).champion().name
Run = Callable[..., int]


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in a folder with ``data``: three cars of four angles each, upon the CPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(SCRIPTS)
    monkeypatch.setenv("COLUMNS", "200")
    write_cars(tmp_path / "data", ["a", "b", "c"], frames=4)
    spec = importlib.util.spec_from_file_location("evaluate_command", SCRIPTS / "evaluate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "evaluate_command", module)
    spec.loader.exec_module(module)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *arguments, "--device", "cpu"])
        return int(module.main())

    return run


@pytest.fixture
def good(tmp_path: Path) -> str:
    """A checkpoint that knows bright discs and has a and b on its holdout list."""
    card = Card(version="good", holdout=["a", "b", "elsewhere"])
    save_checkpoint(tmp_path / "good", bright_network(), card)
    return "good"


@pytest.fixture
def blind(tmp_path: Path) -> str:
    """A checkpoint that sees nothing, with b and c on its holdout list."""
    card = Card(version="blind", holdout=["b", "c"])
    save_checkpoint(tmp_path / "blind", bright_network(threshold=2), card)
    return "blind"


def spoil(picture: str) -> None:
    Path("data/train", picture).write_bytes(b"no picture")


def cells(lines: list[str], first: str) -> list[str]:
    """The cells of the one row of a table that begins with ``first``."""
    rows = [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in lines]
    (row,) = [row for row in rows if row[:1] == [first]]
    return row


def test_only_cars_on_the_holdout_list_are_measured(
    evaluate: Run, good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("data", "--checkpoint", good, "--json") == 0

    out, err = capsys.readouterr()
    figures = json.loads(out)
    assert figures["version"] == "good"
    assert list(figures["dice"]) == [f"{car}_{n:02}.jpg" for car in "ab" for n in range(1, 5)]
    assert (figures["frames"], figures["cars"]) == (8, 2)
    assert figures["dice_worst"] == min(figures["dice"].values()) > 0.95
    assert list(figures["by_car"]) == ["a", "b"]
    assert figures["by_angle"]["4"]["frames"] == 2
    assert sum(row["pixels"] for row in figures["reliability"]) == 8 * 64 * 96
    assert figures["milliseconds_median"] > 0
    assert err == ""


def test_the_figures_of_a_card_are_measured_again(
    evaluate: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rounded = bright_network(threshold=0.6).half().float()
    card = Card(version="v1", holdout=["a", "c"])
    holdout = [pair for pair in find_pairs(Path("data")) if pair.car in card.holdout]
    scores = measure_all(Segmenter(rounded, card, torch.device("cpu")), holdout)
    card = card.model_copy(update={"metrics": summary(scores)})
    save_checkpoint(tmp_path / "v1", rounded, card)

    assert evaluate("data", "--checkpoint", "v1", "--json") == 0

    figures = json.loads(capsys.readouterr().out)
    assert {name: figures[name] for name in card.metrics} == card.metrics


def test_checkpoints_are_compared_on_cars_that_none_of_them_saw(
    evaluate: Run, good: str, blind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("data", "--checkpoint", good, "--checkpoint", blind, "--json") == 0

    found = json.loads(capsys.readouterr().out)["checkpoints"]
    assert [each["version"] for each in found] == ["good", "blind"]
    assert [list(each["by_car"]) for each in found] == [["b"], ["b"]]
    assert found[0]["dice_mean"] > 0.95 > found[1]["dice_mean"] == 0


def test_one_table_has_a_column_for_each_checkpoint(
    evaluate: Run, good: str, blind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("data", "--checkpoint", good, "--checkpoint", blind, "--by", "angle") == 0

    lines = capsys.readouterr().out.splitlines()
    assert cells(lines, "figure") == ["figure", "good", "blind"]
    assert cells(lines, "dice_worst")[2] == "0"
    assert float(cells(lines, "dice_worst")[1]) > 0.95
    assert sum("by angle" in line for line in lines) == 2


def test_all_measures_every_car_and_says_how_many_frames_flatter(
    evaluate: Run, good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("data", "--checkpoint", good, "--json", "--all") == 0

    out, err = capsys.readouterr()
    assert json.loads(out)["frames"] == 12
    assert "4 of 12 frames" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not in the Carvana layout"),
        (["data"], f"no car of data is on the holdout list of {OURS}; --all measures"),
        (["data", "--checkpoint", "data"], "data is no checkpoint"),
        (["data", "--checkpoint", "good", "--checkpoint", "./good"], "given twice"),
        (["data", "--checkpoint", "good", "--cars", "a,z"], "data has no car 'z'"),
        (["data", "--checkpoint", "good", "--cars", "a,c"], "'c' is not on the holdout list"),
        (["data", "--checkpoint", "good", "--csv", "none/x.csv"], "none/x.csv"),
        (["data", "--checkpoint", "good", "--page", "data/train/a_01.jpg"], "a_01.jpg"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_its_cause(
    evaluate: Run,
    good: str,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert evaluate(*arguments) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert message in " ".join(err.split())


@pytest.mark.parametrize("count", ["0", "-1", "x"])
def test_a_count_below_1_is_refused(
    evaluate: Run, count: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        evaluate("data", f"--frames={count}")

    assert ended.value.code == 2
    assert "is no whole number of 1 or more" in capsys.readouterr().err


def test_named_cars_and_few_frames_make_a_quick_look(
    evaluate: Run, good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--cars", "c,a", "--frames", "2", "--all"]
    assert evaluate("data", "--checkpoint", good, *quick, "--json") == 0

    out, err = capsys.readouterr()
    assert list(json.loads(out)["dice"]) == ["a_01.jpg", "a_03.jpg", "c_01.jpg", "c_03.jpg"]
    assert "2 of 4 frames" in err


def test_a_picture_that_cannot_be_read_is_named_once_skipped_and_exit_code_1(
    evaluate: Run, good: str, blind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil("b_02.jpg")

    assert evaluate("data", "--checkpoint", good, "--checkpoint", blind, "--json") == 1

    out, err = capsys.readouterr()
    for found in json.loads(out)["checkpoints"]:
        assert list(found["dice"]) == ["b_01.jpg", "b_03.jpg", "b_04.jpg"]
    assert err.count("b_02.jpg") == 1


def test_where_no_picture_can_be_read_nothing_is_measured(
    evaluate: Run, good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1, 5):
        spoil(f"a_{number:02}.jpg")

    assert evaluate("data", "--checkpoint", good, "--cars", "a") == 2
    assert "none of 4 pictures" in capsys.readouterr().err


def test_a_csv_file_has_a_row_a_frame_and_checkpoint(
    evaluate: Run, good: str, blind: str, tmp_path: Path
) -> None:
    assert evaluate("data", "--checkpoint", good, "--checkpoint", blind, "--csv", "rows.csv") == 0

    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["checkpoint"], row["frame"]) for row in rows] == [
        (name, f"b_{number:02}.jpg") for name in ("good", "blind") for number in range(1, 5)
    ]
    assert (rows[5]["car"], rows[5]["angle"], rows[5]["dice"]) == ("b", "2", "0.00000")
    assert float(rows[0]["boundary_f_4px"]) == 1
    assert rows[0]["openings_found"] == ""  # nothing is seen through a disc
    assert float(rows[4]["hausdorff_95_px"]) == pytest.approx(115.378, abs=1e-3)


def test_a_page_shows_the_worst_frames_of_each_checkpoint(
    evaluate: Run, good: str, blind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ["--checkpoint", good, "--checkpoint", blind]
    assert evaluate("data", *both, "--page", "page", "--worst", "3", "--json") == 0

    out, err = capsys.readouterr()
    assert json.loads(out)
    assert "page/index.html" in err
    text = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert text.count("<h3>") == 6
    assert "<h1>Masks on data</h1>" in text


def test_two_checkpoints_of_one_name_are_told_apart_by_their_folders(
    evaluate: Run, good: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = Card(version="good", holdout=["a"])
    save_checkpoint(tmp_path / "other", bright_network(threshold=0.5), card)

    assert evaluate("data", "--checkpoint", good, "--checkpoint", "other") == 0

    lines = capsys.readouterr().out.splitlines()
    assert cells(lines, "figure") == ["figure", "good", "other"]


def test_the_tutorials_recipe_has_its_own_options(
    evaluate: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(SystemExit) as ended:
        evaluate("--recipe", "tutorial", "data")
    assert ended.value.code == 2
    assert "--weights" in capsys.readouterr().err

    assert evaluate("--recipe", "tutorial", "data", "--weights", "missing.pth") == 2
    assert "missing.pth" in capsys.readouterr().err
