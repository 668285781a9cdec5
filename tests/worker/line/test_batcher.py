from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch

from unet_core.segment import Sighting
from worker.line.batcher import Batcher, Picture


class GatedNetwork:
    """Gives each picture's first channel back as its mask, once the gate is open."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.gate, self.entered = threading.Event(), threading.Event()
        self.batches: list[list[int]] = []
        if is_open:
            self.gate.set()

    def look(self, pictures: Sequence[Picture]) -> list[Sighting]:
        self.batches.append([int(picture[0, 0, 0]) for picture in pictures])
        self.entered.set()
        assert self.gate.wait(10)
        if any(picture[0, 0, 0] == 13 for picture in pictures):
            raise RuntimeError("thirteen")
        assert len({picture.shape for picture in pictures}) == 1
        return [Sighting(picture[..., 0]) for picture in pictures]


def picture(value: int, *, width: int = 4) -> Picture:
    return np.full((3, width, 3), value, np.uint8)


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    batcher = Batcher(size=4)
    yield batcher
    batcher.close()


def busy(batcher: Batcher) -> GatedNetwork:
    """A network that is at work on a first picture (0) until its gate is opened."""
    network = GatedNetwork(is_open=False)
    batcher.submit(network, picture(0), job="first")
    assert network.entered.wait(10)
    return network


def test_every_picture_gets_its_own_mask(batcher: Batcher) -> None:
    network = GatedNetwork()
    futures = [batcher.submit(network, picture(value), job="car") for value in range(1, 11)]
    assert [int(f.result(10).seen.mask[0, 0]) for f in futures] == list(range(1, 11))
    assert futures[0].result().seen.mask.shape == (3, 4)


def test_a_single_picture_does_not_wait_for_others(batcher: Batcher) -> None:
    masked = batcher.submit(GatedNetwork(), picture(7), job="car").result(10)
    assert (masked.batch.size, masked.batch.jobs) == (1, 1)


def test_what_collects_while_the_device_is_busy_goes_in_full_batches_in_order(
    batcher: Batcher,
) -> None:
    network = busy(batcher)
    futures = [batcher.submit(network, picture(value), job="car") for value in range(1, 7)]
    network.gate.set()
    records = [future.result(10).batch for future in futures]
    assert network.batches == [[0], [1, 2, 3, 4], [5, 6]]
    assert [record.size for record in records] == [4, 4, 4, 4, 2, 2]
    assert [record.number for record in records] == [2, 2, 2, 2, 3, 3]
    assert batcher.sizes == {1: 1, 4: 1, 2: 1}


def test_two_jobs_share_a_batch_when_the_network_is_slow(batcher: Batcher) -> None:
    network = busy(batcher)
    car = [batcher.submit(network, picture(1), job="car") for _ in range(2)]
    van = [batcher.submit(network, picture(2), job="van") for _ in range(2)]
    network.gate.set()
    records = [future.result(10).batch for future in car + van]
    assert {(record.number, record.size, record.jobs) for record in records} == {(2, 4, 2)}


def test_pictures_of_different_shapes_never_meet(batcher: Batcher) -> None:
    network = busy(batcher)
    shapes = [4, 6, 4, 6, 4]
    futures = [
        batcher.submit(network, picture(value, width=width), job="car")
        for value, width in enumerate(shapes, start=1)
    ]
    network.gate.set()
    assert [future.result(10).seen.mask.shape[1] for future in futures] == shapes
    assert network.batches == [[0], [1, 3, 5], [2, 4]]


def test_pictures_for_different_networks_never_meet(batcher: Batcher) -> None:
    old, new = busy(batcher), GatedNetwork()
    futures = [
        batcher.submit(network, picture(value), job="car")
        for value, network in enumerate([old, new, old, new], start=1)
    ]
    old.gate.set()
    for future in futures:
        future.result(10)
    assert (old.batches, new.batches) == ([[0], [1, 3]], [[2, 4]])


def test_a_picture_that_breaks_the_network_harms_no_other_of_its_batch(batcher: Batcher) -> None:
    network = busy(batcher)
    futures = [batcher.submit(network, picture(value), job="car") for value in (1, 13, 2)]
    network.gate.set()
    assert int(futures[0].result(10).seen.mask[0, 0]) == 1
    assert int(futures[2].result(10).seen.mask[0, 0]) == 2
    with pytest.raises(RuntimeError, match="thirteen"):
        futures[1].result(10)
    assert int(batcher.submit(network, picture(3), job="car").result(10).seen.mask[0, 0]) == 3


def test_a_batch_that_does_not_fit_into_memory_is_halved_and_that_is_remembered() -> None:
    class Small(GatedNetwork):
        def look(self, pictures: Sequence[Picture]) -> list[Sighting]:
            found = super().look(pictures)
            if len(pictures) > 2:
                raise torch.cuda.OutOfMemoryError("no 40 GiB are left")
            return found

    batcher, network = Batcher(size=8), Small()
    network.gate.clear()
    futures = [batcher.submit(network, picture(value), job="car") for value in range(9)]
    network.gate.set()
    assert [int(future.result(10).seen.mask[0, 0]) for future in futures] == list(range(9))
    assert batcher.size == 2
    more = [batcher.submit(network, picture(value), job="car") for value in range(4)]
    assert [int(future.result(10).seen.mask[0, 0]) for future in more] == list(range(4))
    failed = [len(batch) for batch in network.batches if len(batch) > 2]
    assert failed in ([8, 4], [4]), "what did not fit once is not tried again"
    batcher.close()


def test_memory_that_was_short_for_a_while_makes_batches_small_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Shared(GatedNetwork):
        room = 2

        def look(self, pictures: Sequence[Picture]) -> list[Sighting]:
            found = super().look(pictures)
            if len(pictures) > self.room:
                raise torch.cuda.OutOfMemoryError("another program has them")
            return found

    monkeypatch.setattr("worker.line.batcher.GROWS_AFTER", 12)
    batcher, network = Batcher(size=8), Shared()

    def largest_batch() -> int:
        network.gate.clear()
        futures = [batcher.submit(network, picture(value), job="car") for value in range(9)]
        network.gate.set()
        return max(future.result(10).batch.size for future in futures)

    largest_batch()
    assert batcher.size == 2
    network.room = 8
    found = [largest_batch() for _ in range(12)]
    assert found[0] == 2
    assert found[-1] == batcher.size == 8
    batcher.close()


@pytest.mark.parametrize("size", [1, 4])
def test_on_a_device_that_is_lost_every_picture_fails_at_once_and_nobody_waits(size: int) -> None:
    lost = threading.Event()

    class Broken(GatedNetwork):
        def look(self, pictures: Sequence[Picture]) -> list[Sighting]:
            super().look(pictures)
            lost.set()
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    batcher, network = Batcher(size=size, is_lost=lost.is_set), Broken()
    network.gate.clear()
    futures = [batcher.submit(network, picture(value), job="car") for value in range(6)]
    assert not batcher.device_lost
    network.gate.set()
    for future in futures:
        assert isinstance(future.exception(10), RuntimeError)
    assert batcher.device_lost
    assert sum(len(batch) for batch in network.batches) == 6, "none is tried twice"
    batcher.close()


def test_what_a_batch_that_did_not_fit_had_computed_is_let_go_before_the_next_try() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    class Greedy(GatedNetwork):
        def look(self, pictures: Sequence[Picture]) -> list[Sighting]:
            assert all(each() is None for each in held)
            activations = torch.zeros(len(pictures))
            held.append(weakref.ref(activations))
            if len(pictures) > 2:
                raise torch.cuda.OutOfMemoryError("no 40 GiB are left")
            return super().look(pictures)

    batcher, network = Batcher(size=8), Greedy()
    network.gate.clear()
    futures = [batcher.submit(network, picture(value), job="car") for value in range(9)]
    network.gate.set()
    assert [int(future.result(10).seen.mask[0, 0]) for future in futures] == list(range(9))
    assert batcher.size == 2
    batcher.close()


def test_a_network_that_loses_a_mask_is_an_error_and_not_a_wait_for_ever(batcher: Batcher) -> None:
    class Forgetful:
        def look(self, pictures: Sequence[Picture]) -> list[Sighting]:
            return []

    with pytest.raises(ValueError, match="zip"):
        batcher.submit(Forgetful(), picture(1), job="car").result(10)
    assert batcher.submit(GatedNetwork(), picture(2), job="car").result(10).batch.size == 1


def test_close_finishes_what_waits_and_takes_nothing_more() -> None:
    batcher = Batcher(size=2)
    network = busy(batcher)
    futures = [batcher.submit(network, picture(value), job="car") for value in (1, 2, 3)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    assert not any(future.done() for future in futures)
    network.gate.set()
    closing.join(10)
    assert [int(future.result(0).seen.mask[0, 0]) for future in futures] == [1, 2, 3]
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit(network, picture(4), job="car")


def test_every_lane_has_a_batch_in_work_and_close_ends_them_all() -> None:
    batcher, network = Batcher(size=1, lanes=3), GatedNetwork(is_open=False)
    futures = [batcher.submit(network, picture(value), job="car") for value in range(1, 6)]
    for _ in range(1000):
        if len(network.batches) == 3:
            break
        time.sleep(0.01)
    in_work = len(network.batches)
    network.gate.set()

    assert in_work == 3
    assert [int(future.result(10).seen.mask[0, 0]) for future in futures] == [1, 2, 3, 4, 5]
    assert len({future.result().batch.number for future in futures}) == 5
    batcher.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lane-")]


def test_without_lanes_a_picture_goes_through_in_the_thread_that_brings_it() -> None:
    batcher, network = Batcher(size=1, lanes=0), GatedNetwork()
    before = threading.active_count()
    futures = [batcher.submit(network, picture(value), job="car") for value in (1, 13, 2)]

    assert all(future.done() for future in futures)
    assert [int(futures[n].result().seen.mask[0, 0]) for n in (0, 2)] == [1, 2]
    assert isinstance(futures[1].exception(), RuntimeError)
    assert batcher.sizes == {1: 3}
    assert threading.active_count() == before
    batcher.close()
