"""The model store: one champion, named with its hash; damage is told and stays where it is."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from unet_core import store as store_module
from unet_core.checkpoint import CARD, WEIGHTS, Card, CheckpointError, save_checkpoint
from unet_core.model import UNet
from unet_core.store import CHAMPION, HISTORY, ModelStore


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
    there = sorted(path.name for path in store.folder.iterdir())
    assert there == [CHAMPION, HISTORY, "night-1", "night-2"]


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

    with pytest.raises(
        CheckpointError, match=r"(?s)champion\.json cannot be read: .*promote again"
    ):
        store.champion()
    store.promote("night-1")
    assert store.champion().name == "night-1"


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


def champions(store: ModelStore) -> list[tuple[str, str]]:
    return [(row.event, row.champion.version) for row in store.history()]


def damage(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)


def test_a_damaged_checkpoint_never_becomes_champion(store: ModelStore) -> None:
    store.promote("night-1")
    damage(store.folder / "night-2")

    with pytest.raises(CheckpointError, match=r"night-2.weights\.safetensors has sha256 .*damaged"):
        store.promote("night-2")
    assert store.champion().name == "night-1"
    assert champions(store) == [("promotion", "night-1")]


def test_the_history_says_who_followed_whom_when_why_and_by_whom(store: ModelStore) -> None:
    first = store.promote("night-1", reason="better wheels", by="ann@studio")
    second = store.promote("night-2")

    one, two = store.history()
    assert (one.reason, one.by, two.reason, two.by) == ("better wheels", "ann@studio", "", "")
    assert one.previous is not None and one.previous.version == "base"
    assert (one.champion, one.champion.sha256) == (two.previous, first.sha256)
    assert two.champion.sha256 == second.sha256
    assert one.when.tzinfo is not None and one.when <= two.when


def test_rollback_goes_back_step_by_step_and_says_when_it_can_go_no_further(
    store: ModelStore,
) -> None:
    for name in ("night-1", "night-2", "night-1", "night-1"):
        store.promote(name)

    assert [store.rollback().name for _ in range(3)] == ["night-2", "night-1", "base"]
    assert store.champion().name == "base"
    for _ in range(2):
        with pytest.raises(CheckpointError, match="no champion before the present one; promote"):
            store.rollback()
    assert champions(store)[-2:] == [("rollback", "night-1"), ("rollback", "base")]


def test_after_a_rollback_the_one_rolled_back_from_is_not_gone_back_to(store: ModelStore) -> None:
    store.promote("night-1")
    store.promote("night-2")
    store.rollback()
    add(store.folder, "night-3", seed=3)
    store.promote("night-3")

    assert [store.rollback().name for _ in range(2)] == ["night-1", "base"]


def test_without_a_promotion_there_is_nothing_to_go_back_to(store: ModelStore) -> None:
    with pytest.raises(CheckpointError, match="no champion before the present one"):
        store.rollback()
    assert not (store.folder / HISTORY).exists()


def test_a_champion_before_that_is_damaged_is_named_and_the_present_one_stays(
    store: ModelStore,
) -> None:
    store.promote("night-1")
    store.promote("night-2")
    damage(store.folder / "night-1")

    with pytest.raises(CheckpointError, match=r"night-1.*damaged"):
        store.rollback()
    assert store.champion().name == "night-2"


def test_rollback_leads_out_of_a_champion_that_is_gone(store: ModelStore) -> None:
    store.promote("night-1")
    store.promote("night-2")
    (store.folder / "night-2").rename(store.folder.parent / "elsewhere")

    assert store.rollback().name == "night-1"
    assert store.champion().name == "night-1"


def test_a_promotion_that_was_cut_short_is_not_gone_back_to(store: ModelStore) -> None:
    store.promote("night-1")
    pointer = (store.folder / CHAMPION).read_bytes()
    store.promote("night-2")
    (store.folder / CHAMPION).write_bytes(pointer)  # as if it had died between history and change

    assert store.rollback().name == "base"
    store.promote("night-2")
    assert store.rollback().name == "base"


def test_half_a_line_of_a_crash_is_passed_over_and_the_next_one_is_whole(
    store: ModelStore,
) -> None:
    store.promote("night-1")
    with (store.folder / HISTORY).open("a") as handle:
        handle.write('{"when": "2031-')

    assert champions(store) == [("promotion", "night-1")]
    store.promote("night-2")
    assert champions(store) == [("promotion", "night-1"), ("promotion", "night-2")]


def test_a_damaged_line_of_the_history_is_named_and_hinders_no_promotion(
    store: ModelStore,
) -> None:
    store.promote("night-1")
    (store.folder / HISTORY).write_text("so it was\n")
    store.promote("night-2")

    with pytest.raises(CheckpointError, match=r"history\.jsonl line 1 is damaged"):
        store.rollback()
    assert store.champion().name == "night-2"


def test_of_many_who_promote_at_once_the_last_wins_and_the_history_has_them_all(
    store: ModelStore,
) -> None:
    names = ("night-1", "night-2")

    def promote(name: str) -> None:
        own = ModelStore(store.folder)
        for turn in range(20):
            own.promote(name, by=str(turn))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(promote, names))

    rows = store.history()
    for name in names:
        turns = [int(row.by) for row in rows if row.champion.version == name]
        assert turns == list(range(20))
    assert [row.previous for row in rows[1:]] == [row.champion for row in rows[:-1]]
    assert store.champion().name == rows[-1].champion.version


def test_what_dead_processes_left_is_harmless(store: ModelStore) -> None:
    (store.folder / f".{CHAMPION}.part").write_text("{")
    (store.folder / ".new.77.part").mkdir()
    (store.folder / ".new.77.part" / CARD).write_text("half a card")

    store.promote("night-1")
    store.publish(UNet(width=4, depth=1), Card(version="new"))
    assert store.champion().name == "night-1"
    assert [version.name for version in store.versions()] == ["base", "new", "night-1", "night-2"]


def test_a_checkpoint_from_elsewhere_is_added_under_its_own_or_another_name(
    store: ModelStore, tmp_path: Path
) -> None:
    sha256 = add(tmp_path / "usb", "night-7", seed=7)

    for name in (None, "tuesday"):
        version = store.add(tmp_path / "usb" / "night-7", name=name)
        assert (version.name, version.sha256) == (name or "night-7", sha256)
        assert store.promote(version.name) == version
        card = json.loads((version.folder / CARD).read_text())
        assert card["version"] == version.name


def test_a_damaged_checkpoint_is_not_added_and_leaves_nothing(
    store: ModelStore, tmp_path: Path
) -> None:
    add(tmp_path / "usb", "night-7", seed=7)
    damage(tmp_path / "usb" / "night-7")
    before = sorted(store.folder.iterdir())

    with pytest.raises(CheckpointError, match="damaged"):
        store.add(tmp_path / "usb" / "night-7")
    assert sorted(store.folder.iterdir()) == before


@pytest.mark.parametrize("name", ["night-1", "base", CHAMPION, HISTORY])
def test_a_name_that_is_taken_is_refused(store: ModelStore, name: str) -> None:
    with pytest.raises(CheckpointError, match=f"{name} is taken in .*choose another"):
        store.publish(UNet(width=4, depth=1), Card(version=name))


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a b", "wagen-ä", "x" * 101])
def test_a_name_that_is_no_folder_name_everywhere_is_refused(store: ModelStore, name: str) -> None:
    with pytest.raises(CheckpointError, match="cannot be the name of a checkpoint"):
        store.publish(UNet(width=4, depth=1), Card(version=name))


def test_the_program_ships_a_checkpoint_for_the_line(tmp_path: Path) -> None:
    version = ModelStore(tmp_path).champion()

    assert version.folder.parent == store_module.SHIPPED
    assert (version.folder / "weights.safetensors").stat().st_size > 1_000_000


def test_a_checkpoint_that_changes_while_it_is_copied_is_not_added(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(tmp_path / "usb", "night-7", seed=7)
    before, copyfile = sorted(store.folder.iterdir()), shutil.copyfile

    def badly(source: Path, target: Path) -> None:
        copyfile(source, target)
        damage(target.parent)

    monkeypatch.setattr(shutil, "copyfile", badly)
    with pytest.raises(CheckpointError, match="changed while it was copied; add it again"):
        store.add(tmp_path / "usb" / "night-7")
    assert sorted(store.folder.iterdir()) == before


def test_the_history_is_on_the_disk_before_the_champion_changes_and_the_change_before_it_is_told(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.promote("night-1")
    names = {
        (store.folder / HISTORY).stat().st_ino: "history",
        store.folder.stat().st_ino: "folder",
    }
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noting_fsync(handle: int) -> None:
        if name := names.get(os.fstat(handle).st_ino):
            events.append(name)
        fsync(handle)

    def noting_replace(path: Path, target: Path) -> Path:
        events.append(target.name)
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    store.promote("night-2")
    assert events == ["history", "folder", CHAMPION, "folder"]
