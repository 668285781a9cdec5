"""Layers joined for inference give what they gave apart."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.unet_core.test_segment import trained_looking
from unet_core import fusion
from unet_core.fusion import can_fuse_activations, fuse_activations, fuse_batch_norm


@pytest.mark.parametrize("fold", [1, 2])
@torch.no_grad()
def test_fusing_batch_norm_changes_no_output_and_leaves_the_network_alone(fold: int) -> None:
    network, x = trained_looking(norm="batch", fold=fold), torch.rand(2, 3, 40, 56)
    before = network(x)
    fused = fuse_batch_norm(network)

    torch.testing.assert_close(fused(x), before, atol=1e-4, rtol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == 10
    assert torch.equal(network(x), before)


@torch.no_grad()
def test_a_network_without_batch_norm_is_fused_to_itself() -> None:
    network, x = trained_looking(), torch.rand(1, 3, 32, 32)

    assert torch.equal(fuse_batch_norm(network)(x), network(x))


@pytest.mark.parametrize("encoder", ["plain", "efficientnet-lite0"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_activations_join_their_convolutions_and_the_result_stays(
    encoder: str, dtype: torch.dtype
) -> None:
    if not can_fuse_activations(dtype):
        pytest.skip(f"this PyTorch has no oneDNN in {dtype} for this processor")
    depth = 2 if encoder == "plain" else 5
    network = trained_looking(norm="batch", fold=2, encoder=encoder, depth=depth)
    apart = fuse_batch_norm(network)
    joined = fuse_activations(fuse_batch_norm(network), dtype)
    x = torch.rand(2, 3, 70, 100).to(dtype).contiguous(memory_format=torch.channels_last)

    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        expected, got = apart(x), joined(x)

    assert not any(isinstance(module, nn.ReLU | nn.ReLU6) for module in joined.modules())
    assert float(expected.float().std()) > 0.1
    torch.testing.assert_close(got, expected)


@torch.inference_mode()
def test_where_the_operator_is_missing_the_network_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fusion, "can_fuse_activations", lambda dtype: False)
    network = trained_looking()

    assert fuse_activations(network, torch.float32) is network
    assert any(isinstance(module, nn.ReLU) for module in network.modules())
