"""Shoots whose frames are framed together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.parts import drop_photos, photo_bytes
from tests.worker.line.bench import Bench, assert_clean
from worker.line.pipeline import Line
from worker.outbox.manifest import FrameRow

FIT = '[framing]\nmode = "fit"\naspect = "1:1"\nwidth = 64\n'


@pytest.fixture(autouse=True)
def square(bench: Bench) -> None:
    bench.preset(FIT)


@pytest.mark.usefixtures("car")
def test_all_frames_of_a_shoot_come_out_in_the_size_that_the_preset_asks_for(bench: Bench) -> None:
    bench.work()
    manifest, folder = bench.manifest(), bench.places.published("car")
    assert manifest.status == "complete"
    for row in manifest.frames:
        assert set(row.outputs) == {"composite", "mask"}
        with Image.open(folder / row.outputs["composite"].path) as picture:
            assert picture.size == row.picture_size == (64, 64)
        with Image.open(folder / row.outputs["mask"].path) as mask:
            assert mask.size == (row.width, row.height) == (48, 32)
        assert row.untouched_paint is False
        assert {"network", "composite"} <= set(row.seconds)
    assert_clean(bench)


@pytest.mark.usefixtures("car")
def test_the_spin_page_has_the_shape_of_the_pictures_and_not_of_the_photos(bench: Bench) -> None:
    bench.work()
    page = (bench.places.published("car") / "spin.html").read_text("utf-8")
    assert 'width="64" height="64"' in page


def test_a_frame_that_comes_late_is_framed_with_the_others(bench: Bench, car: Path) -> None:
    bench.work()
    (car / "04.jpg").write_bytes(photo_bytes(4))
    bench.work()
    assert [row.name for row in bench.manifest().frames] == ["01", "02", "03", "04"]
    assert_clean(bench)


def test_a_broken_frame_does_not_keep_the_others_from_their_frame(bench: Bench, car: Path) -> None:
    (car / "02.jpg").write_bytes(b"")
    bench.work()
    rows = bench.manifest().frames
    assert [sorted(row.outputs) for row in rows] == [
        ["composite", "mask"],
        [],
        ["composite", "mask"],
    ]


def test_pictures_that_are_too_large_for_their_format_are_rows_with_their_error(
    bench: Bench, car: Path
) -> None:
    wide = '[framing]\nmode = "fit"\naspect = "200:1"\nwidth = 20000\n[output]\nformat = "webp"\n'
    bench.preset(wide)
    bench.work()
    errors = [row.error for row in bench.manifest().frames]
    assert [error.code for error in errors if error] == ["too-large"] * 3


def test_a_photo_that_goes_away_before_the_turn_is_framed_leaves_no_frame(
    bench: Bench, car: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Line._fit

    def late(line: Line, *parts: Any) -> Iterator[FrameRow]:
        (car / "02.jpg").unlink()
        return fit(line, *parts)

    monkeypatch.setattr(Line, "_fit", late)
    bench.work()
    assert [row.name for row in bench.manifest().frames] == ["01", "03"]
    assert bench.manifest().status == "complete"
    assert_clean(bench)


def test_a_delivered_frame_whose_photo_is_gone_stays_as_it_is(bench: Bench, car: Path) -> None:
    bench.work()
    old = bench.manifest().frames[2].outputs
    (car / "03.jpg").unlink()
    drop_photos(car, 2, size=(60, 40))
    bench.work()
    rows = bench.manifest().frames
    assert [row.name for row in rows] == ["01", "02", "03"]
    assert rows[2].outputs == old
