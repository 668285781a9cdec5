"""Whether a change of the booth is told, and nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.worker.booth.days import HEIGHT, WIDTH, Change, Floats, redder, views
from worker.booth.health import Finding, judge

ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]


@pytest.fixture(scope="module")
def past() -> list:
    """A fortnight in which nothing changed."""
    return views(1, 14)


def one_lamp(light: Floats) -> Floats:
    """The lamp on the right gives a fifth less."""
    reach = np.hypot(COLUMNS / WIDTH - 0.8, ROWS / WIDTH - 0.2) / 0.25
    return light * (1 - 0.2 * np.exp(-(reach**2)))[..., None]


def darker(light: Floats) -> Floats:
    return light * 0.85


def spot(light: Floats) -> Floats:
    """Dirt on the floor, or on the lens, at the lower left."""
    place = cv2.GaussianBlur(np.float64(np.hypot(COLUMNS - 40, ROWS - 165) < 9), (0, 0), 2)
    return light * (1 - 0.3 * place)[..., None]


def shifted(right: float = 0.0, down: float = 0.0, larger: float = 1.0) -> Floats:
    """Parts of the width; around the picture's middle."""
    place = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 0, larger)
    place[:, 2] += right * WIDTH, down * WIDTH
    return np.asarray(place)


def only(found: list[Finding]) -> Finding:
    (finding,) = found
    return finding


def test_a_booth_as_it_was_is_told_nothing_of(past: list) -> None:
    assert judge([*past, *views(15, 20)]) == []


def test_a_camera_that_moved_by_a_hundredth_of_the_picture_is_told_with_its_way(past: list) -> None:
    found = only(judge([*past, *views(15, 17, moved=shifted(right=0.01))]))
    assert found.kind == "camera-moved"
    assert found.value == pytest.approx(0.01, abs=0.003)
    assert "3 px to the right since car-015" in found.sentence


def test_a_camera_that_was_lowered_or_zoomed_is_told(past: list) -> None:
    lowered = only(judge([*past, *views(15, 17, moved=shifted(down=-0.01))]))
    assert lowered.kind == "camera-moved" and "3 px higher" in lowered.sentence
    zoomed = only(judge([*past, *views(15, 17, moved=shifted(larger=1.03))]))
    assert zoomed.kind == "camera-moved" and "larger" in zoomed.sentence


@pytest.mark.parametrize(
    ("change", "kind", "value"),
    [
        (one_lamp, "lamp", -0.15),
        (redder, "white-balance", 0.05),
        (darker, "light-level", -0.15),
        (spot, "stain", -0.2),
    ],
)
def test_each_change_is_told_as_what_it_is(
    past: list, change: Change, kind: str, value: float
) -> None:
    found = only(judge([*past, *views(15, 17, change)]))
    assert (found.kind, found.since) == (kind, "car-015")
    assert found.value == pytest.approx(value, abs=0.06)


def test_a_lamp_and_a_spot_are_told_with_their_place(past: list) -> None:
    assert "at the top on the right" in only(judge([*past, *views(15, 17, one_lamp)])).sentence
    assert "at the bottom on the left" in only(judge([*past, *views(15, 17, spot)])).sentence


def test_what_does_not_last_is_no_change(past: list) -> None:
    assert judge([*past, *views(15, 15, redder), *views(16, 17)]) == []
    assert judge([*past, *views(15, 15), *views(16, 17, redder)]) == []


def test_a_gross_change_is_told_after_two_shoots(past: list) -> None:
    far = views(15, 16, lambda light: light * 0.5)
    assert only(judge([*past, *views(14, 14), *far])).kind == "light-level"


def test_a_change_is_dated_back_to_where_it_began(past: list) -> None:
    found = only(judge([*past, *views(15, 19, redder)]))
    assert found.since == "car-015"


def test_a_booth_whose_camera_is_set_up_anew_each_time_is_not_told_that_it_moved() -> None:
    rng = np.random.default_rng(0)
    anew = [views(n, n, moved=shifted(*rng.normal(0, 0.015, 2)))[0] for n in range(1, 15)]
    assert judge([*anew, *views(15, 17, moved=shifted(right=0.01))]) == []


def test_too_few_shoots_tell_nothing() -> None:
    assert judge([]) == []
    assert judge([*views(1, 11), *views(12, 14, darker)]) == []
