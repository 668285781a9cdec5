"""A studio with a tiny champion, for nights from beginning to end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.worker.night.nights import train_champion, write_base
from unet_core.store import ModelStore
from worker.settings import Settings


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads on a tiny network wait for each other more than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base set and a store with a champion; only to copy."""
    root = tmp_path_factory.mktemp("night")
    write_base(root / "base")
    train_champion(root / "base", ModelStore(root / "state/models"), root / "run")
    return root


@pytest.fixture
def settings(studio: Path, tmp_path: Path) -> Settings:
    shutil.copytree(studio / "state", tmp_path / "state")
    (tmp_path / "inbox").mkdir()
    return Settings(
        inbox=tmp_path / "inbox",
        outbox=tmp_path / "outbox",
        state=tmp_path / "state",
        retrain_data=studio / "base",
        device="cpu",
    )
