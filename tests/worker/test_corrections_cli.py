"""`cyclorama corrections`: what became of every mask that was dropped."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from tests.carvana import disc
from tests.parts import drop_photos, manifest_with, row_of, shoot_in
from unet_core.images import decode, encode_mask
from worker.cli import app
from worker.corrections.desk import Desk, Edition
from worker.corrections_cli import Row, list_corrections
from worker.outbox.manifest import read_manifest
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.settings import Settings, read_settings

Pixels = NDArray[np.uint8]
MASK = disc(32, 48, centre=(16, 24), radius=8)
WIDER = disc(32, 48, centre=(16, 24), radius=9)
pytestmark = pytest.mark.usefixtures("dated")


@pytest.fixture
def settings(no_settings: Path, places: Places) -> Settings:
    """A finished shoot ``car`` of four photos; the commands find it in the working folder."""
    drop_photos(places.inbox / "car", 4)
    publish(places)
    assert no_settings == places.inbox.parent
    return read_settings()


def publish(places: Places, corrected: Edition | None = None) -> None:
    """An edition of the shoot; the frames on the shelf have the masks that lie there."""
    staging, rows = Staging(places, "car"), []
    for frame in shoot_in(places.inbox, "car").frames:
        path = places.inbox / frame.source.path
        photo = decode(path)
        found = Desk(places.inbox.parent / "corrections", "car", corrected).mask_of(
            frame.name, frame.angle, photo, path
        )
        mask = found.alpha if found else MASK
        row = row_of(frame.source, frame.name, width=48, height=32).model_copy(
            update={
                "outputs": {"mask": staging.write(f"masks/{frame.name}.png", encode_mask(mask))},
                "correction": found.record if found else None,
            }
        )
        source = row.source.model_copy(update={"sha256": photo.sha256})
        rows.append(row.model_copy(update={"source": source}))
    staging.publish(manifest_with("car", rows))


def drop(settings: Settings, path: str, mask: Pixels = WIDER, *, age_seconds: float = 100) -> None:
    file = settings.corrections_folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(file)
    then = time.time() - age_seconds
    os.utime(file, (then, then))


def states(settings: Settings) -> dict[str, str]:
    return {f"{row.shoot}/{row.frame}": row.state for row in list_corrections(settings)}


def edition(settings: Settings) -> Edition:
    folder = settings.outbox / "car"
    manifest = read_manifest(folder)
    assert manifest
    return Edition(folder, manifest)


def test_a_mask_waits_until_it_is_taken_up_and_is_refused_with_its_cure(
    settings: Settings,
) -> None:
    drop(settings, "car/01.png")
    drop(settings, "car/02.png", age_seconds=0)
    drop(settings, "car/03.png", 255 - MASK)
    drop(settings, "van/01.png")
    drop(settings, "car/04.tif")
    rows = {f"{row.shoot}/{row.frame}": row for row in list_corrections(settings)}
    assert {name: row.state for name, row in rows.items()} == {
        "car/01": "waiting",
        "car/02": "waiting",
        "car/03": "refused",
        "van/01": "refused",
        "car/04.tif": "refused",
    }
    assert "is inverted" in rows["car/03"].note
    assert "there is no shoot 'van'" in rows["van/01"].note


def test_a_mask_that_was_taken_up_is_in_force_with_its_day_and_hash(
    settings: Settings, places: Places
) -> None:
    drop(settings, "car/01.png")
    publish(places, edition(settings))
    (row,) = list_corrections(settings)
    correction = edition(settings).manifest.frames[0].correction
    assert correction
    assert (row.state, row.sha256, row.note) == ("in force", correction.sha256, "")
    assert row.date[:2] == "20"


def test_one_that_replaced_another_says_so(settings: Settings, places: Places) -> None:
    drop(settings, "car/01.png")
    publish(places, edition(settings))
    (first,) = list_corrections(settings)
    drop(settings, "car/01.png", disc(32, 48, centre=(16, 24), radius=10), age_seconds=50)
    publish(places, edition(settings))
    (row,) = list_corrections(settings)
    assert (row.state, row.note) == ("in force", f"replaces {first.sha256[:12]}")


def test_a_mask_whose_shoot_has_left_the_outbox_is_kept_to_train_on(
    settings: Settings, places: Places
) -> None:
    drop(settings, "car/01.png")
    publish(places, edition(settings))
    (settings.corrections_folder / "car/01.png").unlink()
    (settings.outbox / "car").rename(settings.outbox.parent / "delivered")
    assert states(settings) == {"car/01": "kept"}


def test_the_command_looks_where_it_is_told(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(settings, "car/04.tif")
    inbox, outbox = settings.inbox.resolve(), settings.outbox.resolve()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    options = ["--inbox", str(inbox), "--outbox", str(outbox)]
    assert CliRunner().invoke(app, ["corrections", *options]).exit_code == 1


@pytest.mark.usefixtures("settings")
def test_the_command_is_0_where_nothing_is_refused_and_says_that_there_is_nothing() -> None:
    done = CliRunner().invoke(app, ["corrections"])
    assert (done.exit_code, done.output.strip()) == (0, "No mask was corrected yet")


def test_the_command_is_1_where_one_is_refused_and_json_has_every_field(
    settings: Settings,
) -> None:
    drop(settings, "car/03.png", 255 - MASK)
    done = CliRunner().invoke(app, ["corrections", "--json"])
    assert done.exit_code == 1
    (row,) = json.loads(done.output)
    assert Row(**row).state == "refused"
    shown = CliRunner().invoke(app, ["corrections"], env={"COLUMNS": "300"})
    assert shown.exit_code == 1
    assert "refused" in shown.output
