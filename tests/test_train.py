"""scripts/train.py from its command line: what it learns from, leaves behind, and survives."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
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


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, data: Path) -> Callable[..., int]:
    """train.py in this process, on ``data``: its exit code."""
    monkeypatch.syspath_prepend(SCRIPTS)
    monkeypatch.chdir(data.parent)
    script = import_module("train")

    def run(*options: str) -> int:
        monkeypatch.setattr(sys, "argv", ["train.py", "data", *QUICK, *options])
        code: int = script.main()
        return code

    return run


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--batch", "0"], "--batch: '0' is no whole number of 1 or more"),
        (["--measure-every", "x"], "--measure-every: 'x' is no whole number"),
        (["--seed", "-1"], "no whole number from 0 to 4294967295"),
        (["--crop", "8", "8"], "no whole number of 32 or more"),
        (["--learning-rate", "nan"], "'nan' does not do; give a number, more than 0"),
        (["--rendered-share", "2"], "give a number, 0 or more, 1 at most"),
        (["--augment", "light=5"], "light is a share, from 0 to 1, not '5'"),
        (["--augment", "scales=2:1"], "scales goes from LOW to HIGH, not '2:1'"),
    ],
)
def test_a_number_that_does_not_do_is_refused_before_anything_is_read(
    train: Callable[..., int],
    options: list[str],
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        train("--version", "x", *options)
    assert reason in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--version", "a/b"], "'a/b' cannot be the name of a checkpoint"),
        (
            ["--version", "x", "--network", "width=4,depth=5,encoder=plain,norm=batch", "--batch",
             "1", "--crop", "32", "32"],
            "leave the deepest level a single value",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused(
    train: Callable[..., int],
    options: list[str],
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train(*options) == 2
    assert reason in " ".join(capsys.readouterr().err.split())


def test_a_list_without_a_car_of_the_data_is_refused(
    train: Callable[..., int], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data.parent / "runs").mkdir()
    (data.parent / "runs/holdout.txt").write_text("van\n", encoding="utf-8")
    assert train("--version", "x") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "none of the 1 cars in runs/holdout.txt is in data" in said


def test_a_network_that_was_trained_on_cars_to_measure_on_is_no_beginning(
    train: Callable[..., int], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--version", "one", "--steps", "1") == 0
    card = read_card(data.parent / "runs/checkpoints/one")
    assert sorted({*card.recipe["trained_on"], *card.holdout}) == sorted(CARS)
    capsys.readouterr()
    other = next(car for car in CARS if car not in card.holdout)
    (data.parent / "other.txt").write_text("\n".join([*card.holdout, other]), encoding="utf-8")
    init = ["--init", "runs/checkpoints/one", "--version", "two", "--steps", "1"]
    assert train(*init, "--holdout", "other.txt") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"was trained on 1 of the cars to measure on, first {other}" in said
    assert train(*init) == 0


def test_stopped_by_hand_it_says_how_to_go_on(
    train: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("train"), "train", stop)
    assert train("--version", "x") == 130
    assert "the same command goes on" in " ".join(capsys.readouterr().err.split())


def test_the_tutorials_recipe_is_one_of_its_own(data: Path) -> None:
    done = run(data.parent, "train.py", "--recipe", "tutorial", "--help")

    assert done.returncode == 0
    assert "--limit" in done.stdout and "--epochs" in done.stdout
