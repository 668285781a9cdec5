"""What computes: which device is taken, in which type, and what an error there means."""

from __future__ import annotations

import pytest
import torch

from unet_core import devices
from unet_core.devices import (
    DeviceError,
    choose_device,
    inference_dtype,
    is_lost,
    is_out_of_memory,
    training_dtype,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["banana", "", "meta", "hpu", "cuda:99", "cpu:x"])
def test_an_unknown_device_is_refused_by_name_in_one_line(name: str) -> None:
    with pytest.raises(DeviceError, match=f"the device '{name}' cannot be used here") as caught:
        choose_device(name)
    assert "choose auto, cpu, cuda" in str(caught.value)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


def test_a_name_that_torch_does_not_know_is_refused_without_a_list_of_all() -> None:
    with pytest.raises(
        DeviceError, match=r"'gpu' cannot be used here \(there is no such device\);"
    ):
        choose_device("gpu")


def test_auto_takes_a_device_that_computes() -> None:
    device = choose_device()

    assert choose_device(device.type).type == device.type
    assert float(torch.ones(2, device=device).sum()) == 2
    assert choose_device("cpu") == CPU


def test_each_device_computes_in_a_type_of_its_own() -> None:
    assert inference_dtype(torch.device("cuda")) == torch.float16
    assert inference_dtype(torch.device("mps")) == torch.float32
    assert inference_dtype(CPU) in (torch.float32, torch.bfloat16)


def test_a_gpu_that_computes_nothing_is_not_taken_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def probe(device: torch.device) -> None:
        if device.type == "cuda":
            raise RuntimeError("CUDA error: no kernel image is available\nmore")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(devices, "_probe", probe)
    assert choose_device().type != "cuda"
    assert "cuda cannot be used (CUDA error: no kernel image is available)" in caplog.text
    monkeypatch.setattr(devices, "_probe", lambda device: None)
    assert choose_device().type == "cuda"


@pytest.mark.parametrize(
    ("capability", "dtype"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16)]
)
def test_old_cards_train_in_float32(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert training_dtype(torch.device("cuda")) == dtype
    assert training_dtype(torch.device("mps")) == torch.float32


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.cuda.OutOfMemoryError("tried to allocate 2 GiB"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("GET was unable to find an engine to execute this computation"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_that_is_short_has_many_names(error: Exception, full: bool) -> None:
    assert is_out_of_memory(error) == full


@pytest.mark.parametrize(
    ("words", "lost"),
    [("an illegal memory access was encountered", True), ("out of memory", False)],
)
def test_a_device_is_lost_when_it_computes_nothing_more(
    monkeypatch: pytest.MonkeyPatch, words: str, lost: bool
) -> None:
    assert not is_lost(CPU)

    def probe(device: torch.device) -> None:
        raise RuntimeError(f"CUDA error: {words}")

    monkeypatch.setattr(devices, "_probe", probe)
    assert is_lost(CPU) == lost
