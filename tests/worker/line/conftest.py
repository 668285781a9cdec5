from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.worker.line.bench import Bench
from unet_core.segment import Segmenter
from unet_core.store import ModelStore
from worker.line.batcher import Batcher
from worker.outbox.places import Places
from worker.queue.leases import Leases


@pytest.fixture(scope="session")
def segmenters(tiny_store: ModelStore) -> dict[str, Segmenter]:
    """The checkpoints of the tiny store, loaded."""
    cpu = torch.device("cpu")
    return {version.name: Segmenter.load(version, cpu) for version in tiny_store.versions()}


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    batcher = Batcher(size=4)
    yield batcher
    batcher.close()


@pytest.fixture
def bench(
    places: Places,
    leases: Leases,
    segmenters: dict[str, Segmenter],
    batcher: Batcher,
    tmp_path: Path,
) -> Bench:
    return Bench(places, leases, segmenters, batcher, presets=tmp_path / "presets")
