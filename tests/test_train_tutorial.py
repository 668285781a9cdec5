"""The tutorial's commands, from their options: what they write, print and refuse."""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch
from rich.console import Console

from tests.carvana import write_cars
from unet_core.checkpoint import load_checkpoint
from unet_core.data import is_holdout
from unet_core.segment import Segmenter
from unet_core.tutorial import load_weights

SCRIPTS = Path(__file__).parent.parent / "scripts"
CARS = [f"car{number}" for number in range(12)]
SMALL = ["--batch", "4", "--image-size", "16", "--workers", "0", "--device", "cpu"]
WRITTEN = {"curves.png", "curves-zoom.png", "examples.png", "history.json", "tutorial", "unet.pth"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert 0 < sum(map(is_holdout, CARS)) < len(CARS)
    return write_cars(tmp_path_factory.mktemp("data"), CARS, frames=1, size=(32, 48))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return import_module("train_tutorial")


def command(script: ModuleType, name: str, *arguments: str) -> tuple[int, str]:
    """Exit code and what is said of ``run`` or ``evaluate``."""
    parser = argparse.ArgumentParser()
    (script.add_arguments if name == "run" else script.add_evaluate_arguments)(parser)
    said = io.StringIO()
    code = getattr(script, name)(parser.parse_args(arguments), Console(file=said, width=500))
    return code, said.getvalue()


def test_a_run_from_the_command_line_writes_all_and_is_measured_again(
    data: Path, script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "train_tutorial.py"), str(data), "--out", str(out),
         "--limit", "11", "--epochs", "1", *SMALL],
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {path.name for path in out.iterdir()} == WRITTEN
    said = " ".join(done.stderr.split())
    assert "9 pictures to train on, 1 to validate, 1 to test" in said
    assert "frames of one car lie on both sides" in said
    assert "epoch 1: training loss" in said
    history = json.loads((out / "history.json").read_text())
    assert (len(history["epochs"]), history["pictures"]) == (1, 9)

    drawn = (out / "examples.png").read_bytes()
    (out / "examples.png").unlink()
    code, _ = command(
        script, "evaluate", str(data), "--weights", str(out / "unet.pth"), "--limit", "11",
        "--json", *SMALL,
    )  # fmt: skip
    assert code == 0
    figures = json.loads(capsys.readouterr().out)
    kept = {name: history[name] for name in ("test_loss", "test_dice")}
    assert figures == {"pictures": 1, **kept}
    assert (out / "examples.png").read_bytes() == drawn


def test_by_car_keeps_the_holdout_out_and_its_checkpoint_sees_squashed_pictures(
    data: Path, script: ModuleType, tmp_path: Path
) -> None:
    code, said = command(
        script, "run", str(data), "--by-car", "--minutes", "0", "--out", str(tmp_path),
        "--version", "base", *SMALL,
    )  # fmt: skip
    assert code == 0, said
    assert "frames of one car" not in said
    network, card = load_checkpoint(tmp_path / "base")
    holdout = sorted(filter(is_holdout, CARS))
    assert card.holdout == holdout
    assert (card.recipe["pictures"], card.recipe["limit_seconds"]) == (4, 0)
    assert f"(pictures: {len(holdout)}, cars: {len(holdout)})" in said
    history = json.loads((tmp_path / "history.json").read_text())
    assert card.metrics == {name: history[name] for name in ("test_loss", "test_dice")}
    saved = load_weights(tmp_path / "unet.pth").bottle_neck.conv_op[0].weight
    assert torch.equal(network.bottle_neck.conv_op[0].weight, saved.half().float())
    pixels = torch.zeros(32, 48, 3, dtype=torch.uint8).numpy()
    assert Segmenter(network, card, torch.device("cpu")).prepare(pixels).shape == (16, 16, 3)


def test_by_car_tests_on_the_cars_of_a_list(data: Path, script: ModuleType, tmp_path: Path) -> None:
    listed = tmp_path / "holdout.txt"
    listed.write_text("car3\ncar7\n")
    wanted = ["run", str(data), "--holdout", str(listed), "--minutes", "0", *SMALL]
    code, said = command(script, *wanted, "--out", str(tmp_path))
    assert code == 2
    assert "give --by-car as well" in said
    code, said = command(script, *wanted, "--by-car", "--out", str(tmp_path))
    assert code == 0, said
    assert load_checkpoint(tmp_path / "tutorial")[1].holdout == ["car3", "car7"]


def test_a_finished_run_is_not_overwritten(data: Path, script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "tutorial").mkdir()
    code, said = command(script, "run", str(data), "--out", str(tmp_path), *SMALL)
    assert code == 2
    assert "is there already; choose another --out or --version" in said


def test_too_few_pictures_are_refused(data: Path, script: ModuleType, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    code, said = command(script, "run", str(data), "--out", out, "--limit", "3", *SMALL)
    assert (code, "3 pictures are too few" in said) == (2, True)
    assert not Path(out).exists()


def test_a_missing_matplotlib_is_said_before_training(
    data: Path, script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    out = tmp_path / "out"
    code, said = command(script, "run", str(data), "--out", str(out), *SMALL)
    assert (code, "pip install '.[train]'" in said) == (2, True)
    assert not out.exists()


def test_diverged_training_ends_with_exit_code_1(
    data: Path, script: ModuleType, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, said = command(
        script, "run", str(data), "--out", str(out), "--learning-rate", "1e30", *SMALL
    )
    assert code == 1
    assert "the loss is" in said
    assert not (out / "unet.pth").exists()


def test_wrong_weights_are_refused_by_name(data: Path, script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "unet.pth").write_text("no weights")
    code, said = command(
        script, "evaluate", str(data), "--weights", str(tmp_path / "unet.pth"), *SMALL
    )
    assert (code, "unet.pth is no plain state dict" in said) == (2, True)


@pytest.mark.parametrize("option", ["--limit", "--epochs", "--batch", "--image-size"])
def test_a_count_below_1_is_refused(
    option: str, script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(script, "run", "data", option, "0")
    assert f"{option}: '0' is no whole number of 1 or more" in capsys.readouterr().err
