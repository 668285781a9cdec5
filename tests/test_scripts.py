"""The commands of scripts/ that no other test runs, from their command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.carvana import write_cars
from unet_core.checkpoint import read_card
from unet_core.data import is_holdout

SCRIPTS = Path(__file__).parent.parent / "scripts"


def run(script: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / script), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_checkpoint_is_trained_measured_on_other_cars_and_measured_again(tmp_path: Path) -> None:
    cars = [f"car{number}" for number in range(12)]
    assert 0 < sum(map(is_holdout, cars)) < len(cars)
    write_cars(tmp_path / "data", cars, frames=1)
    options = ["--version", "tiny", "--steps", "2", "--batch", "2", "--crop", "64", "96"]
    trained = run("train.py", "data", *options, "--device", "cpu", folder=tmp_path)
    assert trained.returncode == 0, trained.stderr
    card = read_card(tmp_path / "runs/checkpoints/tiny")
    assert card.holdout == sorted(filter(is_holdout, cars))
    measured = run(
        "evaluate.py", "data", "--checkpoint", "runs/checkpoints/tiny", "--device", "cpu", "--json",
        folder=tmp_path,
    )  # fmt: skip
    assert measured.returncode == 0, measured.stderr
    figures = json.loads(measured.stdout)
    assert {name: figures[name] for name in card.metrics} == card.metrics


def test_wrong_data_is_refused_with_exit_code_2(tmp_path: Path) -> None:
    done = run("train.py", "nowhere", "--version", "x", folder=tmp_path)
    assert done.returncode == 2
    assert "Carvana layout" in done.stderr


def test_rendered_cars_are_labelled_and_not_rendered_twice(tmp_path: Path) -> None:
    options = ["out", "--cars", "1", "--first-seed", "8", "--width", "48"]
    assert run("render.py", *options, folder=tmp_path).returncode == 0
    photos = sorted((tmp_path / "out/train").iterdir())
    assert len(photos) == len(list((tmp_path / "out/train_masks").iterdir())) == 5
    times = [photo.stat().st_mtime_ns for photo in photos]
    assert run("render.py", *options, folder=tmp_path).returncode == 0
    assert [photo.stat().st_mtime_ns for photo in photos] == times
