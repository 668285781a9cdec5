from __future__ import annotations

from pathlib import Path

import pytest

from tests.carvana import write_cars
from unet_core.data import find_pairs
from unet_core.segment import Segmenter, choose_device
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


def test_a_network_takes_about_as_long_as_itself(both: tuple[Segmenter, Segmenter]) -> None:
    assert 0.5 < times_as_long(both[0], both[0]) < 1.5
