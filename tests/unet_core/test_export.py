"""The ONNX file: the same masks as in torch at any size, and it says how it wants to be fed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from unet_core import export
from unet_core.booth import Booth
from unet_core.checkpoint import Card, load_checkpoint
from unet_core.export import ExportError, export_onnx, metadata
from unet_core.model import UNet
from unet_core.store import SHIPPED, ModelStore

Masks = NDArray[np.uint8]


def tiny(**shape: Any) -> UNet:
    torch.manual_seed(2)
    network = UNet(**({"width": 4, "depth": 2, "norm": "batch", "fold": 2} | shape))
    network(torch.rand(2, 3, 32, 32))  # moves the running statistics
    with torch.no_grad():  # as sure of itself as a trained one: masks from empty to full
        logits = network.eval()(torch.rand(1, 3, 64, 64))
        network.out.bias -= logits.mean()
        for weight in (network.out.weight, network.out.bias):
            weight *= 3 / logits.std()
    return network


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def bytes_of(probability: Any) -> Masks:
    return np.round(np.asarray(probability) * 255).astype(np.uint8)


def assert_same_masks(network: UNet, runtime: onnxruntime.InferenceSession, x: Any) -> None:
    with torch.inference_mode():
        ours = bytes_of(torch.sigmoid(network(torch.from_numpy(x))))
    theirs = bytes_of(runtime.run(["mask"], {"picture": x})[0])
    assert x[0].size < 1000 or np.ptp(ours) > 200, "masks that differ nowhere say nothing"
    assert ours.shape == theirs.shape == (len(x), 1, *x.shape[2:])
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert np.mean((ours >= 128) != (theirs >= 128)) <= 1e-4


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network's file, in a folder of its own."""
    path = tmp_path_factory.mktemp("export") / "new" / "tiny.onnx"
    export_onnx(tiny(), Card(version="night-1", sha256="abc", long_side_px=960), path)
    return path


def assert_same_masks_at_any_size(network: UNet, path: Path) -> None:
    rng = np.random.default_rng(0)
    for size in [(1, 250, 333), (3, 64, 64), (2, 8, 120), (1, 1, 1), (1, 7, 2)]:
        x = rng.random((size[0], 3, *size[1:]), np.float32)
        assert_same_masks(network, session(path), x)


def test_masks_are_the_same_as_in_torch_at_any_size_and_number(exported: Path) -> None:
    assert_same_masks_at_any_size(tiny(), exported)


def test_so_are_those_of_the_classic_form(tmp_path: Path) -> None:
    network = tiny(norm="none", fold=1)
    export_onnx(network, Card(version="classic"), tmp_path / "classic.onnx")
    assert_same_masks_at_any_size(network, tmp_path / "classic.onnx")


def test_the_shipped_checkpoint_cuts_out_the_same_in_onnx_runtime(tmp_path: Path) -> None:
    network, card = load_checkpoint(ModelStore(SHIPPED).champion().folder)
    export_onnx(network, card, tmp_path / "car.onnx")
    photo = Booth(seed=15, width=111, height=84, samples=2).render(3).image
    photo = cv2.resize(photo, (333, 250), interpolation=cv2.INTER_CUBIC)
    x = np.ascontiguousarray(photo.transpose(2, 0, 1)[None], np.float32) / np.float32(255)

    runtime = session(tmp_path / "car.onnx")
    assert_same_masks(network, runtime, x)
    share = float(np.mean(runtime.run(["mask"], {"picture": x})[0]))
    assert 0.05 < share < 0.95, "it sees a car, or the test says nothing"


def test_the_file_says_from_what_it_is_and_how_to_feed_it(exported: Path) -> None:
    runtime = session(exported)
    said = runtime.get_modelmeta().custom_metadata_map
    assert (said["version"], said["sha256"]) == ("night-1", "abc")
    assert "long side of 960 px" in said["size"]
    assert "RGB" in said["input"] and "[0, 1]" in said["input"]
    assert "probability" in said["output"]
    (picture,), (mask,) = runtime.get_inputs(), runtime.get_outputs()
    assert (picture.name, picture.type) == ("picture", "tensor(float)")
    assert (mask.name, mask.type) == ("mask", "tensor(float)")
    assert (picture.shape, mask.shape) == (["n", 3, "h", "w"], ["n", 1, "h", "w"])


def test_a_squashed_size_is_told_as_width_by_height() -> None:
    said = metadata(Card(version="x", squash_px=(320, 512)))
    assert "squash to 512x320 px (width x height)" in said["size"]


def test_a_finished_file_leaves_nothing_beside_it(exported: Path) -> None:
    assert [path.name for path in exported.parent.iterdir()] == ["tiny.onnx"]


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "n.onnx").write_text("mine")
    with pytest.raises(ExportError, match=r"n\.onnx is there already"):
        export_onnx(tiny(), Card(version="x"), tmp_path / "n.onnx")
    assert (tmp_path / "n.onnx").read_text() == "mine"


@pytest.mark.parametrize(
    "shape", [{"in_channels": 1}, {"out_channels": 10}, {"padding": "valid", "fold": 1}]
)
def test_a_network_that_is_not_from_rgb_to_one_mask_is_refused(
    tmp_path: Path, shape: dict[str, Any]
) -> None:
    network = UNet(**({"width": 4, "depth": 1} | shape))
    with pytest.raises(ExportError, match=r"UNetConfig.*RGB to one mask .* is needed"):
        export_onnx(network, Card(version="x"), tmp_path / "n.onnx")


def test_a_file_that_gives_other_masks_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "fuse_batch_norm", lambda network: tiny(fold=4))
    with pytest.raises(ExportError, match=r"would be up to 0\.\d+ off.*install the exporter again"):
        export_onnx(tiny(), Card(version="x"), tmp_path / "n.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_its_installation_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"onnx, onnxruntime, onnxscript; .*cyclorama\[onnx\]"):
        export_onnx(tiny(), Card(version="x"), tmp_path / "n.onnx")
    assert list(tmp_path.iterdir()) == []
