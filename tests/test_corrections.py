"""From a corrected mask in a folder to the frame in the outbox, with real processes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.studio import Studio, drop, make_studio
from unet_core.booth import Booth, write_shoot
from worker.outbox.manifest import FrameRow
from worker.settings import Settings

pytestmark = pytest.mark.line


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    waits = {
        f"CYCLORAMA_{name.upper()}": str(Settings.model_fields[name].default)
        for name in ("lease_seconds", "rescan_seconds", "settle_seconds")
    }
    studio = make_studio(tmp_path, **waits)
    write_shoot(Booth(seed=7, width=240, height=160, angles=4), tmp_path / "car", name="car")
    drop(tmp_path / "car", studio)
    return studio


def corrected(studio: Studio, frame: str) -> FrameRow | None:
    """The row of a frame whose mask was corrected, once it is published."""
    manifest = studio.manifest("car")
    rows = manifest.frames if manifest else []
    return next((r for r in rows if r.name == frame and r.mask == "corrected"), None)


def test_a_dropped_correction_is_published_and_listed_and_stays(studio: Studio) -> None:
    folder = studio.root / "corrections"
    with studio.running("run"):
        studio.wait_for(lambda: studio.manifest("car") is not None)
        manifest = studio.assert_whole("car")
        first, second = manifest.frames[:2]
        mask = np.asarray(Image.open(studio.outbox / "car" / first.outputs["mask"].path))
        wider = cv2.dilate(mask, np.ones((5, 5), np.uint8))
        (folder / "car").mkdir()
        Image.fromarray(255 - mask).save(folder / "car" / f"{second.name}.png")
        Image.fromarray(wider).save(folder / "car" / f"{first.name}.png")
        dropped = time.monotonic()
        studio.wait_for(lambda: corrected(studio, first.name) is not None)
        assert time.monotonic() - dropped < 10, "with the waits that a studio has"
    after = studio.assert_whole("car")
    row = corrected(studio, first.name)
    assert row
    found = np.asarray(Image.open(studio.outbox / "car" / row.outputs["mask"].path))
    assert (found == wider).all()
    assert after.frames[2].outputs["mask"] == manifest.frames[2].outputs["mask"]
    assert after.frames[1].mask == "network"

    listed = studio.cyclorama("corrections", "--json")
    assert listed.returncode == 1, "one is refused"
    rows = {row["frame"]: row for row in json.loads(listed.stdout)}
    assert rows[first.name]["state"] == "in force"
    assert rows[first.name]["sha256"] == row.correction.sha256 if row.correction else False
    assert rows[second.name]["state"] == "refused"
    assert "is inverted" in rows[second.name]["note"]
    problems = studio.status()["problems"]
    assert "is inverted" in problems[f"corrections/car/{second.name}.png"]

    (folder / "car" / f"{second.name}.png").unlink()
    before = after.finished
    assert studio.cyclorama("run", "--once").returncode == 0
    again = studio.assert_whole("car")
    assert (again.finished, again.frames[0].mask) == (before, "corrected")
