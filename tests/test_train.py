"""scripts/train.py from its command line: what it learns from, leaves behind, and survives."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.carvana import write_cars
from unet_core.checkpoint import read_card
from unet_core.data import is_holdout

SCRIPTS = Path(__file__).parent.parent / "scripts"
CARS = [f"car{number}" for number in range(12)]
QUICK = [
    *("--steps", "4", "--measure-every", "2", "--batch", "2", "--crop", "64", "96"),
    *("--network", "width=4,depth=2,encoder=plain", "--workers", "0", "--device", "cpu"),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_cars(tmp_path / "data", CARS, frames=1)
    return tmp_path / "data"


def command(script: str, *arguments: str) -> list[str]:
    return [sys.executable, str(SCRIPTS / script), *arguments]


def run(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(script, *arguments),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_checkpoint_is_trained_measured_on_other_cars_and_measured_again(data: Path) -> None:
    done = run(data.parent, "train.py", "data", "--version", "tiny", *QUICK)

    assert done.returncode == 0, done.stderr
    card = read_card(data.parent / "runs/checkpoints/tiny")
    assert card.holdout == sorted(filter(is_holdout, CARS))
    assert 0 < len(card.holdout) < len(CARS)
    assert not set(card.recipe["validation"]) & set(card.holdout)
    assert [row["step"] for row in card.recipe["curve"]] == [2, 4]
    left = {path.name for path in (data.parent / "runs/tiny").iterdir()}
    assert left == {"state.pt", "tensorboard", "curves.png", "curves-zoom.png"}
    options = ["data", "--checkpoint", "runs/checkpoints/tiny", "--device", "cpu", "--json"]
    again = run(data.parent, "evaluate.py", *options)
    assert again.returncode == 0, again.stderr
    figures = json.loads(again.stdout)
    assert {name: figures[name] for name in card.metrics} == card.metrics


@pytest.mark.timeout(300)  # three times a start of torch, one after the other
def test_killed_in_mid_run_and_started_again_it_ends_in_the_same_checkpoint(data: Path) -> None:
    options = ["../data", "--version", "tiny", *QUICK, "--steps", "40"]
    whole, cut = data.parent / "whole", data.parent / "cut"
    whole.mkdir()
    cut.mkdir()
    assert run(whole, "train.py", *options).returncode == 0

    with subprocess.Popen(
        command("train.py", *options), cwd=cut, stderr=subprocess.DEVNULL
    ) as process:
        state, deadline = cut / "runs/tiny/state.pt", time.monotonic() + 100
        while not state.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
    assert state.exists() and not (cut / "runs/checkpoints").exists(), "killed in mid-run"
    resumed = run(cut, "train.py", *options)
    assert resumed.returncode == 0, resumed.stderr

    ours, theirs = (read_card(folder / "runs/checkpoints/tiny") for folder in (cut, whole))
    assert ours.metrics == theirs.metrics
    assert ours.sha256 == theirs.sha256
    assert ours.recipe["curve"] == theirs.recipe["curve"]


def test_the_holdout_list_is_written_once_and_kept_to(data: Path) -> None:
    (data.parent / "runs").mkdir()
    (data.parent / "runs/holdout.txt").write_text("car3\n", encoding="utf-8")

    assert run(data.parent, "train.py", "data", "--version", "tiny", *QUICK).returncode == 0

    assert read_card(data.parent / "runs/checkpoints/tiny").holdout == ["car3"]
    assert (data.parent / "runs/holdout.txt").read_text(encoding="utf-8") == "car3\n"


def test_a_picture_that_cannot_be_used_is_named_before_training(data: Path) -> None:
    (data / "train/car5_01.jpg").write_bytes(b"no picture")

    strict = run(data.parent, "train.py", "data", "--version", "tiny", "--strict", *QUICK)
    assert strict.returncode == 2
    assert "car5_01.jpg" in strict.stderr
    assert not (data.parent / "runs/tiny/state.pt").exists()
    skipping = run(data.parent, "train.py", "data", "--version", "tiny", *QUICK)
    assert skipping.returncode == 0, skipping.stderr
    assert "skipped: train/car5_01.jpg" in skipping.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["nowhere"], "Carvana layout"),
        (["data", "--network", "widht=3"], "widht"),
        (["data", "--init", "nowhere"], "nowhere"),
    ],
)
def test_wrong_usage_is_refused_with_exit_code_2(
    data: Path, options: list[str], reason: str
) -> None:
    done = run(data.parent, "train.py", *options, "--version", "x")

    assert done.returncode == 2
    assert reason in done.stderr


def test_the_tutorials_recipe_is_one_of_its_own(data: Path) -> None:
    done = run(data.parent, "train.py", "--recipe", "tutorial", "--help")

    assert done.returncode == 0
    assert "--limit" in done.stdout and "--epochs" in done.stdout
