"""OpenVINO instead of PyTorch: the same masks, of any size, from several threads; a choice that
cannot be had is refused before the first photo."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.unet_core.test_segment import pictures, trained_looking
from unet_core import openvino_network
from unet_core.checkpoint import load_checkpoint
from unet_core.data import read_pair
from unet_core.devices import DeviceError, choose_device
from unet_core.model import UNet
from unet_core.openvino_network import OpenVinoNetwork
from unet_core.segment import Segmenter
from unet_core.store import SHIPPED, ModelStore
from worker.finish.golden import GOLDEN

CPU = torch.device("cpu")
pytest.importorskip("openvino", reason="the extra openvino is not installed")


def expected(network: UNet, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    x = torch.from_numpy(batch).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        return np.asarray(torch.sigmoid(network(x))[:, 0].numpy() * 255, np.float32)


@pytest.fixture(scope="module")
def network() -> UNet:
    return trained_looking(norm="batch", fold=2)


@pytest.fixture(scope="module")
def by_openvino(network: UNet) -> OpenVinoNetwork:
    return OpenVinoNetwork(network, torch.float32)


@pytest.mark.parametrize(
    ("count", "size"), [(1, (64, 96)), (3, (50, 70)), (1, (1, 1)), (2, (33, 8)), (1, (64, 96))]
)
def test_the_masks_are_the_networks_own(
    network: UNet, by_openvino: OpenVinoNetwork, count: int, size: tuple[int, int]
) -> None:
    batch = np.stack(pictures(count, *size))

    masks = by_openvino(batch)

    assert (masks.shape, masks.dtype) == ((count, *size), np.uint8)
    truth = expected(network, batch)
    assert np.abs(masks - truth).max() <= 0.51
    assert size == (1, 1) or truth.std() > 20


def test_that_openvino_does_not_take_a_network_is_one_kind_of_error(
    network: UNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ItsOwnError(Exception):
        pass

    def refuse(network: UNet) -> None:
        raise ItsOwnError("no such operation")

    monkeypatch.setattr(openvino_network, "translated", refuse)
    with pytest.raises(RuntimeError, match="does not take the network: no such operation"):
        OpenVinoNetwork(network, torch.float32)


def test_many_threads_each_get_their_own_mask(network: UNet, by_openvino: OpenVinoNetwork) -> None:
    batches = [np.stack(pictures(1, 40 + side, 60)) for side in range(8)] * 4

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(by_openvino, batches))

    for batch, masks in zip(batches, found, strict=True):
        assert np.abs(masks - expected(network, batch)).max() <= 0.51


def test_the_shipped_network_cuts_out_alike_by_both() -> None:
    network, card = load_checkpoint(ModelStore(SHIPPED).champion().folder)
    by_torch, by_openvino = (
        Segmenter(network, card, CPU, runtime) for runtime in ("torch", "openvino")
    )
    picture = by_torch.prepare(read_pair(GOLDEN)[0])

    masks = [each.segment([picture])[0].astype(int) for each in (by_torch, by_openvino)]

    assert ((masks[0] > 127) != (masks[1] > 127)).mean() < 0.0005
    assert np.abs(masks[0] - masks[1]).mean() < 0.2
    assert [each.place for each in (by_torch, by_openvino)] == ["cpu", "cpu by openvino"]


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_it_runs_on_the_cpu(device: str) -> None:
    assert choose_device(device, "openvino") == CPU


def test_another_device_is_refused_with_it() -> None:
    with pytest.raises(DeviceError, match="on the CPU, not on 'cuda'; take the device cpu"):
        choose_device("cuda", "openvino")


def test_that_it_is_not_installed_is_said_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)

    with pytest.raises(DeviceError, match=r'pip install "cyclorama\[openvino\]"'):
        choose_device("auto", "openvino")
