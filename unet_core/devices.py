"""What computes here: which devices there are, what suits them, and what their errors mean."""

from __future__ import annotations

import importlib
import logging
from typing import Literal

import torch

log = logging.getLogger(__name__)

Runtime = Literal["torch", "openvino"]
"""What runs the network."""
_FULL = "out of memory", "ALLOC_FAILED", "unable to find an engine"
"""What CUDA, cuBLAS and cuDNN say where memory is short; the last one, of cuDNN, also where it has
nothing for a layer."""


class DeviceError(Exception):
    """A device or runtime that was asked for is not there; the message says which and what to
    do."""


def choose_device(name: str = "auto", runtime: Runtime = "torch") -> torch.device:
    """``auto`` takes CUDA, then Apple's MPS, if it computes, then the CPU, and for OpenVINO the CPU
    at once; any other name is taken as it is.

    Raises :class:`DeviceError` when the named device cannot be used here, or not by ``runtime``.
    """
    if runtime == "openvino":
        if name.partition(":")[0] not in ("auto", "cpu"):
            raise DeviceError(
                f"OpenVINO runs the network on the CPU, not on {name!r}; take the device cpu or "
                "auto with it, or the runtime torch"
            )
        try:
            importlib.import_module("openvino")
        except ImportError as error:
            raise DeviceError(
                f"the runtime openvino cannot be used here ({error}); install the extra: "
                'pip install "cyclorama[openvino]" (for an image: --build-arg EXTRAS=…,openvino), '
                "or take the runtime torch"
            ) from error
        return torch.device("cpu")
    if name == "auto":
        return _best()
    try:
        device = torch.device(name)
        _probe(device)
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        if reason.startswith("Expected one of"):  # some twenty kinds
            reason = "there is no such device"
        raise DeviceError(
            f"the device {name!r} cannot be used here ({reason}); "
            "choose auto, cpu, cuda, cuda:N or mps"
        ) from error
    return device


def _best() -> torch.device:
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    for device in (torch.device(kind) for kind, is_there in there.items() if is_there):
        try:
            _probe(device)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            log.warning("%s cannot be used (%s): the processor computes", device, reason)
        else:
            return device
    return torch.device("cpu")


def _probe(device: torch.device) -> None:
    """Computes something; some devices take a tensor, and give nothing back."""
    torch.ones(1, device=device).add_(1).item()


def is_lost(device: torch.device) -> bool:
    """Whether a device computes nothing any more, after an error there: CUDA then refuses whatever
    this process asks, for good, and only a new process may find it well."""
    try:
        _probe(device)
    except RuntimeError as error:
        return not is_out_of_memory(error)
    return False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device's memory was too small for what was asked."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _FULL)


def inference_dtype(device: torch.device) -> torch.dtype:
    """The fastest type that a device computes well in."""
    if device.type == "cuda":
        return torch.float16
    if device.type == "cpu" and cpu_has_bfloat16():
        return torch.bfloat16
    return torch.float32


def training_dtype(device: torch.device) -> torch.dtype:
    """The type for autocast in training. Cards before NVIDIA's Ampere know bfloat16 in name only:
    cuDNN has no depthwise convolution in it there."""
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
        return torch.bfloat16
    if device.type == "cpu" and cpu_has_bfloat16():
        return torch.bfloat16
    return torch.float32


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively (AVX-512 BF16 or AMX)."""
    capability = torch.backends.cpu.get_cpu_capability()
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return capability.startswith("AVX512") and bool(probe and probe())
