"""scripts/robustness.py and scripts/outside.py from their command lines."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.bright import bright_network
from tests.carvana import write_cars
from unet_core.changes import CHANGES
from unet_core.checkpoint import Card, save_checkpoint

SCRIPTS = Path(__file__).parent.parent / "scripts"
Run = Callable[..., int]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a script beside ``data``, three cars, with a checkpoint that knows bright discs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write_cars(tmp_path / "data", ["a", "b", "c"], frames=3)
    save_checkpoint(tmp_path / "good", bright_network(), Card(version="good", holdout=["a", "b"]))

    def run(script: str, *arguments: str) -> int:
        spec = importlib.util.spec_from_file_location(f"{script}_command", SCRIPTS / f"{script}.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        options = ["--checkpoint", "good", "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", [f"{script}.py", *options, *arguments])
        return int(module.main())

    return run


def test_cars_of_the_holdout_list_are_changed_and_measured_against_the_truth(
    command: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("robustness", "data", "--frames", "1", "--json") == 0

    found = json.loads(capsys.readouterr().out)
    assert [row["change"] for row in found["changes"]] == ["plain", *CHANGES]
    frames = list(dict.fromkeys(result["frame"] for result in found["results"]))
    assert frames == ["a_01.jpg", "b_01.jpg"]
    flipped = next(row for row in found["changes"] if row["change"] == "flipped")
    assert flipped["frames"] == 2
    assert flipped["dice_mean"] > 0.99
    assert flipped["dice_truth_mean"] > 0.95


def test_photos_without_labels_are_measured_too_and_shown_on_a_page(
    command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = ["data/train", "--cars", "c", "--frames", "1", "--page", "page"]

    assert command("robustness", *photos) == 0

    out, err = capsys.readouterr()
    assert "good, 1 frames" in out
    assert "Dice to truth" not in out
    assert "page/index.html" in err
    text = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert text.count("<figure>") == 1 + len(CHANGES)


def test_a_mask_of_another_size_than_its_picture_is_skipped_with_the_cure(
    command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = next((tmp_path / "data/train_masks").glob("a_01_mask.*"))
    Image.new("L", (20, 10)).save(mask)

    assert command("robustness", "data", "--frames", "1", "--json") == 1

    out, err = capsys.readouterr()
    assert {result["frame"] for result in json.loads(out)["results"]} == {"b_01.jpg"}
    assert "skipped:" in err
    assert "draw the mask again on the upright picture" in " ".join(err.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere holds no .jpg"),
        (["data", "--cars", "c"], "data has no car 'c'"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_its_cause(
    command: Run, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("robustness", *arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_photo_from_elsewhere_gets_its_figures_and_the_lines_verdict(
    command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("outside", "data", "--page", "page", "--json") == 0

    photos = json.loads(capsys.readouterr().out)["photos"]
    assert len(photos) == 9
    assert all(0.05 < look["area"] < 0.3 and look["pieces"] == 1 for look in photos)
    assert {look["verdict"] for look in photos} <= {"nothing to flag", "low-confidence"}
    assert (tmp_path / "page/index.html").read_text(encoding="utf-8").count("<figure>") == 36


def test_a_photo_that_shows_nothing_and_one_that_cannot_be_read_are_told_apart(
    command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data/train/a_01.jpg").write_bytes(b"no picture")
    save_checkpoint(tmp_path / "blind", bright_network(threshold=2), Card(version="blind"))

    assert command("outside", "data", "--checkpoint", "blind") == 1

    out, err = capsys.readouterr()
    assert "skipped: 'a_01.jpg'" in err
    assert "train/a_01.jpg" not in out
    assert out.count("nothing-found") == 8
