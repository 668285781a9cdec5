"""U-Net: one class from the 2015 paper to the network that Cyclorama ships.

Ronneberger, Fischer, Brox: "U-Net: Convolutional Networks for Biomedical Image Segmentation",
MICCAI 2015, arXiv:1505.04597. The diagram, for depth 4:

    x ─ fold ─ down 1 ──────────────────────────────── up 4 ─ out ─ unfold ─ logits
                 └ down 2 ────────────────────── up 3 ┘
                     └ down 3 ──────────── up 2 ┘
                         └ down 4 ── up 1 ┘
                             └ bottle neck ┘

``fold`` is space-to-depth: with ``fold=4`` every 4×4 block of pixels becomes one position with
48 channels, so that a 1920×1280 picture costs what a 480×320 one costs; ``unfold`` (depth-to-space)
gives the logits back at full size. ``fold=1`` is the classic network.

``encoder="efficientnet-lite0"`` puts a network that knows ImageNet in place of all levels but the
first. It sees the picture reduced by ``fold``; the rest of the diagram stays:

    x ─ fold ─── top ───────────────────────────────── up 5 ─ out ─ unfold ─ logits
    └─ reduce ─ stage 1 ────────────────────── up 4 ┘
                   └ stage 2 ─────────── up 3 ┘
                        └ … stage 5 ─ … ┘

Parameter names of the plain form are those of the well-known tutorial code, so that its state
dicts load unchanged (``down_convolution_1.conv.conv_op.0.weight``, ``bottle_neck.…``, …).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unet_core.encoder import DEEPEST_CHANNELS, SKIP_CHANNELS, EfficientNetLite0


@dataclass(frozen=True)
class UNetConfig:
    """The shape of a U-Net; the defaults are the classic one. Travels in a checkpoint's card.

    Raises ``ValueError`` that names the field and the cure when a value is impossible.
    """

    in_channels: int = 3
    out_channels: int = 1
    width: int = 64
    """Channels of the first level; every level below has twice as many…"""
    max_width: int = 1 << 16
    """…but never more than this."""
    depth: int = 4
    """How often the picture is halved."""
    norm: Literal["none", "batch"] = "none"
    padding: Literal["same", "valid"] = "same"
    """``valid`` is the paper's form: the output is smaller than the input, skips are cropped."""
    fold: int = 1
    """Side of the pixel block that space-to-depth folds into channels (1, 2, 4, …)."""
    encoder: Literal["plain", "efficientnet-lite0"] = "plain"
    """What finds the features below the first level: plain convolutions as in the paper, or a
    pretrained network (which goes with depth 5, batch norm and ``same`` padding)."""

    def __post_init__(self) -> None:
        for field in ("in_channels", "out_channels", "width", "max_width", "depth", "fold"):
            value = getattr(self, field)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"UNetConfig.{field} is {value!r}; it must be an integer ≥ 1")
        if self.norm not in ("none", "batch"):
            raise ValueError(f"UNetConfig.norm is {self.norm!r}; choose 'none' or 'batch'")
        if self.padding not in ("same", "valid"):
            raise ValueError(f"UNetConfig.padding is {self.padding!r}; choose 'same' or 'valid'")
        if self.padding == "valid" and self.fold != 1:
            raise ValueError("UNetConfig: valid padding goes with fold=1 only")
        if self.encoder not in ("plain", "efficientnet-lite0"):
            raise ValueError(
                f"UNetConfig.encoder is {self.encoder!r}; choose 'plain' or 'efficientnet-lite0'"
            )
        if self.encoder != "plain" and (self.depth, self.norm, self.padding) != (
            5,
            "batch",
            "same",
        ):
            raise ValueError(
                f"UNetConfig: encoder={self.encoder!r} goes with depth=5, norm='batch' and "
                "padding='same' only; others are for encoder='plain'"
            )

    @property
    def widths(self) -> list[int]:
        """Channels of every level, from the first to the bottle neck."""
        return [min(self.width << level, self.max_width) for level in range(self.depth + 1)]

    @property
    def stride(self) -> int:
        """Sides of a picture are padded to a multiple of this many pixels (``same`` form)."""
        return self.fold << self.depth


class DoubleConv(nn.Module):
    """(B, in, H, W) → (B, out, H, W): two 3×3 convolutions, each with its norm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, config: UNetConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels):
            layers.append(
                nn.Conv2d(
                    channels,
                    out_channels,
                    kernel_size=3,
                    padding=1 if config.padding == "same" else 0,
                    bias=config.norm == "none",
                )
            )
            if config.norm == "batch":
                layers.append(nn.BatchNorm2d(out_channels))
            layers.append(nn.ReLU(inplace=True))
        self.conv_op = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv_op(x))


class DownSample(nn.Module):
    """(B, in, H, W) → the skip (B, out, H, W) and what goes on below (B, out, H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int, config: UNetConfig) -> None:
        super().__init__()
        self.conv = DoubleConv(in_channels, out_channels, config)
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = self.conv(x)
        return skip, self.pool(skip)


