"""A night from beginning to end, on a tiny network."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from statistics import fmean

import pytest
import torch

from tests.parts import manifest_with, row_of, shoot_in
from tests.worker.booth.days import manifest, publish, redder
from tests.worker.night.nights import (
    QUICK,
    TINY,
    report,
    shelve,
    store,
    strange,
)
from unet_core.checkpoint import load_checkpoint, read_card
from unet_core.evaluation import cut_out
from unet_core.images import encode_png
from unet_core.metrics import dice
from unet_core.segment import Segmenter
from unet_core.store import Version
from worker.corrections.shelf import FOLDER
from worker.errors import ModelError
from worker.line.model_slot import ModelSlot
from worker.night.material import NightOptions
from worker.night.retrain import retrain
from worker.outbox.manifest import MANIFEST
from worker.settings import Settings

CPU = torch.device("cpu")
OTHERS = range(50, 56)


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
    assert {"blue0", "car3"} <= set(card.recipe["trained_on"])
    assert not set(card.recipe["trained_on"]) & set(card.holdout)
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


def test_a_night_with_nothing_to_learn_still_tells_what_changed_in_the_booth(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    publish(settings.outbox, [manifest(number) for number in range(1, 15)], first=1)
    publish(settings.outbox, [manifest(number, redder) for number in range(15, 18)], first=15)
    assert retrain(settings, TINY).outcome == "skipped"
    assert "booth: The booth has 5% more red beside green since car-015" in caplog.text
