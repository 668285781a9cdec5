from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from unet_core.checkpoint import Card, save_checkpoint
from unet_core.model import UNet
from unet_core.segment import Segmenter
from unet_core.store import SHIPPED, ModelStore
from worker.errors import ModelError
from worker.line import model_slot
from worker.line.model_slot import ModelSlot

CPU = torch.device("cpu")


@pytest.fixture
def store(tiny_store: ModelStore, tmp_path: Path) -> ModelStore:
    """A store of the test's own, with ``first`` as champion, and ``second``."""
    shutil.copytree(tiny_store.folder, tmp_path / "models")
    return ModelStore(tmp_path / "models")


def damage(store: ModelStore, name: str) -> None:
    weights = store.folder / name / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)


def test_the_champion_is_loaded_and_cuts_out(store: ModelStore) -> None:
    segmenter = ModelSlot(store, CPU).current
    assert segmenter.card.version == "first"
    (mask,) = segmenter.segment([np.zeros((20, 30, 3), np.uint8)])
    assert (mask.shape, mask.dtype) == ((20, 30), np.uint8)


def test_a_new_champion_is_taken_up_and_jobs_under_way_keep_theirs(store: ModelStore) -> None:
    slot = ModelSlot(store, CPU)
    before = slot.current
    assert not slot.refresh()
    assert slot.current is before
    store.promote("second")
    assert slot.refresh()
    assert (before.card.version, slot.current.card.version) == ("first", "second")
    assert not slot.refresh()


def test_a_rollback_is_taken_up_too(store: ModelStore) -> None:
    slot = ModelSlot(store, CPU)
    for name in ("second", "first"):
        store.promote(name)
        assert slot.refresh()
        assert slot.current.card.version == name


def test_a_damaged_champion_is_refused_and_not_tried_again(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slot = ModelSlot(store, CPU)
    store.promote("second")
    damage(store, "second")  # afterwards: a damaged checkpoint is not promoted at all
    assert not slot.refresh()
    assert slot.current.card.version == "first"
    assert "damaged" in caplog.text
    monkeypatch.setattr(Segmenter, "load", lambda *_: pytest.fail("it was tried again"))
    assert not slot.refresh()


def test_a_champion_that_a_disk_did_not_read_is_tried_again(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = ModelSlot(store, CPU)
    store.promote("second")

    def unread(*_: object) -> bytes:
        raise OSError("Stale file handle")

    for method in ("read_bytes", "glob"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, method, unread)
            assert not slot.refresh()
    assert slot.refresh()
    assert slot.current.card.version == "second"


def test_a_good_champion_after_a_damaged_one_is_taken_up(store: ModelStore) -> None:
    slot = ModelSlot(store, CPU)
    store.promote("second")
    damage(store, "second")  # afterwards: a damaged checkpoint is not promoted at all
    slot.refresh()
    torch.manual_seed(9)
    network = UNet(width=4, depth=2, fold=2, norm="batch")
    save_checkpoint(store.folder / "third", network, Card(version="third"))
    store.promote("third")
    assert slot.refresh()
    assert slot.current.card.version == "third"


def test_a_champion_of_another_architecture_is_refused(store: ModelStore) -> None:
    slot = ModelSlot(store, CPU)
    network = UNet(in_channels=1, width=4, depth=2)
    save_checkpoint(store.folder / "grey", network, Card(version="grey"))
    store.promote("grey")
    assert not slot.refresh()
    assert slot.current.card.version == "first"


@pytest.mark.parametrize(
    "text", ["not json", '{"version": "gone", "sha256": "0"}', '{"version": "second"}']
)
def test_a_champion_file_that_names_nothing_usable_changes_nothing(
    store: ModelStore, text: str
) -> None:
    slot = ModelSlot(store, CPU)
    (store.folder / "champion.json").write_text(text)
    assert not slot.refresh()
    assert slot.current.card.version == "first"


def test_without_a_champion_a_worker_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unet_core.store.SHIPPED", tmp_path / "shipped")
    with pytest.raises(ModelError, match="no champion"):
        ModelSlot(ModelStore(tmp_path), CPU)


def test_a_damaged_champion_at_the_start_is_an_error_with_its_cure(store: ModelStore) -> None:
    damage(store, "first")
    with pytest.raises(ModelError, match=r"damaged.*copy the checkpoint again"):
        ModelSlot(store, CPU)


def test_a_slot_that_follows_takes_up_a_new_champion_by_itself(store: ModelStore) -> None:
    slot, stop = ModelSlot(store, CPU), threading.Event()
    thread = threading.Thread(target=slot.follow, args=(stop,), kwargs={"every_seconds": 0.02})
    store.promote("second")
    thread.start()
    for _ in range(500):
        if slot.current.card.version == "second":
            break
        stop.wait(0.02)
    stop.set()
    thread.join(10)
    assert slot.current.card.version == "second"


def test_a_champion_that_has_lost_the_golden_picture_is_refused(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    skills = {"first": 0.97, "second": 0.86}
    monkeypatch.setattr(model_slot, "golden_dice", lambda network: skills[network.card.version])
    slot = ModelSlot(store, CPU)
    store.promote("second")
    assert not slot.refresh()
    assert slot.current.card.version == "first"
    assert "with Dice 0.860, where first reaches 0.970" in caplog.text
    skills["second"] = 0.88
    assert ModelSlot(store, CPU).current.card.version == "second", (
        "a first one has no other beside it"
    )
    assert "is it the right checkpoint" not in caplog.text
    skills["second"] = 0.2
    assert ModelSlot(store, CPU).skill == 0.2
    assert "second cuts out the golden picture with Dice 0.200: is it the right" in caplog.text


def test_the_checkpoint_that_comes_along_knows_the_golden_picture() -> None:
    shipped = Segmenter.load(ModelStore(SHIPPED).champion(), CPU)
    assert model_slot.golden_dice(shipped) > 0.95
