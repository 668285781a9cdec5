from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.carvana import write_cars
from unet_core.data import find_pairs
from unet_core.devices import choose_device
from unet_core.segment import Segmenter
from unet_core.store import ModelStore
from unet_core.trial import times_as_long, try_both


@pytest.fixture
def both(tiny_store: ModelStore) -> tuple[Segmenter, Segmenter]:
    cpu = choose_device("cpu")
    first, second = (Segmenter.load(tiny_store.find(name), cpu) for name in ("first", "second"))
    return first, second


def test_both_are_measured_on_every_picture_and_its_slices_are_told(
    tmp_path: Path, both: tuple[Segmenter, Segmenter]
) -> None:
    pairs = find_pairs(write_cars(tmp_path, ["a", "b"]))
    asked: list[int] = []
    found = try_both(*both, pairs, kind="holdout", on_pair=lambda: asked.append(1))
    assert [(each.car, each.frame) for each in found] == [
        (pair.car, pair.image.name) for pair in pairs
    ]
    assert {each.slices["angle"] for each in found} == {"01", "02"}
    assert len(asked) == 4
    assert any(each.champion != each.candidate for each in found)
    same = try_both(both[0], both[0], pairs, kind="correction")
    assert all(each.gain == 0 and "angle" not in each.slices for each in same)


def test_a_slower_network_takes_longer_as_candidate_and_is_quicker_to_beat(
    both: tuple[Segmenter, Segmenter], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, slow = both
    segment = slow.segment_whole

    def slowly(pictures: list[object]) -> object:
        time.sleep(0.2)  # far more than a tiny network takes, however busy the machine
        return segment(pictures)

    monkeypatch.setattr(slow, "segment_whole", slowly)
    monkeypatch.setattr("unet_core.trial.ROUNDS", 1)
    assert times_as_long(quick, slow) > 1.5
    assert times_as_long(slow, quick) < 0.7
