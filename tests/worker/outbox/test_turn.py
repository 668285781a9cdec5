"""Frames that are odd among the others of their turn, on turns that are drawn."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.parts import row_of
from tests.worker.outbox.drawn_turn import SCENE, SIZE, Scene, areas, boxes
from unet_core.data import find_pairs
from unet_core.images import read_mask
from worker.finish.framing import subject_box
from worker.outbox.manifest import Flag, FrameRow
from worker.outbox.quality import flags, mask_area
from worker.outbox.turn import flags_of_turn, with_turn_flags
from worker.shoots import Source

REAL = os.environ.get("CYCLORAMA_REAL_PHOTOS", "")
Sides = tuple[int, int, int, int]


def row(angle: int, box: Sides | None, area: float, size: tuple[int, int] = SIZE) -> FrameRow:
    name, (width, height) = f"{angle:02d}", size
    facts = {"angle": angle, "width": width, "height": height, "box": box, "mask_area": area}
    return row_of(Source(f"car/{name}.jpg", 1, 1), name, **facts)


def turn(scene: Scene = SCENE, first: int = 1) -> list[FrameRow]:
    figures = zip(boxes(scene).round().astype(int).tolist(), areas(scene).tolist(), strict=True)
    return [
        row(angle, (box[0], box[1], box[2], box[3]), area)
        for angle, (box, area) in enumerate(figures, start=first)
    ]


def changed(
    rows: list[FrameRow], place: int, *, area: float = 1.0, sides: Sides = (0, 0, 0, 0)
) -> list[FrameRow]:
    """A turn with one frame whose mask covers ``area`` times as much and has its sides moved."""
    odd = rows[place]
    assert odd.box
    assert odd.mask_area
    left, top, right, bottom = (side + by for side, by in zip(odd.box, sides, strict=True))
    spoilt = {"mask_area": odd.mask_area * area, "box": (left, top, right, bottom)}
    return [*rows[:place], odd.model_copy(update=spoilt), *rows[place + 1 :]]


def codes(rows: list[FrameRow], full_turn: int = 16) -> dict[str, list[str]]:
    found = flags_of_turn(rows, full_turn=full_turn)
    return {name: [flag.code for flag in flags] for name, flags in found.items()}


@pytest.mark.parametrize("frames", [12, 16, 24, 36])
@pytest.mark.parametrize("start", [0.0, 11.0, 40.0, 100.0])
def test_no_frame_of_a_good_turn_is_odd(frames: int, start: float) -> None:
    assert codes(turn(Scene(frames=frames, start=start)), full_turn=frames) == {}


@pytest.mark.parametrize(
    ("frames", "there"), [(16, range(12)), (16, range(4, 16)), (24, range(20)), (36, range(32))]
)
@pytest.mark.parametrize("start", range(0, 360, 30))
def test_nor_is_one_where_the_last_angles_are_missing(
    frames: int, there: range, start: int
) -> None:
    rows = turn(Scene(frames=frames, start=float(start)))
    assert codes([rows[number] for number in there], full_turn=frames) == {}


@pytest.mark.parametrize("place", [2, 5, 9])
def test_in_a_turn_of_twelve_where_sixteen_are_usual_a_missing_part_is_still_flagged(
    place: int,
) -> None:
    rows = changed(turn(Scene(frames=12)), place, area=0.6, sides=(0, 0, -500, 0))
    assert f"{place + 1:02d}" in codes(rows)


@pytest.mark.parametrize("distance", [5.0, 7.0, 15.0])
@pytest.mark.parametrize("camera_height", [0.8, 2.2])
def test_nor_is_one_where_the_camera_stands_elsewhere(
    distance: float, camera_height: float
) -> None:
    assert codes(turn(Scene(distance=distance, camera_height=camera_height))) == {}


@pytest.mark.parametrize("place", [0, 3, 4, 9, 15])
def test_a_frame_that_is_shifted_down_is_flagged_and_its_neighbours_are_not(place: int) -> None:
    found = flags_of_turn(changed(turn(), place, sides=(0, 64, 0, 64)), full_turn=16)
    assert list(found) == [f"{place + 1:02d}"]
    (flag,) = found[f"{place + 1:02d}"]
    assert flag.code == "odd-ground"
    assert flag.value == pytest.approx(64, abs=15)
    assert "px lower" in flag.sentence


@pytest.mark.parametrize("place", [2, 5, 12])
def test_a_missing_wheel_or_roof_is_flagged(place: int) -> None:
    name = f"{place + 1:02d}"
    assert codes(changed(turn(), place, area=0.9)) == {name: ["odd-area"]}
    roof = changed(turn(), place, area=0.78, sides=(0, 130, 0, 0))
    assert codes(roof) == {name: ["odd-area"]}
    assert "less than" in flags_of_turn(roof, full_turn=16)[name][0].sentence


def test_a_missing_end_of_the_car_is_flagged_with_its_width() -> None:
    found = flags_of_turn(changed(turn(), 4, area=0.88, sides=(0, 0, -200, 0)), full_turn=16)
    assert [flag.code for flag in found["05"]] == ["odd-area", "odd-width"]
    assert "% narrower" in found["05"][1].sentence
    assert found["05"][1].value == pytest.approx(-200 / 1323, abs=0.04)


def test_a_corner_of_the_wall_that_is_taken_for_car_is_flagged() -> None:
    found = flags_of_turn(changed(turn(), 6, area=1.3, sides=(-457, -300, 0, 0)), full_turn=16)
    assert [flag.code for flag in found["07"]] == ["odd-area", "odd-width"]
    assert "more than" in found["07"][0].sentence
    assert "wall" in found["07"][0].sentence


def test_two_odd_frames_side_by_side_are_both_told() -> None:
    rows = changed(changed(turn(), 6, area=1.3), 5, area=1.3)
    assert codes(rows) == {"06": ["odd-area"], "07": ["odd-area"]}


def test_a_turn_with_missing_angles_is_judged_still() -> None:
    rows = [row for row in changed(turn(), 9, area=0.85) if row.angle not in (3, 4, 12)]
    assert codes(rows) == {"10": ["odd-area"]}


@pytest.mark.parametrize(
    "rows",
    [
        [],
        turn()[:5],
        changed(turn(), 2, area=0.5)[:9],
        [r.model_copy(update={"angle": r.angle * 7}) for r in changed(turn(), 2, area=0.5)],
        [r.model_copy(update={"box": None}) for r in turn()],
    ],
)
def test_few_frames_and_irregular_angles_say_nothing(rows: list[FrameRow]) -> None:
    assert codes(rows) == {}


def test_photos_that_are_no_turn_say_nothing() -> None:
    rows = turn()
    for place in range(16):
        rows = changed(rows, place, area=1 + 0.3 * (place % 3))
    assert codes(rows) == {}


@pytest.mark.parametrize("first", [0, 4711])
def test_numbers_from_zero_and_from_a_camera_are_a_turn_too(first: int) -> None:
    assert codes(changed(turn(first=first), 3, area=0.8)) == {f"{first + 3:02d}": ["odd-area"]}


def test_a_frame_of_half_the_size_is_judged_like_the_others() -> None:
    rows = turn()
    assert rows[4].box
    left, top, right, bottom = (side // 2 for side in rows[4].box)
    half, area = (SIZE[0] // 2, SIZE[1] // 2), rows[4].mask_area or 0
    rows[4] = row(5, (left, top, right, bottom), area, half)
    assert codes(rows) == {}
    rows[4] = row(5, (left, top + 32, right, bottom + 32), area, half)
    (flag,) = flags_of_turn(rows, full_turn=16)["05"]
    assert flag.value == pytest.approx(32, abs=8)


def test_a_frame_upright_among_others_is_not_judged() -> None:
    rows = turn()
    rows[4] = row(5, (0, 0, 9, 9), 0.9, SIZE[::-1])
    assert codes(rows) == {}


def test_rows_keep_their_own_flags_and_lose_those_of_an_earlier_turn() -> None:
    own = Flag(code="touches-border", value=1.0, sentence="…")
    old = Flag(code="odd-area", value=0.3, sentence="…")
    rows = changed(turn(), 4, area=0.5)
    rows[4] = rows[4].model_copy(update={"flags": [own]})
    rows[9] = rows[9].model_copy(update={"flags": [old]})
    told = with_turn_flags(rows, full_turn=16)
    assert [flag.code for flag in told[4].flags] == ["touches-border", "odd-area"]
    assert [row.name for row in told if row.flags] == ["05"]


@pytest.fixture(scope="module")
def real_turns() -> list[list[FrameRow]]:
    """Turns of real cars, by their hand-made masks."""
    turns: dict[str, list[FrameRow]] = {}
    for pair in find_pairs(Path(REAL) / "carvana"):
        mask = read_mask(pair.mask)
        assert not [f for f in flags(mask, certainty=None) if f.code != "touches-border"], pair
        size = (mask.shape[1], mask.shape[0])
        seen = row(pair.angle, subject_box(mask), mask_area(mask), size)
        turns.setdefault(pair.car, []).append(seen)
    return list(turns.values())


@pytest.mark.timeout(300)
@pytest.mark.real_photos
@pytest.mark.skipif(not REAL, reason="CYCLORAMA_REAL_PHOTOS names no folder of real photos")
def test_no_frame_of_a_real_turn_is_flagged(real_turns: list[list[FrameRow]]) -> None:
    assert len(real_turns) > 12
    assert [codes(rows) for rows in real_turns if codes(rows)] == []


@pytest.mark.timeout(300)
@pytest.mark.real_photos
@pytest.mark.skipif(not REAL, reason="CYCLORAMA_REAL_PHOTOS names no folder of real photos")
@pytest.mark.parametrize(
    ("area", "lower", "share"),
    [
        (0.90, 0.0, 0.8),  # a tenth of the car is missing
        (1.15, 0.0, 0.85),  # wall taken for car
        (1.0, 0.05, 0.55),  # floor taken for tyres, in parts of the car's height
        (1.0, 0.1, 0.95),
    ],
)
def test_faults_in_real_turns_are_found(
    real_turns: list[list[FrameRow]], area: float, lower: float, share: float
) -> None:
    found = 0
    for number, rows in enumerate(real_turns):
        odd = rows[number % len(rows)]
        assert odd.box
        down = round(lower * (odd.box[3] - odd.box[1]))
        spoilt = changed(rows, number % len(rows), area=area, sides=(0, down, 0, down))
        found += list(codes(spoilt)) == [odd.name]
    assert found >= share * len(real_turns), f"{found} of {len(real_turns)}"
