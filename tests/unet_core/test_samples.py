"""Samples: each follows from the seed and its number alone, and every picture has its turn."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from tests.carvana import write_cars
from unet_core.augment import Augmentation
from unet_core.data import DataError, Pair, Picture, find_pairs, read_pair
from unet_core.samples import Samples

CALM = Augmentation(crop=(32, 48), long_side_px=96, scales=(0.5, 0.8))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    return find_pairs(write_cars(tmp_path_factory.mktemp("data"), ["a", "b", "c"], frames=2))


def test_an_epoch_takes_each_real_picture_once(pairs: list[Pair]) -> None:
    samples = Samples(pairs, CALM)
    orders = []
    for epoch in range(3):
        ks = range(epoch * len(pairs), (epoch + 1) * len(pairs))
        orders.append([samples._choose(k, torch.Generator().manual_seed(k)) for k in ks])

    assert all(sorted(order, key=str) == sorted(pairs, key=str) for order in orders)
    assert len({str(order) for order in orders}) > 1, "each epoch has its own order"


def test_each_sample_is_its_own_and_the_same_whoever_asks(pairs: list[Pair]) -> None:
    first, second = (Samples(pairs[:1], CALM) for _ in range(2))

    for ours, theirs, later in zip(first[7], second[7], first[8], strict=True):
        assert torch.equal(ours, theirs)
        assert not torch.equal(ours, later)


def test_rendered_pictures_get_their_share_and_all_of_it_where_there_are_no_others(
    pairs: list[Pair],
) -> None:
    def share(real: list[Pair], rendered: list[Pair]) -> float:
        samples = Samples([*real, *rendered], CALM, rendered_share=0.25)
        drawn = [samples._choose(k, torch.Generator().manual_seed(k)) for k in range(400)]
        return sum(pair.rendered for pair in drawn) / 400

    rendered = [replace(pair, rendered=True) for pair in pairs]
    assert share(pairs, rendered) == pytest.approx(0.25, abs=0.08)
    assert share([], rendered) == 1
    assert share(pairs, []) == 0


def test_training_on_no_picture_at_all_is_refused() -> None:
    with pytest.raises(DataError, match="no picture to train on"):
        Samples([], CALM)


def test_a_picture_is_read_once_and_kept_as_small_as_training_needs_it(
    pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Pair] = []

    def counted(pair: Pair) -> tuple[Picture, Picture]:
        read.append(pair)
        return read_pair(pair)

    monkeypatch.setattr("unet_core.samples.read_pair", counted)
    samples = Samples(pairs, replace(CALM, long_side_px=40))
    for k in range(3 * len(pairs)):
        samples[k]
    assert sorted(read, key=str) == sorted(pairs, key=str)
    assert max(max(mask.shape) for _, mask in samples._kept.values()) == 32


def test_pictures_beyond_the_memory_for_them_are_read_anew_and_give_the_same(
    pairs: list[Pair],
) -> None:
    roomy, narrow = Samples(pairs, CALM), Samples(pairs, CALM)
    narrow.keep_bytes = 2 * 4 * 64 * 96  # two pictures with their masks
    for k in range(2 * len(pairs)):
        for ours, theirs in zip(roomy[k], narrow[k], strict=True):
            assert torch.equal(ours, theirs)

    assert len(roomy._kept) == len(pairs)
    kept = sum(part.nbytes for pair in narrow._kept.values() for part in pair)
    assert 0 < kept <= narrow.keep_bytes


def test_the_workers_of_a_loader_share_the_memory_for_pictures(
    pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = Samples(pairs, CALM)
    samples[0]
    samples.keep_bytes = 3 * samples._kept_bytes
    monkeypatch.setattr("unet_core.samples.get_worker_info", lambda: SimpleNamespace(num_workers=3))
    for k in range(len(pairs)):
        samples[k]

    assert len(samples._kept) == 1


def test_the_first_samples_are_seen_at_half_their_size(pairs: list[Pair]) -> None:
    samples = Samples(pairs, CALM, half_size_until=3)

    assert [tuple(samples[k][0].shape) for k in range(5)] == 3 * [(3, 16, 24)] + 2 * [(3, 32, 48)]


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_go_on_where_they_are_asked_to(pairs: list[Pair], workers: int) -> None:
    samples = Samples(pairs, CALM)
    later = list(samples.batches(2, 3, 5, workers=workers))

    assert len(later) == 2
    for images, masks in later:
        assert images.shape == (2, 3, 32, 48) and masks.shape == (2, 1, 32, 48)
    assert torch.equal(later[0][0][1], samples[7][0])
