"""What a night learns from, and what it is measured on."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from tests.carvana import write_cars
from tests.worker.night.nights import shelve
from unet_core.gate_page import REPORT
from worker.corrections.shelf import FOLDER, Entry, Shelf
from worker.errors import ModelError
from worker.night.material import (
    BOOTH_ANGLES,
    HOLDOUT_FRAMES,
    NightOptions,
    frozen_holdout,
    kept_out_by_studio,
    labelled,
    rendered_booths,
    replayed,
    untried,
)
from worker.settings import Settings

OPTIONS = NightOptions(replay=5)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A studio with four corrected cars and a base set of three."""
    settings = Settings(
        inbox=tmp_path / "inbox",
        outbox=tmp_path / "outbox",
        state=tmp_path / "state",
        retrain_data=write_cars(tmp_path / "base", ["a", "b", "c"], frames=12, size=(32, 48)),
    )
    shelve(settings, range(4))
    return settings


def shelf(settings: Settings) -> Shelf:
    return Shelf(settings.corrections_folder / FOLDER)


def finish(runs: Path, night: str, entries: list[Entry]) -> None:
    """The report of a night that has tried these corrections."""
    (runs / night).mkdir(parents=True)
    tried = {"corrections": [entry.source.sha256 for entry in entries]}
    (runs / night / REPORT).write_text(json.dumps(tried))


def test_a_correction_is_new_until_a_finished_night_has_tried_it(
    settings: Settings, tmp_path: Path
) -> None:
    entries = shelf(settings).entries()
    finish(tmp_path / "runs", "night-1", entries[:2])
    assert untried(entries, tmp_path / "runs", set()) == entries[2:]
    (tmp_path / "runs" / "night-2").mkdir()  # begun, and not finished
    (tmp_path / "runs" / "night-2" / "plan.json").write_text("{}")
    assert untried(entries, tmp_path / "runs", set()) == entries[2:]


def test_one_that_was_drawn_anew_is_new_again(settings: Settings, tmp_path: Path) -> None:
    entries = shelf(settings).entries()
    finish(tmp_path / "runs", "night-1", entries)
    source = entries[0].source.model_copy(update={"sha256": "another"})
    again = entries[0].model_copy(update={"source": source})
    assert untried([again, *entries[1:]], tmp_path / "runs", set()) == [again]


def test_those_of_cars_that_are_kept_out_are_no_reason_for_a_night(
    settings: Settings, tmp_path: Path
) -> None:
    found = untried(shelf(settings).entries(), tmp_path / "runs", {"blue1", "blue3"})
    assert [entry.car for entry in found] == ["blue0", "blue2"]


@pytest.mark.parametrize("text", ["{", "[]", '{"outcome": "refused"}'])
def test_a_report_that_cannot_be_read_is_named_and_counts_for_nothing(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    entries = shelf(settings).entries()
    finish(tmp_path / "runs", "night-1", entries)
    (tmp_path / "runs" / "night-1" / REPORT).write_text(text)
    assert untried(entries, tmp_path / "runs", set()) == entries
    assert f"night-1/{REPORT} cannot be read" in caplog.text


def test_the_holdout_is_of_kept_out_cars_alone_and_of_few_frames_each(settings: Settings) -> None:
    found = frozen_holdout(settings, shelf(settings), {"b", "blue2"})
    cars = [pair.car for pair in found]
    assert (cars.count("b"), cars.count("blue2"), len(cars)) == (HOLDOUT_FRAMES, 1, 9)
    angles = [pair.angle for pair in found if pair.car == "b"]
    assert angles[0] == 1
    assert max(b - a for a, b in pairwise(angles)) == 2, "all around the car"


def test_without_a_kept_out_car_there_is_no_holdout_and_the_cure_names_the_list(
    settings: Settings,
) -> None:
    with pytest.raises(ModelError, match=rf"no holdout.*{FOLDER}/holdout\.txt, one a line"):
        frozen_holdout(settings, shelf(settings), {"someone else"})


def test_the_studios_list_names_the_cars_that_it_keeps_out(settings: Settings) -> None:
    assert kept_out_by_studio(settings) == set()
    (settings.corrections_folder / FOLDER / "holdout.txt").write_text("# mine\nblue1\n\nblue2\n")
    assert kept_out_by_studio(settings) == {"blue1", "blue2"}


def test_the_same_old_pictures_are_seen_every_night_and_none_of_the_holdout(
    settings: Settings,
) -> None:
    found = replayed(settings, {"b"}, OPTIONS)
    assert len(found) == 5
    assert {pair.car for pair in found} <= {"a", "c"}
    assert replayed(settings, {"b"}, OPTIONS) == found
    alone = settings.model_copy(update={"retrain_data": None})
    assert replayed(alone, set(), OPTIONS) == []


def test_booths_are_rendered_once_and_kept_from_night_to_night(tmp_path: Path) -> None:
    found = rendered_booths(tmp_path, 1, 48)
    assert len(found) == BOOTH_ANGLES
    assert all(pair.rendered for pair in found)
    with Image.open(found[0].image) as photo:
        assert photo.size == (48, 32)
    times = [pair.image.stat().st_mtime_ns for pair in found]
    assert rendered_booths(tmp_path, 1, 48) == found
    assert [pair.image.stat().st_mtime_ns for pair in found] == times
    found[2].image.unlink()  # a night was cut off while it rendered
    assert rendered_booths(tmp_path, 1, 48) == found
    assert rendered_booths(tmp_path, 0, 48) == []
    assert rendered_booths(tmp_path, 1, 24) != found, "another champion sees another size"


def test_corrections_are_pairs_of_their_own_car_that_lie_on_the_shelf(settings: Settings) -> None:
    pairs = labelled(shelf(settings), shelf(settings).entries())
    assert [pair.car for pair in pairs] == ["blue0", "blue1", "blue2", "blue3"]
    assert all(pair.image.is_file() and pair.mask.is_file() for pair in pairs)
    assert not any(pair.rendered for pair in pairs)
    pairs[1].mask.unlink()
    assert labelled(shelf(settings), shelf(settings).entries()) == [pairs[0], *pairs[2:]]