class UpSample(nn.Module):
    """(B, in, H, W) and a skip (B, skip, ≥2H, ≥2W) → (B, out, 2H, 2W)."""

    def __init__(
        self, in_channels: int, skip_channels: int, out_channels: int, config: UNetConfig
    ) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)
        self.conv = DoubleConv(out_channels + skip_channels, out_channels, config)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.up(x)
        return cast(Tensor, self.conv(torch.cat([x, centre_crop(skip, x)], dim=1)))


class UNet(nn.Module):
    """Pictures (B, in_channels, H, W) to logits (B, out_channels, H, W).

    Any float input range works that the network was trained with; Cyclorama uses RGB in [0, 1].
    Any H and W ≥ 1 work in the ``same`` form: the picture is padded by repeating its border
    and the logits are cropped. In the ``valid`` form the output is smaller (572² gives 388²) and
    sides that do not divide evenly raise ``ValueError``.

    ``UNet(3, 10)`` is the classic network with ten outputs; ``UNet(width=32, fold=4, …)`` takes
    every field of :class:`UNetConfig`.
    """

    def __init__(self, in_channels: int = 3, out_channels: int = 1, **shape: Any) -> None:
        super().__init__()
        self.config = config = UNetConfig(in_channels, out_channels, **shape)
        widths = config.widths
        folded = in_channels * config.fold**2
        if config.encoder == "plain":
            skips, below = widths[:-1], widths[-1]
            for level, width in enumerate(skips, start=1):
                before = folded if level == 1 else widths[level - 2]
                self.add_module(f"down_convolution_{level}", DownSample(before, width, config))
            self.bottle_neck = DoubleConv(widths[-2], below, config)
        else:
            skips, below = [widths[0], *SKIP_CHANNELS], DEEPEST_CHANNELS
            self.top = DoubleConv(folded, widths[0], config)
            self.encoder = EfficientNetLite0()
        for level in range(1, config.depth + 1):
            width = widths[-level - 1]
            up = UpSample(below, skips[-level], width, config)
            self.add_module(f"up_convolution_{level}", up)
            below = width
        self.out = nn.Conv2d(widths[0], out_channels * config.fold**2, kernel_size=1)

    @classmethod
    def from_config(cls, config: UNetConfig) -> UNet:
        """The network that ``config`` describes, with fresh weights."""
        return cls(**asdict(config))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if self.config.padding == "same":
            x = pad_to_multiple(x, self.config.stride)
        else:
            self._check_valid_size(height, width)

        *skips, x = self._features(x)
        for up in self._levels("up"):
            x = up(x, skips.pop())
        x = F.pixel_shuffle(self.out(x), self.config.fold)  # (B, out, H, W)

        return x[..., :height, :width] if self.config.padding == "same" else x

    def _features(self, x: Tensor) -> list[Tensor]:
        """What goes across at every level, and last what the deepest one finds."""
        folded = F.pixel_unshuffle(x, self.config.fold)  # (B, in·f², H/f, W/f)
        if self.config.encoder != "plain":
            return [self.top(folded), *self.encoder(F.avg_pool2d(x, self.config.fold))]
        features, x = [], folded
        for down in self._levels("down"):
            skip, x = down(x)
            features.append(skip)
        return [*features, self.bottle_neck(x)]

    def _levels(self, side: str) -> list[nn.Module]:
        depth = self.config.depth
        return [self.get_submodule(f"{side}_convolution_{i}") for i in range(1, depth + 1)]

    def _check_valid_size(self, height: int, width: int) -> None:
        step = 2**self.config.depth
        for side in (height, width):
            # Two 3×3 convolutions take 4 px from a side on each level: all halvings come out even
            # when step divides side + 4, and 12·step − 8 px are gone in the end.
            uneven, left_over = (side + 4) % step, side + 8 - 12 * step
            if uneven or left_over < 1:
                works = max(side + -(side + 4) % step, 12 * step - 4)
                raise ValueError(
                    f"a side of {side} px {'does not divide evenly' if uneven else 'is too small'} "
                    f"in the valid form; {works} px works, and every {step} px more"
                )


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """(B, C, H, W) padded right and below with its border, to sides that ``multiple`` divides."""
    height, width = x.shape[-2:]
    right, below = -width % multiple, -height % multiple
    return F.pad(x, (0, right, 0, below), mode="replicate") if right or below else x


def centre_crop(skip: Tensor, like: Tensor) -> Tensor:
    """The middle of ``skip`` (B, C, ≥H, ≥W), as large as ``like`` (B, …, H, W)."""
    top = (skip.shape[-2] - like.shape[-2]) // 2
    left = (skip.shape[-1] - like.shape[-1]) // 2
    return skip[..., top : top + like.shape[-2], left : left + like.shape[-1]]
