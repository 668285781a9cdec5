"""The schedule with real processes: two schedulers on one Redis, and a night every minute."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

from tests.studio import Studio, make_studio
from worker.queue.broker import EmbeddedRedis

pytestmark = pytest.mark.line


@pytest.fixture
def studio(redis_server: EmbeddedRedis) -> Iterator[Studio]:
    folder = Path(tempfile.mkdtemp(prefix="cy"))
    yield make_studio(
        folder, CYCLORAMA_BROKER_URL=redis_server.url, CYCLORAMA_RETRAIN_CRON="* * * * *"
    )
    shutil.rmtree(folder)


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("redis")
def test_with_two_schedulers_each_night_begins_once(studio: Studio) -> None:
    store = studio.root / "models"
    shared = {"CYCLORAMA_MODELS": str(store), "CYCLORAMA_CORRECTIONS": str(studio.root / "fix")}

    def claimed() -> list[str]:
        return sorted(path.name for path in (store / ".nights").glob("*"))

    with ExitStack() as both:
        for name in ("one", "two"):
            state = {"CYCLORAMA_STATE": str(studio.root / name)}
            both.enter_context(studio.running("schedule", **shared, **state))
        # The first is the one that was due before there was a schedule.
        studio.wait_for(lambda: len(_words(studio, claimed()[1:2])) == 2, seconds=200)
        words = _words(studio, claimed()[1:2])
        studio.wait_for(lambda: _ends(studio) >= 1, seconds=200)
    assert sorted(words) == ["has begun", "is taken already"]


def _words(studio: Studio, nights: list[str]) -> list[str]:
    """What the schedulers' logs say of the first of ``nights``."""
    if not nights:
        return []
    due = datetime.strptime(nights[0], "%Y-%m-%dT%H%M").strftime("%Y-%m-%d %H:%M:00")
    logs = "".join(path.read_text() for path in studio.root.glob("schedule.*.log"))
    return re.findall(rf"the night of {due}\S* (has begun|is taken already)", logs)


def _ends(studio: Studio) -> int:
    """How many retrainings have said their last word: there is no holdout to measure on."""
    logs = [path.read_text() for path in studio.root.glob("*/retraining.log")]
    return sum(log.count("error: there is no holdout") for log in logs)


def test_without_a_schedule_there_is_none_to_keep(studio: Studio) -> None:
    done = studio.cyclorama("schedule", CYCLORAMA_RETRAIN_CRON="")
    assert done.returncode == 2
    assert "CYCLORAMA_RETRAIN_CRON" in done.stderr
    wrong = studio.cyclorama("schedule", CYCLORAMA_RETRAIN_CRON="nightly")
    assert wrong.returncode == 2
    assert "is no schedule" in wrong.stderr
