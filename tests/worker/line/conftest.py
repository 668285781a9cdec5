from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.parts import drop_photos
from tests.worker.line.bench import Bench
from unet_core.segment import Segmenter
from unet_core.store import ModelStore
from worker.line import frame as frame_module
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


@pytest.fixture
def car(bench: Bench) -> Path:
    drop_photos(bench.places.inbox / "car", 3)
    return bench.places.inbox / "car"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the photos that were decoded, in order."""
    names: list[str] = []
    decode = frame_module.decode

    def noting(path: Path, *, max_pixels: int, within: Path) -> object:
        names.append(path.name)
        return decode(path, max_pixels=max_pixels, within=within)

    monkeypatch.setattr(frame_module, "decode", noting)
    return names
