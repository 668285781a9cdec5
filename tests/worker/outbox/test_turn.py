"""Frames that do not fit into their turn, on turns that are drawn."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.parts import row_of
from worker.outbox.manifest import Flag, FrameRow
from worker.outbox.turn import flags_of_turn, with_turn_flags
from worker.shoots import Source

REAL = os.environ.get("CYCLORAMA_REAL_PHOTOS", "")


def row(angle: int, box: tuple[int, int, int, int], area: float, **changes: object) -> FrameRow:
    source = Source(f"car/{angle:02}.jpg", 1, 1)
    values = {"angle": angle, "width": 1918, "height": 1280, "box": box, "mask_area": area}
    return row_of(source, f"{angle:02}", **(values | changes))


def turn(count: int = 16) -> list[FrameRow]:
    """A car as a box of 4.5 × 1.8 × 1.5 metres on a turntable, seen a little from above."""
    rows = []
    for place in range(count):
        heading = 2 * np.pi * place / count + 0.2
        half = round(130 * (4.5 * abs(np.sin(heading)) + 1.8 * abs(np.cos(heading))))
        bottom = round(900 + 20 * abs(np.cos(heading)) + 6 * np.cos(heading))
        box = (960 - half, bottom - 420, 960 + half, bottom)
        rows.append(row(place + 1, box, 0.8 * 2 * half * 420 / (1918 * 1280)))
    return rows


def changed(rows: list[FrameRow], place: int, **changes: object) -> list[FrameRow]:
    return [r.model_copy(update=changes) if i == place else r for i, r in enumerate(rows)]


def codes(rows: list[FrameRow]) -> dict[str, list[str]]:
    return {name: [flag.code for flag in found] for name, found in flags_of_turn(rows).items()}


def test_a_plain_turn_has_no_flags() -> None:
    assert flags_of_turn(turn()) == {}
    assert flags_of_turn(turn(36)) == {}


@pytest.mark.parametrize("place", [0, 3, 7, 15])
def test_wall_taken_for_car_is_flagged_on_its_frame_alone(place: int) -> None:
    rows = turn()
    left, top, right, bottom = rows[place].box or (0, 0, 0, 0)
    odd = changed(
        rows,
        place,
        box=(left, top, right + 330, bottom),
        mask_area=(rows[place].mask_area or 0) + 330 * 400 / (1918 * 1280),
    )
    found = codes(odd)
    assert list(found) == [rows[place].name]
    assert "odd-area" in found[rows[place].name]


def test_a_side_view_that_is_too_wide_is_flagged_for_it() -> None:
    rows = turn()
    left, top, right, bottom = rows[4].box or (0, 0, 0, 0)
    odd = changed(rows, 4, box=(left, top, right + 330, bottom))
    assert codes(odd) == {rows[4].name: ["odd-width"]}
    assert "wider" in flags_of_turn(odd)[rows[4].name][0].sentence


@pytest.mark.parametrize("place", [0, 3, 7, 15])
def test_a_car_that_lost_a_part_is_flagged(place: int) -> None:
    rows = turn()
    odd = changed(rows, place, mask_area=(rows[place].mask_area or 0) - 0.045)
    assert codes(odd) == {rows[place].name: ["odd-area"]}
    (flag,) = flags_of_turn(odd)[rows[place].name]
    assert flag.value < 0
    assert "smaller in area" in flag.sentence


@pytest.mark.parametrize("place", [0, 3, 7, 15])
def test_a_car_that_stands_elsewhere_is_flagged(place: int) -> None:
    rows = turn()
    left, top, right, bottom = rows[place].box or (0, 0, 0, 0)
    odd = changed(rows, place, box=(left, top + 60, right, bottom + 60))
    assert codes(odd) == {rows[place].name: ["odd-ground"]}
    assert "lower" in flags_of_turn(odd)[rows[place].name][0].sentence


@pytest.mark.parametrize(
    "rows",
    [
        turn()[:6],
        [r for r in turn() if r.angle != 5],
        changed(turn(), 2, width=1280, height=1918),
        changed(turn(), 2, box=None),
        changed(turn(), 2, angle=40),
        [],
    ],
)
def test_nothing_is_expected_of_what_is_no_whole_turn(rows: list[FrameRow]) -> None:
    spoilt = [
        r.model_copy(update={"mask_area": (r.mask_area or 0) / (1 + r.angle % 2)}) for r in rows
    ]
    assert flags_of_turn(spoilt) == {}


def test_rows_keep_their_own_flags_and_lose_those_of_an_earlier_turn() -> None:
    rows = turn()
    own = Flag(code="touches-border", value=1.0, sentence="…")
    old = Flag(code="odd-area", value=0.3, sentence="…")
    odd = changed(rows, 4, mask_area=0.1, flags=[own])
    told = with_turn_flags(changed(odd, 9, flags=[old]))
    assert [f.code for f in told[4].flags] == ["touches-border", "odd-area"]
    assert [row.name for row in told if row.flags] == [rows[4].name]


@pytest.mark.real_photos
@pytest.mark.skipif(not REAL, reason="CYCLORAMA_REAL_PHOTOS names no folder of real photos")
@pytest.mark.timeout(300)
def test_no_real_car_with_a_hand_made_mask_is_flagged() -> None:
    from unet_core.data import find_pairs
    from unet_core.images import read_mask
    from worker.finish.framing import subject_box
    from worker.outbox.quality import flags, mask_area

    turns: dict[str, list[FrameRow]] = {}
    for pair in find_pairs(Path(REAL) / "carvana"):
        mask = read_mask(pair.mask)
        box = subject_box(mask)
        assert box
        angle = int(pair.image.stem.rsplit("_", 1)[1])
        assert not [f for f in flags(mask, confidence=None) if f.code != "touches-border"], pair
        turns.setdefault(pair.car, []).append(row(angle, box, mask_area(mask)))
    assert len(turns) > 12
    assert {car: codes(rows) for car, rows in turns.items() if codes(rows)} == {}
