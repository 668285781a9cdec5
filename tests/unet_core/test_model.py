"""The U-Net: the paper's shapes, the tutorial's names, any picture size, clear refusals."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unet_core.model import UNet, UNetConfig, centre_crop, pad_to_multiple


class TutorialDoubleConv(nn.Module):
    """The well-known tutorial's block; its names are the interface that old state dicts use."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_op = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_op(x)


class TutorialDownSample(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = TutorialDoubleConv(in_channels, out_channels)
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        down = self.conv(x)
        return down, self.pool(down)


class TutorialUpSample(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2)
        self.conv = TutorialDoubleConv(in_channels, out_channels)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return self.conv(torch.cat([self.up(x1), x2], 1))


class TutorialUNet(nn.Module):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.down_convolution_1 = TutorialDownSample(in_channels, 64)
        self.down_convolution_2 = TutorialDownSample(64, 128)
        self.down_convolution_3 = TutorialDownSample(128, 256)
        self.down_convolution_4 = TutorialDownSample(256, 512)
        self.bottle_neck = TutorialDoubleConv(512, 1024)
        self.up_convolution_1 = TutorialUpSample(1024, 512)
        self.up_convolution_2 = TutorialUpSample(512, 256)
        self.up_convolution_3 = TutorialUpSample(256, 128)
        self.up_convolution_4 = TutorialUpSample(128, 64)
        self.out = nn.Conv2d(in_channels=64, out_channels=num_classes, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        down_1, p1 = self.down_convolution_1(x)
        down_2, p2 = self.down_convolution_2(p1)
        down_3, p3 = self.down_convolution_3(p2)
        down_4, p4 = self.down_convolution_4(p3)
        b = self.bottle_neck(p4)
        up_1 = self.up_convolution_1(b, down_4)
        up_2 = self.up_convolution_2(up_1, down_3)
        up_3 = self.up_convolution_3(up_2, down_2)
        return self.out(self.up_convolution_4(up_3, down_1))


def tiny(**shape: Any) -> UNet:
    torch.manual_seed(1)
    return UNet(**({"width": 4, "depth": 2} | shape)).eval()


@torch.no_grad()
def test_the_classic_network_has_31_032_330_parameters_and_keeps_512_pixels() -> None:
    network = UNet(3, 10).eval()

    assert sum(parameter.numel() for parameter in network.parameters()) == 31_032_330
    assert network(torch.rand(1, 3, 512, 512)).shape == (1, 10, 512, 512)


@torch.no_grad()
def test_a_state_dict_of_the_tutorial_loads_unchanged_and_gives_the_same_output() -> None:
    torch.manual_seed(2)
    tutorial, ours = TutorialUNet(3, 2).eval(), UNet(3, 2).eval()
    theirs = {name: value.shape for name, value in tutorial.state_dict().items()}

    assert {name: value.shape for name, value in ours.state_dict().items()} == theirs
    assert list(ours.state_dict()) == list(theirs)
    ours.load_state_dict(tutorial.state_dict(), strict=True)
    x = torch.rand(1, 3, 48, 64)
    torch.testing.assert_close(ours(x), tutorial(x))


@torch.no_grad()
def test_the_valid_form_gives_388_pixels_for_the_papers_572() -> None:
    network = tiny(width=2, depth=4, padding="valid")

    assert network(torch.rand(1, 3, 572, 588)).shape == (1, 1, 388, 404)


@pytest.mark.parametrize("depth", [1, 2, 3])
@torch.no_grad()
def test_the_valid_form_works_on_just_the_sides_that_it_does_not_refuse(depth: int) -> None:
    network = tiny(width=2, depth=depth, padding="valid")
    step, worked = 2**depth, []
    for side in range(1, 15 * step):
        try:
            shape = network(torch.rand(1, 3, side, side)).shape[-2:]
        except ValueError as error:
            assert f"a side of {side} px" in str(error)
        else:
            worked.append(side)
            assert shape == (side + 8 - 12 * step,) * 2

    assert worked == [side for side in range(12 * step - 7, 15 * step) if (side + 4) % step == 0]


@pytest.mark.parametrize(("side", "reason", "works"), [(573, "evenly", 588), (28, "small", 188)])
def test_a_refused_side_is_named_with_one_that_works(side: int, reason: str, works: int) -> None:
    network = tiny(width=2, depth=4, padding="valid")

    with pytest.raises(ValueError, match=rf"{side} px .*{reason}.*; {works} px works"):
        network(torch.rand(1, 3, 572, side))
    assert network(torch.rand(1, 3, works, works)).shape[-1] == works - 184


@pytest.mark.parametrize("fold", [1, 2, 4])
@pytest.mark.parametrize("size", [(1, 1), (17, 23), (90, 31), (1, 40), (64, 64)])
@torch.no_grad()
def test_the_same_form_gives_every_picture_its_own_size(fold: int, size: tuple[int, int]) -> None:
    logits = tiny(fold=fold, out_channels=2)(torch.rand(2, 3, *size))

    assert logits.shape == (2, 2, *size)
    assert logits.isfinite().all()


@torch.no_grad()
def test_an_odd_picture_gives_what_the_picture_padded_with_its_border_gives() -> None:
    network, x = tiny(), torch.rand(1, 3, 31, 42)
    padded = torch.cat([x, x[..., -1:, :]], dim=-2)
    padded = torch.cat([padded, padded[..., -1:], padded[..., -1:]], dim=-1)

    torch.testing.assert_close(network(x), network(padded)[..., :31, :42])


@torch.no_grad()
def test_a_folded_network_sees_and_answers_every_pixel_at_full_size() -> None:
    network, x = tiny(fold=4), torch.rand(1, 3, 32, 32)
    plain = network(x)

    assert network.get_submodule("down_convolution_1.conv.conv_op.0").in_channels == 48
    assert plain.shape == (1, 1, 32, 32)
    for y, x0 in ((9, 14), (10, 14), (9, 15)):  # pixels of one 4×4 block
        changed = x.clone()
        changed[..., y, x0] += 1
        assert (network(changed) != plain).any()
    block = plain[0, 0, 8:12, 12:16]
    assert block.unique().numel() == 16, "each pixel of a block has a logit of its own"


def test_a_folded_network_puts_a_pixels_logit_where_the_pixel_is() -> None:
    network, x = tiny(fold=4), torch.rand(1, 3, 32, 32, requires_grad=True)
    with torch.no_grad():  # one path through the network: input → skip 1 → output, unmixed
        for parameter in network.parameters():
            parameter.zero_()
        first, last = (
            network.get_submodule(f"{name}.conv.conv_op")
            for name in ("down_convolution_1", "up_convolution_2")
        )
        for layer in (first[0], first[2]):
            layer.weight[0, 5 if layer is first[0] else 0, 1, 1] = 1
        last[0].weight[0, 4, 1, 1] = 1  # the skip comes behind the 4 channels from below
        last[2].weight[0, 0, 1, 1] = 1
        network.out.weight[5, 0] = 1

    network(x)[0, 0, 9, 13].backward()

    # Channel 5 of 16 is row 1, column 1 of a block, for the red plane as for the only output.
    assert x.grad is not None
    assert x.grad.nonzero().tolist() == [[0, 0, 9, 13]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(f, v) for f in ("in_channels", "out_channels", "width", "depth") for v in (0, -1, 1.5)],
        ("fold", 0),
        ("fold", "4"),
        ("norm", "group"),
        ("padding", "reflect"),
    ],
)
def test_an_impossible_value_is_refused_by_its_fields_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"UNetConfig\.{field} is {value!r}"):
        UNetConfig(**{field: value})


