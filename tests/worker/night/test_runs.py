"""A run that was cut off: gone on with, or cleared away."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from unet_core.gate_page import REPORT
from unet_core.retraining import CANDIDATE, Plan, Sibling
from unet_core.store import ModelStore, Version
from worker.night.runs import KEPT, forget_candidates, new_name, unfinished

CHAMPION = Version("first", Path("first"), "1")


def begin(runs: Path, name: str, *, parent_sha256: str = "1") -> Path:
    """A run that learns from a blue and a red car and from a rendered one."""
    cars = {"blue": False, "red": False, "booth": True}
    for car in cars:
        (runs / car).parent.mkdir(exist_ok=True)
        (runs / car).touch()
    plan = Plan(
        version=name,
        parent="first",
        parent_sha256=parent_sha256,
        corrections=["2"],
        pictures=[
            Sibling(image=runs / car, mask=runs / car, car=car, rendered=rendered)
            for car, rendered in cars.items()
        ],
        kept_out=[],
        crop=(64, 96),
        steps=20,
        batch=2,
        learning_rate=1e-4,
        rendered_share=0.0,
        seed=1,
    )
    plan.save(runs / name)
    return runs / name


def test_one_that_was_cut_off_is_gone_on_with_and_one_that_is_over_is_not(tmp_path: Path) -> None:
    (begin(tmp_path, "night-1") / REPORT).write_text("{}")
    assert unfinished(tmp_path, CHAMPION, set()) is None
    folder = begin(tmp_path, "night-2")
    assert unfinished(tmp_path, CHAMPION, {"green"}) == folder


def test_one_that_learns_from_a_car_that_is_kept_out_by_now_is_cleared_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = begin(tmp_path, "night-1")
    assert unfinished(tmp_path, CHAMPION, {"booth"}) == folder, "only the name is the same"
    assert unfinished(tmp_path, CHAMPION, {"red"}) is None
    assert not folder.exists()
    assert "night-1 learns from red, which is kept out by now, and is cleared away" in caplog.text


def test_one_that_learns_from_a_picture_that_is_gone_is_cleared_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = begin(tmp_path, "night-1")
    (tmp_path / "booth").unlink()
    assert unfinished(tmp_path, CHAMPION, set()) is None
    assert not folder.exists()
    assert f"learns from {tmp_path / 'booth'}, which is gone, and is cleared away" in caplog.text


def test_one_of_another_champion_or_without_a_plan_is_cleared_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = [begin(tmp_path, "night-1", parent_sha256="0"), begin(tmp_path, "night-2")]
    (folders[1] / "plan.json").write_text("{")
    assert unfinished(tmp_path, CHAMPION, set()) is None
    assert not any(folder.exists() for folder in folders)
    assert "night-1 was begun from another champion" in caplog.text
    assert "night-2 has no plan that can be read" in caplog.text


def test_the_weights_of_old_nights_go_and_their_reports_stay(tmp_path: Path) -> None:
    folders = [begin(tmp_path, f"night-{number}") for number in range(KEPT + 3)]
    for at, folder in enumerate(folders):
        (folder / CANDIDATE).mkdir()
        if folder != folders[1]:  # it was cut off, and is gone on with
            (folder / REPORT).write_text("{}")
            os.utime(folder / REPORT, (at, at))
    forget_candidates(tmp_path)
    gone = [folder for folder in folders if not (folder / CANDIDATE).exists()]
    assert gone == [folders[0], folders[2]]
    assert all((folder / REPORT).exists() for folder in gone)


def test_a_night_is_named_after_its_day_and_never_like_another(tmp_path: Path) -> None:
    store, day = ModelStore(tmp_path / "models"), datetime(2026, 11, 25)
    assert new_name(store, tmp_path / "runs", day) == "night-2026-11-25"
    begin(tmp_path / "runs", "night-2026-11-25")
    assert new_name(store, tmp_path / "runs", day) == "night-2026-11-25-2"
