"""Nights that were cut off or went wrong, and what the next one makes of them."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import torch

from tests.worker.night.nights import (
    QUICK,
    TINY,
    report,
    shelve,
    store,
)
from unet_core.checkpoint import WEIGHTS, load_checkpoint
from unet_core.model import UNet
from unet_core.retraining import read_plan
from unet_core.training import State
from worker.corrections.shelf import FOLDER
from worker.crew import environment
from worker.errors import ModelError
from worker.night.material import NightOptions
from worker.night.retrain import retrain
from worker.settings import Settings


@pytest.mark.timeout(300)
def test_a_candidate_that_was_rolled_back_before_its_report_is_not_promoted_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelve(settings, range(8))
    models = store(settings)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("worker.night.retrain.write_page", interrupted)
        retrain(settings, TINY, now=lambda: datetime(2026, 11, 25))
    assert models.champion().name == "night-2026-11-25"
    models.rollback()

    night = retrain(settings, TINY)

    assert night.outcome == "refused"
    assert night.reason == "night-2026-11-25 was champion, and first was brought back meanwhile"
    assert models.champion().name == "first"
    corrections = report(night.folder)["corrections"]
    assert isinstance(corrections, list)
    assert len(corrections) == 8, "the same again would end the same"


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_loss_that_is_no_number_leaves_the_champion_and_says_so(settings: Settings) -> None:
    shelve(settings, range(8))
    wild = NightOptions(replay=4, booths=0, steps=30, batch=2, crop=(64, 96), learning_rate=1e30)
    night = retrain(settings, wild)
    assert night.outcome == "failed"
    assert "the loss is" in night.reason
    assert report(night.folder)["outcome"] == "failed"
    assert store(settings).champion().name == "first"
    assert retrain(settings, TINY).outcome == "skipped", "the same again would end the same"


def cut_off(settings: Settings, steps: int) -> Path:
    """The folder of a night that was killed after so many steps."""
    left = iter(range(steps))

    def pause() -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retrain(settings, QUICK, pause=pause)
    (plan,) = (settings.state / "retraining").glob("*/plan.json")
    return plan.parent


def test_weights_that_cannot_be_read_once_cost_one_night_and_no_correction(
    settings: Settings,
) -> None:
    shelve(settings, range(8))
    weights = store(settings).champion().folder / WEIGHTS
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    night = retrain(settings, QUICK)
    assert (night.outcome, night.folder) == ("failed", None)
    assert f"{weights} has sha256" in night.reason
    weights.write_bytes(whole)
    assert retrain(settings, QUICK).outcome in ("promoted", "refused")


def test_a_device_that_is_full_costs_a_night_and_nothing_that_was_trained(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelve(settings, range(8))
    folder = cut_off(settings, 2)

    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("no 2 GiB are left")

    with monkeypatch.context() as patched:
        patched.setattr("unet_core.retraining.start", full)
        with pytest.raises(ModelError, match=r"too little memory .*no 2 GiB are left"):
            retrain(settings, QUICK)
    assert (folder / "state.pt").exists()
    assert retrain(settings, QUICK).folder == folder


def damage(state: Path) -> None:
    state.write_bytes(state.read_bytes()[:100])


def change_recipe(state: Path) -> None:
    """As an upgrade does."""
    saved = torch.load(state, weights_only=True)
    saved["recipe"]["clip_norm"] = 2.0
    torch.save(saved, state)


@pytest.mark.parametrize("harm", [damage, change_recipe])
def test_a_state_that_cannot_be_gone_on_from_is_cleared_away_and_the_next_night_begins_anew(
    settings: Settings, harm: Callable[[Path], None]
) -> None:
    shelve(settings, range(8))
    folder = cut_off(settings, 2)
    harm(folder / "state.pt")
    night = retrain(settings, QUICK)
    assert (night.outcome, night.folder) == ("failed", None)
    assert "state.pt" in night.reason
    assert "begins anew" in night.reason
    assert not folder.exists()
    assert retrain(settings, QUICK).outcome in ("promoted", "refused")


def test_a_night_that_was_cut_off_begins_anew_without_a_car_that_was_kept_out_since(
    settings: Settings,
) -> None:
    shelve(settings, range(8))
    cut_off(settings, 2)
    (settings.corrections_folder / FOLDER / "holdout.txt").write_text("blue0\n")
    night = retrain(settings, QUICK)
    assert night.folder
    plan = read_plan(night.folder)
    assert plan
    assert "blue0" not in {picture.car for picture in plan.pictures}


def test_weights_that_are_no_numbers_in_half_precision_end_a_night_for_good(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelve(settings, range(8))
    monkeypatch.setattr("unet_core.retraining.train", overflown)
    night = retrain(settings, QUICK)
    assert night.outcome == "failed"
    assert "half precision" in night.reason
    assert retrain(settings, QUICK).outcome == "skipped"


def overflown(state: State, *_: object, **__: object) -> UNet:
    """A training that drove every weight beyond half precision."""
    for parameter in state.average.parameters():
        parameter.data.fill_(1e5)
    return state.average


@pytest.mark.line
@pytest.mark.timeout(600)
def test_killed_at_random_moments_the_store_is_valid_and_the_night_ends_all_the_same(
    settings: Settings,
) -> None:
    shelve(settings, range(8))
    command = [
        *(sys.executable, "-W", "ignore", "-m", "worker.night.cli", "--steps", "80"),
        *("--pictures", "8", "--booths", "0", "--crop", "64", "96", "--batch", "2", "--json"),
    ]
    rng, runs = random.Random(4), settings.state / "retraining"
    struck = tries = 0
    while struck < 3:
        tries += 1
        assert tries <= 40
        for ended in runs.glob("*/report.json"):
            shutil.rmtree(ended.parent)  # else there would be nothing more to kill
        process = subprocess.Popen(
            command, env=os.environ | environment(settings, ""), stdout=subprocess.PIPE, text=True
        )
        lock, began = settings.model_store / ".retraining.lock", time.monotonic()
        while not _is_held(lock) and process.poll() is None and time.monotonic() - began < 60:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 3))
        struck += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        champion = store(settings).champion()
        load_checkpoint(champion.folder)
        for version in store(settings).versions():
            load_checkpoint(version.folder)
    finished = subprocess.run(
        command,
        env=os.environ | environment(settings, ""),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    done = json.loads(finished.stdout)
    (folder,) = (path.parent for path in runs.glob("*/report.json"))
    assert report(folder)["outcome"] in ("promoted", "refused")
    assert done["outcome"] in ("promoted", "refused", "skipped")
    assert len(list(runs.glob("*/plan.json"))) == 1
    load_checkpoint(store(settings).champion().folder)


def _is_held(lock: Path) -> bool:
    if not lock.exists():
        return False
    with lock.open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