def test_valid_padding_is_refused_with_a_fold() -> None:
    with pytest.raises(ValueError, match="fold=1"):
        UNetConfig(padding="valid", fold=2)


def test_an_unknown_field_is_refused_by_its_name() -> None:
    with pytest.raises(TypeError, match="heads"):
        UNet(3, 1, heads=8)


def test_levels_double_up_to_the_widest() -> None:
    network = UNet(width=8, depth=3, max_width=16, fold=4)

    assert network.config.widths == [8, 16, 16, 16]
    assert UNetConfig().widths == [64, 128, 256, 512, 1024]
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    assert shapes["bottle_neck.conv_op.2.weight"] == (16, 16, 3, 3)
    assert shapes["up_convolution_1.up.weight"] == (16, 16, 2, 2)
    assert shapes["up_convolution_3.up.weight"] == (16, 8, 2, 2)
    assert network(torch.rand(1, 3, 50, 70)).shape == (1, 1, 50, 70)


def test_a_network_is_rebuilt_from_its_config() -> None:
    network = tiny(norm="batch", fold=2, out_channels=3)
    again = UNet.from_config(UNetConfig(**asdict(network.config)))

    assert again.config == network.config
    again.load_state_dict(network.state_dict(), strict=True)


def test_batch_norm_takes_the_place_of_the_convolutions_bias() -> None:
    names = set(tiny(norm="batch").state_dict())

    assert "bottle_neck.conv_op.1.running_var" in names
    assert "bottle_neck.conv_op.0.bias" not in names


def test_padding_repeats_the_border_right_and_below_only() -> None:
    x = torch.arange(6.0).reshape(1, 1, 2, 3)

    assert pad_to_multiple(x, 4)[0, 0].tolist() == [[0, 1, 2, 2], *[[3, 4, 5, 5]] * 3]
    assert pad_to_multiple(x, 1) is x


def test_the_crop_is_the_middle() -> None:
    skip = torch.arange(36.0).reshape(1, 1, 6, 6)

    assert centre_crop(skip, torch.zeros(1, 3, 2, 4))[0, 0].tolist() == [
        [13, 14, 15, 16],
        [19, 20, 21, 22],
    ]
