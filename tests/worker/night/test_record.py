from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from worker.errors import ModelError
from worker.intake.metrics import NightMetrics
from worker.night.cli import recorded
from worker.night.record import RECORD, read_record, write_record
from worker.night.retrain import Night

DICE = {"champion": 0.991, "candidate": 0.993}


def figures(store: Path) -> str:
    registry = CollectorRegistry()
    registry.register(NightMetrics(store))
    return generate_latest(registry).decode()


def test_nights_that_fail_are_counted_until_one_has_tried_and_did_not(tmp_path: Path) -> None:
    def failures(outcome: str) -> int:
        write_record(tmp_path, outcome, "why", seconds=1, dice={})
        record = read_record(tmp_path)
        assert record
        return record.failures

    outcomes = ("failed", "failed", "skipped", "failed", "promoted", "failed")
    assert [failures(each) for each in outcomes] == [1, 2, 2, 3, 0, 1]


def test_the_last_night_is_told_in_figures_and_before_the_first_there_are_none(
    tmp_path: Path,
) -> None:
    assert figures(tmp_path) == ""
    write_record(tmp_path, "promoted", "better", seconds=61.24, dice=DICE)
    text = figures(tmp_path)
    assert 'cyclorama_night_outcome{outcome="promoted"} 1.0' in text
    assert 'cyclorama_night_outcome{outcome="failed"} 0.0' in text
    assert 'cyclorama_night_dice{network="candidate"} 0.993' in text
    assert "cyclorama_night_seconds 61.2" in text
    (tmp_path / RECORD).write_text("{")
    assert figures(tmp_path) == ""


def test_an_error_is_a_failed_night_and_one_that_found_another_at_work_is_none(
    tmp_path: Path,
) -> None:
    with recorded(tmp_path) as record:
        record(Night("busy", "another retraining is at work"))
    assert read_record(tmp_path) is None
    with recorded(tmp_path) as record:
        record(Night("refused", "worse", None, DICE))
    found = read_record(tmp_path)
    assert found
    assert (found.outcome, found.dice) == ("refused", DICE)
    with pytest.raises(ModelError), recorded(tmp_path):
        raise ModelError("there is no holdout")
    found = read_record(tmp_path)
    assert found
    assert (found.outcome, found.reason, found.failures) == ("failed", "there is no holdout", 1)


def test_a_store_that_cannot_be_written_costs_no_night(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    write_record(tmp_path / "file", "promoted", "better", seconds=1, dice={})
    assert read_record(tmp_path / "file") is None
