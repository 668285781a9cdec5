"""Layers joined for inference: batch norms and activations go into the convolution before them.

    convolution ─ batch norm ─ ReLU   becomes   one convolution that cuts off at 0 (and at 6)

An activation of its own reads and writes the whole picture again: on a CPU a third of the time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from unet_core.model import UNet

Layers = list[nn.Module]


def fuse_batch_norm(network: UNet) -> nn.Module:
    """A copy in which each batch norm is folded into the convolution before it."""
    return _each_row(copy.deepcopy(network).eval(), _without_batch_norm)


def fuse_activations(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """``network``, changed in place: each ReLU and ReLU6 is done by the convolution before it, in
    ``dtype``, by oneDNN; as it is where this processor or this PyTorch cannot. The results are
    the same. For inference on the CPU alone."""
    if not can_fuse_activations(dtype):
        return network
    return _each_row(network, lambda layers: _without_activations(layers, dtype))


def can_fuse_activations(dtype: torch.dtype) -> bool:
    """Whether PyTorch was built with oneDNN for this processor and has the operator, which is the
    one that ``torch.compile`` writes; bfloat16 asks for more than AVX2."""
    return (
        torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and (dtype != torch.bfloat16 or torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


class ActivatedConv2d(nn.Module):
    """(B, in, H, W) → (B, out, H', W'): ``convolution``, cut off at 0 and at ``highest``."""

    def __init__(
        self, convolution: nn.Conv2d, dtype: torch.dtype, *, highest: float | None
    ) -> None:
        super().__init__()
        weight = convolution.weight.detach().to(dtype)
        self.weight = nn.Buffer(weight.contiguous(memory_format=torch.channels_last))
        bias = convolution.bias
        self.bias = nn.Buffer(bias.detach().to(dtype)) if bias is not None else None
        self.shape = (
            convolution.padding,
            convolution.stride,
            convolution.dilation,
            convolution.groups,
        )
        self.activation = ("relu", []) if highest is None else ("hardtanh", [0.0, highest])

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = torch.ops.mkldnn._convolution_pointwise.default(
            x.to(self.weight.dtype), self.weight, self.bias, *self.shape, *self.activation, ""
        )
        return result


def _each_row(network: nn.Module, joined: Callable[[Layers], Layers]) -> nn.Module:
    """``network`` with the layers of every ``nn.Sequential`` in it ``joined``."""
    for module in list(network.modules()):
        for name, layers in module.named_children():
            if isinstance(layers, nn.Sequential):
                setattr(module, name, nn.Sequential(*joined(list(layers))))
    return network


def _without_batch_norm(layers: Layers) -> Layers:
    kept: Layers = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d):
            before = kept.pop()
            assert isinstance(before, nn.Conv2d)
            kept.append(fuse_conv_bn_eval(before, layer))
        else:
            kept.append(layer)
    return kept


def _without_activations(layers: Layers, dtype: torch.dtype) -> Layers:
    kept: Layers = []
    for layer in layers:
        highest = {nn.ReLU: None, nn.ReLU6: 6.0}.get(type(layer), -1.0)
        before = kept[-1] if kept else None
        if highest != -1.0 and isinstance(before, nn.Conv2d) and before.padding_mode == "zeros":
            kept[-1] = ActivatedConv2d(before, dtype, highest=highest)
        else:
            kept.append(layer)
    return kept
