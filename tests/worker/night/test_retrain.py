"""A night from beginning to end, on a tiny network."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from statistics import fmean

import pytest
import torch

from tests.parts import manifest_with, row_of, shoot_in
from tests.worker.booth.days import manifest, publish, redder
from tests.worker.night.nights import shelve, strange, train_champion, write_base
from unet_core.checkpoint import WEIGHTS, load_checkpoint, read_card
from unet_core.evaluation import cut_out
from unet_core.images import encode_png
from unet_core.metrics import dice
from unet_core.model import UNet
from unet_core.retraining import read_plan
from unet_core.segment import Segmenter
from unet_core.store import ModelStore, Version
from unet_core.training import State
from worker.corrections.shelf import FOLDER
from worker.crew import environment
from worker.errors import FolderError, ModelError
from worker.line.model_slot import ModelSlot
from worker.night.material import NightOptions
from worker.night.retrain import Courtesy, retrain
from worker.outbox.manifest import MANIFEST
from worker.settings import Settings

CPU = torch.device("cpu")
TINY = NightOptions(replay=10, booths=0, steps=60, batch=4, crop=(64, 96), learning_rate=5e-3)
QUICK = NightOptions(replay=2, booths=0, steps=4, batch=2, crop=(64, 96))
OTHERS = range(50, 56)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads on a tiny network wait for each other more than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base set and a store with a champion; only to copy."""
    root = tmp_path_factory.mktemp("night")
    write_base(root / "base")
    train_champion(root / "base", ModelStore(root / "state/models"), root / "run")
    return root


@pytest.fixture
def settings(studio: Path, tmp_path: Path) -> Settings:
    shutil.copytree(studio / "state", tmp_path / "state")
    (tmp_path / "inbox").mkdir()
    return Settings(
        inbox=tmp_path / "inbox",
        outbox=tmp_path / "outbox",
        state=tmp_path / "state",
        retrain_data=studio / "base",
        device="cpu",
    )


def store(settings: Settings) -> ModelStore:
    return ModelStore(settings.model_store)


def dice_on_others(version: Version) -> float:
    """Mean Dice on strange cars that nobody has corrected."""
    segmenter = Segmenter.load(version, CPU)
    frames = [strange(number) for number in OTHERS]
    return fmean(dice(cut_out(segmenter, pixels), mask) for pixels, mask in frames)


def deliver(settings: Settings, numbers: range) -> None:
    """Strange cars as shoots in inbox and outbox, a frame each."""
    for number in numbers:
        photo = settings.inbox / f"car-{number}" / "01.png"
        photo.parent.mkdir()
        photo.write_bytes(encode_png(strange(number)[0]))
        (frame,) = shoot_in(settings.inbox, f"car-{number}").frames
        folder = settings.outbox / f"car-{number}"
        folder.mkdir(parents=True)
        manifest = manifest_with(f"car-{number}", [row_of(frame.source)])
        (folder / MANIFEST).write_text(manifest.model_dump_json())


def report(folder: Path | None) -> dict[str, object]:
    assert folder
    found: dict[str, object] = json.loads((folder / "report.json").read_text())
    return found


@pytest.mark.timeout(300)
def test_what_was_corrected_on_some_cars_is_right_on_others_the_next_morning(
    settings: Settings,
) -> None:
    slot = ModelSlot(store(settings), CPU)  # a worker that runs all the while
    champion = store(settings).champion()
    before = dice_on_others(champion)
    shelve(settings, range(8))
    deliver(settings, OTHERS)

    night = retrain(settings, TINY, now=lambda: datetime(2026, 11, 25))

    assert (night.outcome, store(settings).champion().name) == ("promoted", "night-2026-11-25")
    after = dice_on_others(store(settings).champion())
    assert before < 0.8 < 0.9 < after
    found = report(night.folder)["verdict"]
    assert isinstance(found, dict)
    assert found["candidate"]["dice_mean"] >= found["champion"]["dice_mean"] - 0.0003
    assert len(found["learned"]) == 8
    assert slot.refresh()
    assert slot.current.card.version == "night-2026-11-25"
    card = read_card(store(settings).champion().folder)
    assert (card.parent, card.holdout) == ("first", ["car0", "car1", "car2"])
    assert night.folder
    page = (night.folder / "report.html").read_text()
    assert "Promoted: holdout" in page
    assert "blue0/blue0_01.png" in page
    week = report(night.folder)["last_week"]
    assert isinstance(week, dict)
    assert (week["frames"], week["shoots"]) == (len(OTHERS), len(OTHERS))
    assert week["largest"][0]["dice"] < 0.9, "blue cars were nothing to the champion"
    assert f"{week['largest'][0]['shoot']}/01: Dice" in page
    assert report(night.folder)["booth"] == {"shoots": 0, "findings": []}
    assert "0 of the 15 shoots that are needed to tell" in page
    again = retrain(settings, TINY)
    assert (again.outcome, again.reason[:17]) == ("skipped", "0 new corrections")


