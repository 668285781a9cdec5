"""What ``cyclorama models show`` tells of a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.parts import manifest_with, row_of, tiny_models
from unet_core.checkpoint import WEIGHTS
from unet_core.gate_page import write_report
from unet_core.store import ModelStore
from worker.cli import app
from worker.dossier import dossier
from worker.errors import ModelError
from worker.outbox.manifest import MANIFEST, FrameRow
from worker.settings import Settings
from worker.shoots import Source


@pytest.fixture
def store(no_settings: Path) -> ModelStore:
    """``first``, the champion, and ``second``, in the store of the settings."""
    return tiny_models(no_settings / ".cyclorama/models")


def publish(shoot: str, rows: list[FrameRow], *, finished: str, held: bool = False) -> None:
    folder = Path("outbox") / (".held" if held else "") / shoot
    folder.mkdir(parents=True)
    manifest = manifest_with(shoot, rows).model_copy(update={"finished": finished})
    (folder / MANIFEST).write_text(manifest.model_dump_json())


def row(name: str, checkpoint: str, **changes: object) -> FrameRow:
    return row_of(Source(f"car/{name}.jpg", 1, 1), name, checkpoint=checkpoint, **changes)


def shown(name: str) -> Any:
    done = CliRunner().invoke(app, ["models", "show", name, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout)


def test_it_tells_card_champion_and_history(store: ModelStore) -> None:
    store.promote("second", reason="better wheels", by="ann@desk")
    found = shown("second")
    assert found["champion"] and not shown("first")["champion"]
    assert found["card"]["sha256"] == store.find("second").sha256
    assert [(row["event"], row["reason"]) for row in found["history"]] == [
        ("promotion", "better wheels")
    ]
    assert len(shown("first")["history"]) == 2, "when it came, and when it went"


def test_it_tells_which_shoots_it_made_and_how_many_frames_were_corrected(
    store: ModelStore,
) -> None:
    first, second = (store.find(name).sha256 for name in ("first", "second"))
    publish("old", [row("01", first), row("02", second)], finished="2026-11-20T08:00:00+00:00")
    failed = row("03", first, error={"code": "truncated", "message": "ends too early"})
    rows = [row("01", first), row("02", first, mask="corrected"), failed]
    publish("new", rows, finished="2026-11-21T08:00:00+00:00", held=True)
    publish("other", [row("01", second)], finished="2026-11-22T08:00:00+00:00")
    assert shown("first")["shoots"] == {
        "count": 2,
        "frames": 2,
        "corrected": 1,
        "latest": [
            {"shoot": "new", "finished": "2026-11-21T08:00:00+00:00"},
            {"shoot": "old", "finished": "2026-11-20T08:00:00+00:00"},
        ],
    }


@pytest.mark.usefixtures("store")
def test_it_tells_how_the_night_ended_that_trained_it() -> None:
    folder = Path(".cyclorama/retraining/second")
    folder.mkdir(parents=True)
    write_report(folder, "promoted", {"reason": "holdout +0.001"})
    assert shown("second")["night"]["reason"] == "holdout +0.001"
    assert shown("first")["night"] is None


@pytest.mark.usefixtures("store")
def test_the_golden_image_goes_through_the_network() -> None:
    assert 0 <= shown("first")["golden"]["dice"] < 0.9, "it has learned nothing"


def test_a_damaged_checkpoint_is_told_and_hides_nothing_else(store: ModelStore) -> None:
    weights = store.find("first").folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    found = shown("first")
    assert found["golden"]["dice"] is None and "sha256" in found["golden"]["error"]
    assert found["history"]


@pytest.mark.usefixtures("store")
def test_a_person_reads_it_line_by_line() -> None:
    done = CliRunner().invoke(app, ["models", "show", "first"], catch_exceptions=False)
    for words in (
        "first, the champion",
        "parent    none",
        "golden    Dice 0.",
        "made      0 frames",
    ):
        assert words in done.stdout


@pytest.mark.usefixtures("store")
def test_a_name_that_is_not_there_is_an_error_that_says_what_is() -> None:
    with pytest.raises(ModelError, match="has no checkpoint 'third'; at hand: first, second"):
        dossier(Settings(), "third")
