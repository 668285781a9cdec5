"""Plain PyTorch files: the network is told by its tensors, and no code of a file is ever run."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unet_core.checkpoint import CheckpointError
from unet_core.model import UNet, UNetConfig
from unet_core.pth import infer_config, load_pth


class DoubleConv(nn.Module):
    """The tutorial's own blocks, written once more, so that the names are not ours."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_op = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Any:
        return self.conv_op(x)


class Down(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv, self.pool = DoubleConv(inputs, outputs), nn.MaxPool2d(2, 2)

    def forward(self, x: Tensor) -> Any:
        return (skip := self.conv(x)), self.pool(skip)


class Up(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, inputs // 2, 2, 2)
        self.conv = DoubleConv(inputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Any:
        return self.conv(torch.cat([self.up(x), skip], 1))


class Tutorial(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.down_convolution_1 = Down(3, width)
        self.down_convolution_2 = Down(width, 2 * width)
        self.bottle_neck = DoubleConv(2 * width, 4 * width)
        self.up_convolution_1 = Up(4 * width, 2 * width)
        self.up_convolution_2 = Up(2 * width, width)
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Any:
        one, x = self.down_convolution_1(x)
        two, x = self.down_convolution_2(x)
        return self.out(self.up_convolution_2(self.up_convolution_1(self.bottle_neck(x), two), one))


class Bomb:
    """What a pickle does to whoever trusts it: creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return open, (str(self.target), "w")


def state(**shape: Any) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return UNet(**({"width": 4, "depth": 2} | shape)).state_dict()


def test_the_tutorials_network_gives_the_same_logits_once_imported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = Tutorial(4).eval()
    torch.save(theirs.state_dict(), tmp_path / "unet.pth")
    ours = load_pth(tmp_path / "unet.pth")

    assert ours.config == UNetConfig(3, 1, width=4, depth=2)
    assert not ours.training
    x = torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"out_channels": 10, "width": 6, "depth": 3},
        {"in_channels": 1},
        {"in_channels": 5, "out_channels": 4},
        {"norm": "batch", "fold": 2},
        {"fold": 4},
        {"depth": 3, "max_width": 12},
        {"in_channels": 1, "fold": 3},
        {"in_channels": 4, "out_channels": 3},
    ],
)
def test_the_network_is_told_by_names_and_shapes(shape: dict[str, Any]) -> None:
    network = UNet(**({"width": 4, "depth": 2} | shape))
    assert infer_config(network.state_dict()) == network.config


def test_a_fold_that_shapes_leave_open_is_asked_for() -> None:
    tensors = state(in_channels=4, out_channels=4)
    with pytest.raises(ValueError, match=r"may be a fold of 1 or 2; say which \(--fold\)"):
        infer_config(tensors)
    assert infer_config(tensors, fold=1).in_channels == 4
    assert infer_config(tensors, fold=2).in_channels == 1
    with pytest.raises(ValueError, match="do not go with a fold of 3"):
        infer_config(tensors, fold=3)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda plain: {"state_dict": plain, "epoch": 3, "optimizer": {"lr": 0.1}},
        lambda plain: {"model": plain},
        lambda plain: {"model_state_dict": plain},
        lambda plain: {f"module.{name}": value for name, value in plain.items()},
        lambda plain: {"state_dict": {f"module.{name}": value for name, value in plain.items()}},
        lambda plain: {f"_orig_mod.{name}": nn.Parameter(value) for name, value in plain.items()},
        lambda plain: {name: value.half() for name, value in plain.items()},
    ],
)
def test_what_training_scripts_wrap_around_is_taken_off(
    tmp_path: Path, wrap: Callable[[dict[str, Tensor]], Any]
) -> None:
    torch.save(wrap(state()), tmp_path / "unet.pth")

    found = load_pth(tmp_path / "unet.pth").state_dict()
    for name, value in state().items():
        torch.testing.assert_close(found[name], value, atol=1e-3, rtol=0)


@pytest.mark.parametrize("force", ["0", "1"])
@pytest.mark.parametrize("form", ["zip", "zip in a state dict", "old", "bare pickle"])
def test_code_in_a_file_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, force: str
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", force)
    path, trace = tmp_path / "unet.pth", tmp_path / "it-ran"
    match form:
        case "zip":
            torch.save(Bomb(trace), path)
        case "zip in a state dict":
            torch.save({"state_dict": state(), "extra": Bomb(trace)}, path)
        case "old":
            torch.save(Bomb(trace), path, _use_new_zipfile_serialization=False)
        case _:
            path.write_bytes(pickle.dumps(Bomb(trace)))

    with pytest.raises(CheckpointError) as refused:
        load_pth(path)
    assert not trace.exists()
    assert "none of its code was run" in str(refused.value)
    assert str(path) in str(refused.value)
    assert "torch.save(network.state_dict(), FILE)" in str(refused.value)
    assert "weights_only" not in str(refused.value), "nobody is told how to run it after all"


def test_the_bomb_of_these_tests_goes_off_where_pickles_are_trusted(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "it-ran"))).close()
    assert (tmp_path / "it-ran").exists()


def test_a_whole_pickled_network_is_refused_with_what_it_needs(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Conv2d(3, 1, 1)), tmp_path / "unet.pth")
    with pytest.raises(CheckpointError, match=r"Sequential.*save the tensors alone"):
        load_pth(tmp_path / "unet.pth")


def test_options_beside_the_tensors_are_refused_by_their_class(tmp_path: Path) -> None:
    torch.save({"model": state(), "args": argparse.Namespace(lr=1)}, tmp_path / "unet.pth")
    with pytest.raises(CheckpointError, match=r"argparse\.Namespace.*save the tensors alone"):
        load_pth(tmp_path / "unet.pth")


@pytest.mark.parametrize("data", [b"", b"not at all", b"\x80\x02.", b"PK\x03\x04 cut off"])
def test_what_is_no_pytorch_file_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "unet.pth").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"unet\.pth is no plain state dict"):
        load_pth(tmp_path / "unet.pth")


def test_another_zip_file_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "unet.pth", "w") as archive:
        archive.writestr("photo.txt", "no network")
    with pytest.raises(CheckpointError, match=r"unet\.pth is no plain state dict"):
        load_pth(tmp_path / "unet.pth")


def test_a_file_that_is_not_there_is_named_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"x\.pth cannot be read: No such file.*give a \.pth"):
        load_pth(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("out.bias"), r"1 missing: out\.bias"),
        (lambda s: s.update(head=torch.zeros(1)), r"1 unexpected: head"),
        (
            lambda s: s.update({"bottle_neck.conv_op.0.weight": torch.zeros(16, 9, 3, 3)}),
            r"1 of another shape: bottle_neck\.conv_op\.0\.weight is \(16, 9, 3, 3\), "
            r"expected \(16, 8, 3, 3\)",
        ),
        (lambda s: s["out.bias"].fill_(torch.nan), r"out\.bias: it holds what is no number"),
        (lambda s: s.pop("out.weight"), r"out\.weight was expected; found down_convolution_1"),
        (lambda s: s.update({"out.weight": torch.zeros(4)}), r"out\.weight is \(4,\)"),
        (lambda s: s.update({"out.weight": torch.zeros(0, 4, 1, 1)}), r"UNetConfig\.out_channels"),
        (lambda s: s.update(epoch=3), r"'epoch': int, where names with tensors were expected"),
        (lambda s: s.clear(), r"no state dict"),
    ],
)
def test_whatever_does_not_fit_is_refused_with_what_was_expected_and_found(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    tensors = state()
    change(tensors)
    torch.save(tensors, tmp_path / "unet.pth")
    with pytest.raises(CheckpointError, match=rf"(?s)unet\.pth .*{words}"):
        load_pth(tmp_path / "unet.pth")