@pytest.mark.timeout(300)
def test_a_candidate_is_refused_when_another_was_promoted_meanwhile_and_its_corrections_stay_new(
    settings: Settings,
) -> None:
    shelve(settings, range(8))
    models = store(settings)
    network, card = load_checkpoint(models.champion().folder)
    network.get_parameter("out.bias").data.add_(0.01)

    def promote_another() -> None:
        if models.champion().name == "first":
            models.publish(network, card.model_copy(update={"version": "by-hand"}))
            models.promote("by-hand")

    night = retrain(settings, TINY, pause=promote_another, now=lambda: datetime(2026, 11, 25))

    assert night.outcome == "refused"
    assert night.reason.startswith("by-hand was promoted meanwhile; night-2026-11-25")
    assert night.reason.endswith("cyclorama models promote night-2026-11-25")
    assert report(night.folder)["outcome"] == "refused"
    assert report(night.folder)["corrections"] == []
    assert night.folder
    assert "Refused: by-hand was promoted" in (night.folder / "report.html").read_text()
    assert models.champion().name == "by-hand"
    assert models.find("night-2026-11-25")
    assert retrain(settings, QUICK).outcome in ("promoted", "refused")


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


@pytest.mark.timeout(300)
def test_a_candidate_of_wrong_masks_is_refused_with_what_told(settings: Settings) -> None:
    shelve(settings, range(8), wrong=True)

    night = retrain(settings, replace(TINY, replay=2))

    assert night.outcome == "refused"
    found = report(night.folder)["verdict"]
    assert isinstance(found, dict)
    assert found["told_by"]
    assert found["told_by"] in night.reason
    assert found["slices"][0]["gain"] < -0.003
    assert store(settings).champion().name == "first"
    assert "Refused" in (night.folder / "report.html").read_text() if night.folder else False


def test_too_little_that_is_new_is_no_night(settings: Settings) -> None:
    shelve(settings, range(5))
    night = retrain(settings, TINY)
    assert (night.outcome, night.folder) == ("skipped", None)
    assert night.reason == "5 new corrections; 6 are worth a night"


def test_cars_that_the_studio_keeps_out_are_measured_and_never_trained_on(
    settings: Settings,
) -> None:
    shelve(settings, range(7))
    shelf = settings.corrections_folder / FOLDER
    (shelf / "holdout.txt").write_text("blue6\nblue5\n")
    assert retrain(settings, TINY).outcome == "skipped"
    shelve(settings, range(20, 21))
    alone = settings.model_copy(update={"retrain_data": None})
    quick = NightOptions(replay=0, booths=0, steps=2, batch=2, crop=(64, 96))
    night = retrain(alone, quick)
    assert night.folder
    plan = json.loads((night.folder / "plan.json").read_text())
    assert {picture["car"] for picture in plan["pictures"]} == {
        *(f"blue{number}" for number in range(5)),
        "blue20",
    }
    assert {"blue5", "blue6"} <= set(read_card(night.folder / "candidate").holdout)


def test_without_a_holdout_no_night_begins(settings: Settings) -> None:
    shelve(settings, range(8))
    with pytest.raises(ModelError, match=r"no holdout.*CYCLORAMA_RETRAIN_DATA.*holdout\.txt"):
        retrain(settings.model_copy(update={"retrain_data": None}), TINY)
    with pytest.raises(ModelError, match="nowhere is not in the Carvana layout"):
        retrain(settings.model_copy(update={"retrain_data": Path("nowhere")}), TINY)
    assert store(settings).champion().name == "first"


def test_two_are_never_at_it_on_one_store(settings: Settings) -> None:
    shelve(settings, range(8))
    with (settings.model_store / ".retraining.lock").open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert retrain(settings, TINY).outcome == "busy"


def test_a_store_without_locks_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(FolderError, match=r"has no locks.*CYCLORAMA_MODELS"):
        retrain(settings, TINY)


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


def test_it_waits_while_shoots_do() -> None:
    answers = iter([True, True, False])
    courtesy = Courtesy(lambda: next(answers), every_seconds=0.05)
    began = time.monotonic()
    courtesy()
    assert time.monotonic() - began >= 0.1
    courtesy()  # asked a moment ago: not asked again
    time.sleep(0.06)
    with pytest.raises(StopIteration):
        courtesy()


@pytest.mark.line
@pytest.mark.timeout(600)
def test_killed_at_ten_random_moments_the_store_is_valid_and_the_night_ends_all_the_same(
    settings: Settings,
) -> None:
    shelve(settings, range(8))
    command = [
        *(sys.executable, "-W", "ignore", "-m", "worker.night.cli", "--steps", "80"),
        *("--pictures", "8", "--booths", "0", "--crop", "64", "96", "--batch", "2", "--json"),
    ]
    rng, runs = random.Random(4), settings.state / "retraining"
    struck = tries = 0
    while struck < 10:
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


def test_a_night_with_nothing_to_learn_still_tells_what_changed_in_the_booth(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    publish(settings.outbox, [manifest(number) for number in range(1, 15)], first=1)
    publish(settings.outbox, [manifest(number, redder) for number in range(15, 18)], first=15)
    assert retrain(settings, TINY).outcome == "skipped"
    assert "booth: The booth has 5% more red beside green since car-015" in caplog.text
