"""A checkpoint: what was saved is what is loaded, and whatever does not fit is refused by name."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from unet_core.checkpoint import (
    CARD,
    WEIGHTS,
    Card,
    CheckpointError,
    appears_whole,
    file_sha256,
    load_checkpoint,
    read_card,
    save_checkpoint,
)
from unet_core.model import UNet


def network() -> UNet:
    torch.manual_seed(3)
    tiny = UNet(width=4, depth=2, norm="batch", fold=2)
    tiny(torch.rand(2, 3, 32, 32))  # moves the running statistics
    return tiny.eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "store" / "v1", network(), Card(version="v1"))
    return tmp_path / "store" / "v1"


def edit_card(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | changes))


def test_what_was_saved_is_loaded_rounded_to_half_precision(folder: Path) -> None:
    original = network()
    loaded, card = load_checkpoint(folder)

    assert loaded.config == original.config
    assert not loaded.training
    for name, value in original.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == value.dtype
        expected = value.half().float() if value.is_floating_point() else value
        assert torch.equal(found, expected), name
    x = torch.rand(1, 3, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), original(x), atol=5e-3, rtol=0)
    assert card == read_card(folder)


def test_weights_lie_on_disk_in_half_precision(folder: Path) -> None:
    stored = load_file(folder / WEIGHTS)

    assert stored["out.weight"].dtype == torch.float16
    assert stored["bottle_neck.conv_op.1.num_batches_tracked"].dtype == torch.int64


def test_the_returned_card_is_complete_and_the_one_on_disk(tmp_path: Path) -> None:
    given = Card(version="v2", long_side_px=640, metrics={"dice_mean": 0.99}, parent="v1")
    card = save_checkpoint(tmp_path / "v2", network(), given)

    assert card == read_card(tmp_path / "v2")
    assert card.sha256 == file_sha256(tmp_path / "v2" / WEIGHTS)
    assert card.network == asdict(network().config)
    assert (card.long_side_px, card.metrics, card.parent) == (640, {"dice_mean": 0.99}, "v1")


@pytest.mark.parametrize("place", [0, 900, -1])
def test_one_flipped_byte_in_the_weights_is_refused_by_the_hash(folder: Path, place: int) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[place] ^= 1
    (folder / WEIGHTS).write_bytes(data)

    with pytest.raises(CheckpointError, match=r"v1.weights\.safetensors has sha256 .*damaged"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"width": 8},
            r"55 of another shape: down_convolution_1\.conv\.conv_op\.0\.weight "
            r"is \(4, 12, 3, 3\), expected \(8, 12, 3, 3\), .*, …; ",
        ),
        ({"depth": 3}, r"26 missing: down_convolution_3\.conv\.conv_op\.0\.weight, .*of another"),
        ({"norm": "none"}, r"15 missing: down_convolution_1\.conv\.conv_op\.0\.bias.*unexpected: "),
        ({"fold": 0}, r"UNetConfig\.fold"),
        ({"width": 10**6}, "55 of another shape"),  # and nothing of that size is allocated
        ({"attention": True}, "attention"),
    ],
)
def test_a_card_of_another_architecture_is_refused_with_names(
    folder: Path, change: dict[str, Any], named: str
) -> None:
    edit_card(folder, network=read_card(folder).network | change)

    with pytest.raises(CheckpointError, match=f"(?s)v1: weights and card do not fit: .*{named}"):
        load_checkpoint(folder)


def test_weights_that_are_no_safetensors_file_are_refused(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"not at all")
    edit_card(folder, sha256=file_sha256(folder / WEIGHTS))

    with pytest.raises(CheckpointError, match="v1: weights and card do not fit"):
        load_checkpoint(folder)


def test_weights_with_a_missing_tensor_are_refused_with_its_name(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    del weights["out.bias"]
    save_file(weights, folder / WEIGHTS)
    edit_card(folder, sha256=file_sha256(folder / WEIGHTS))

    with pytest.raises(CheckpointError, match=r"out\.bias"):
        load_checkpoint(folder)


def test_weights_that_are_no_numbers_are_refused_by_name(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    weights["out.bias"][0] = float("nan")
    save_file(weights, folder / WEIGHTS)
    edit_card(folder, sha256=file_sha256(folder / WEIGHTS))

    with pytest.raises(CheckpointError, match=r"out\.bias: it holds what is no number"):
        load_checkpoint(folder)


def test_loading_leaves_the_random_numbers_of_the_program_alone(folder: Path) -> None:
    before = torch.get_rng_state()
    load_checkpoint(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loaded_network_can_be_trained_on(folder: Path) -> None:
    loaded, _ = load_checkpoint(folder)
    loaded.train()(torch.rand(2, 3, 32, 32)).sum().backward()
    assert all(weight.grad is not None for weight in loaded.parameters())


def test_missing_weights_are_named(folder: Path) -> None:
    (folder / WEIGHTS).unlink()

    with pytest.raises(CheckpointError, match=r"v1.weights\.safetensors cannot be read"):
        load_checkpoint(folder)


def test_a_folder_without_a_card_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=rf"{tmp_path} is no checkpoint: it has no card\.json"
    ):
        read_card(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', "\ud800"])
def test_a_damaged_card_is_named(folder: Path, text: str) -> None:
    (folder / CARD).write_bytes(text.encode("utf-8", "surrogatepass"))

    with pytest.raises(CheckpointError, match=r"card\.json cannot be used"):
        read_card(folder)


@pytest.mark.parametrize(
    "changes", [{"surprise": 1}, {"long_side_px": 63}, {"metrics": {"a": "b"}}]
)
def test_a_card_with_an_unknown_or_impossible_field_is_refused_by_its_name(
    folder: Path, changes: dict[str, Any]
) -> None:
    edit_card(folder, **changes)

    with pytest.raises(CheckpointError, match=next(iter(changes))):
        read_card(folder)


def test_a_checkpoint_is_never_overwritten(folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    with pytest.raises(CheckpointError, match="never overwritten"):
        save_checkpoint(folder, UNet(width=4, depth=2), Card(version="v1"))
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_of_two_that_write_the_same_version_at_once_one_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(CheckpointError, match="never overwritten"),
        appears_whole(tmp_path / "v1") as part,
    ):
        (part / CARD).write_text("late")
        first = save_checkpoint(tmp_path / "v1", network(), Card(version="v1"))
    assert load_checkpoint(tmp_path / "v1")[1] == first
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]


def test_a_finished_checkpoint_leaves_nothing_beside_it(folder: Path) -> None:
    assert [path.name for path in folder.parent.iterdir()] == ["v1"]
    assert sorted(path.name for path in folder.iterdir()) == [CARD, WEIGHTS]


def test_whoever_may_read_the_card_may_read_the_weights(folder: Path) -> None:
    # Training and workers often run as different users.
    assert (folder / WEIGHTS).stat().st_mode == (folder / CARD).stat().st_mode


def test_a_failed_save_leaves_nothing_behind(tmp_path: Path) -> None:
    card = Card(version="v1", recipe={"not for JSON": object()})

    with pytest.raises(ValueError, match="serialize"):
        save_checkpoint(tmp_path / "v1", network(), card)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_weights_that_half_precision_cannot_hold_are_never_written(
    tmp_path: Path, value: float
) -> None:
    broken = network()
    with torch.no_grad():
        broken.bottle_neck.conv_op[0].weight[0, 0, 0, 0] = value

    with pytest.raises(CheckpointError, match=r"bottle_neck\.conv_op\.0\.weight"):
        save_checkpoint(tmp_path / "v1", broken, Card(version="v1"))
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_on_the_disk_before_it_has_its_name_and_so_is_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def noting_fsync(handle: int) -> None:
        place = Path(f"/proc/self/fd/{handle}").readlink()
        events.append("part" if place.suffix == ".part" else place.name)
        fsync(handle)

    def noting_rename(path: Path, target: Path) -> Path:
        events.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "rename", noting_rename)
    save_checkpoint(tmp_path / "v1", network(), Card(version="v1"))
    assert sorted(events[:2]) == [CARD, WEIGHTS]
    assert events[2:] == ["part", "rename", tmp_path.name]
