from __future__ import annotations

import pytest

from worker.line.stopwatch import Stopwatch
from worker.line.vigil import Vigil


def test_the_frame_that_is_in_work_for_longest_is_told_with_its_stage() -> None:
    vigil, watch = Vigil(), Stopwatch()
    with vigil.over("car/01.jpg", watch, blame=lambda: None), watch.stage("decode"):
        vigil.tick(30)
        with vigil.over("car/02.jpg", Stopwatch(), blame=lambda: None):
            longest = vigil.tick(5)
        assert longest
        assert str(longest) == "car/01.jpg is in work for 35 s (decode)"


def test_a_frame_that_has_come_to_an_end_is_forgotten_however_it_ended() -> None:
    vigil = Vigil()
    with pytest.raises(KeyError), vigil.over("car/01.jpg", Stopwatch(), blame=lambda: None):
        raise KeyError
    assert vigil.tick(1) is None
