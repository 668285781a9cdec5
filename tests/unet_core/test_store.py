"""The model store: one champion, named with its hash; damage is told and stays where it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from unet_core import store as store_module
from unet_core.checkpoint import CARD, Card, CheckpointError, save_checkpoint
from unet_core.model import UNet
from unet_core.store import CHAMPION, ModelStore


def add(root: Path, name: str, *, seed: int = 0) -> str:
    """Saves a tiny checkpoint and returns its hash."""
    torch.manual_seed(seed)
    return save_checkpoint(root / name, UNet(width=4, depth=1), Card(version=name)).sha256


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(store_module, "SHIPPED", tmp_path / "shipped")
    add(tmp_path / "shipped", "base", seed=9)
    return tmp_path / "shipped"


@pytest.fixture
def store(tmp_path: Path, shipped: Path) -> ModelStore:
    for seed, name in enumerate(("night-1", "night-2")):
        add(tmp_path / "models", name, seed=seed)
    return ModelStore(tmp_path / "models")


def test_versions_are_the_stores_and_the_shipped_one_sorted_by_name(store: ModelStore) -> None:
    (store.folder / "notes").mkdir()
    (store.folder / ".night-3.77.part").mkdir()
    (store.folder / ".night-3.77.part" / CARD).write_text("half a card")

    assert [version.name for version in store.versions()] == ["base", "night-1", "night-2"]


def test_without_a_champion_the_shipped_checkpoint_is_used(
    store: ModelStore, shipped: Path
) -> None:
    assert store.champion().folder == shipped / "base"


def test_a_store_need_not_exist(tmp_path: Path, shipped: Path) -> None:
    store = ModelStore(tmp_path / "nowhere")

    assert store.champion().name == "base"
    assert [version.name for version in store.versions()] == ["base"]
    assert not store.folder.exists(), "reading creates nothing"


def test_without_any_checkpoint_the_cure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SHIPPED", tmp_path / "empty")

    with pytest.raises(CheckpointError, match=r"no champion .*scripts/train\.py"):
        ModelStore(tmp_path / "models").champion()


def test_a_promoted_version_is_the_champion_also_for_others_who_look(store: ModelStore) -> None:
    for name in ("night-2", "night-1", "base"):
        promoted = store.promote(name)

        assert ModelStore(store.folder).champion() == promoted
        assert promoted.name == name
    assert sorted(path.name for path in store.folder.iterdir()) == [CHAMPION, "night-1", "night-2"]


def test_promoting_the_shipped_checkpoint_creates_the_store(tmp_path: Path, shipped: Path) -> None:
    store = ModelStore(tmp_path / "new" / "models")
    store.promote("base")

    assert store.champion().folder == shipped / "base"
    assert (store.folder / CHAMPION).is_file()


@pytest.mark.parametrize("name", ["night-9", "", "../shipped/base", ".", CHAMPION])
def test_promoting_an_unknown_name_tells_what_is_at_hand_and_changes_nothing(
    store: ModelStore, name: str
) -> None:
    store.promote("night-1")

    with pytest.raises(CheckpointError, match="at hand: base, night-1, night-2"):
        store.promote(name)
    assert store.champion().name == "night-1"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"night-1"', "\xff\xfe"])
def test_a_damaged_pointer_is_named_and_never_falls_back_in_silence(
    store: ModelStore, text: str
) -> None:
    (store.folder / CHAMPION).write_bytes(text.encode("latin-1"))

    with pytest.raises(CheckpointError, match=r"champion\.json cannot be read"):
        store.champion()


@pytest.mark.parametrize("pointer", [{}, {"version": None}, {"version": ["night-1"]}])
def test_a_pointer_without_a_version_is_refused(store: ModelStore, pointer: object) -> None:
    (store.folder / CHAMPION).write_text(json.dumps(pointer))

    with pytest.raises(CheckpointError, match="has no checkpoint"):
        store.champion()


def test_a_champion_that_is_gone_is_named(store: ModelStore) -> None:
    store.promote("night-2")
    (store.folder / "night-2").rename(store.folder.parent / "elsewhere")

    with pytest.raises(CheckpointError, match="no checkpoint 'night-2'; at hand: base, night-1"):
        store.champion()


def test_a_champion_that_was_replaced_under_its_name_is_refused(store: ModelStore) -> None:
    store.promote("night-2")
    (store.folder / "night-2").rename(store.folder.parent / "elsewhere")
    add(store.folder, "night-2", seed=5)

    with pytest.raises(CheckpointError, match=r"night-2 is not the checkpoint that was promoted"):
        store.champion()
    store.promote("night-2")
    assert store.champion().name == "night-2"


def test_a_version_of_the_store_comes_before_a_shipped_one_of_the_same_name(
    store: ModelStore,
) -> None:
    own = add(store.folder, "base", seed=4)

    assert store.promote("base").sha256 == own
    assert [version.name for version in store.versions()].count("base") == 1


def test_a_damaged_neighbour_keeps_nobody_from_promoting_and_using_another(
    store: ModelStore,
) -> None:
    (store.folder / "night-1" / CARD).write_text("{")

    store.promote("night-2")
    assert store.champion().name == "night-2"
    with pytest.raises(CheckpointError, match=r"night-1.card\.json"):
        store.promote("night-1")


def test_the_program_ships_a_checkpoint_for_the_line(tmp_path: Path) -> None:
    version = ModelStore(tmp_path).champion()

    assert version.folder.parent == store_module.SHIPPED
    assert (version.folder / "weights.safetensors").stat().st_size > 1_000_000
