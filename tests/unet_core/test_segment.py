"""The segmenter: a batch is worth its pictures one by one, sizes are kept, the unfit is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from unet_core.checkpoint import Card, CheckpointError, load_checkpoint, save_checkpoint
from unet_core.data import read_pair
from unet_core.metrics import dice
from unet_core.model import UNet
from unet_core.orientation import turned
from unet_core.segment import REGION_PX, Segmenter
from unet_core.store import SHIPPED, ModelStore, Version
from worker.finish.golden import GOLDEN

CPU = torch.device("cpu")


def trained_looking(**shape: Any) -> UNet:
    """A tiny network whose batch norms have seen something and whose logits vary."""
    torch.manual_seed(4)
    network = UNet(**({"width": 4, "depth": 2} | shape))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 2)
                module.bias.uniform_(-0.5, 0.5)
        x = torch.rand(2, network.config.in_channels, 32, 32)
        for _ in range(3):
            network(x)
        logits = network.eval()(x)
        network.out.bias.sub_(logits.mean()).div_(logits.std())
        network.out.weight.div_(logits.std())
    return network


def segmenter(*, long_side_px: int = 96, **shape: Any) -> Segmenter:
    card = Card(version="tiny", long_side_px=long_side_px)
    return Segmenter(trained_looking(norm="batch", fold=2, **shape), card, CPU)


def pictures(count: int, height: int, width: int) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(5)
    return list(rng.integers(0, 256, (count, height, width, 3)).astype(np.uint8))


def stored(tmp_path: Path, **shape: Any) -> Version:
    network = UNet(**({"width": 4, "depth": 2} | shape))
    card = save_checkpoint(tmp_path / "v1", network, Card(version="v1", long_side_px=64))
    return Version("v1", tmp_path / "v1", card.sha256)


def test_a_batch_gives_what_its_pictures_give_one_by_one() -> None:
    ours, batch = segmenter(), pictures(5, 50, 70)
    together = ours.segment(batch)

    assert len(together) == 5
    for picture, mask in zip(batch, together, strict=True):
        alone = ours.segment([picture])[0]
        assert np.abs(mask.astype(int) - alone.astype(int)).max() <= 1
    assert np.abs(together[0].astype(int) - together[1].astype(int)).max() > 8


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (70, 50), (64, 96)])
def test_a_mask_is_8_bit_and_of_its_pictures_size(size: tuple[int, int]) -> None:
    mask = segmenter().segment(pictures(1, *size))[0]

    assert mask.shape == size
    assert mask.dtype == np.uint8


def test_a_mask_is_the_networks_probability_of_rgb_from_0_to_1() -> None:
    network, picture = trained_looking(), pictures(1, 32, 48)[0]
    x = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        expected = torch.sigmoid(network(x))[0, 0].numpy() * 255

    mask = Segmenter(network, Card(version="tiny"), CPU).segment([picture])[0]

    assert np.abs(mask - expected).max() < 16, "the processor may compute in bfloat16"
    assert expected.std() > 40


def test_white_is_1_and_black_is_0_to_the_network() -> None:
    network = UNet(width=1, depth=1)
    with torch.no_grad():  # logit = 8 · red + 16 · green + 32 · blue − 56
        for parameter in network.parameters():
            parameter.zero_()
        first = network.get_submodule("down_convolution_1.conv.conv_op")
        last = network.get_submodule("up_convolution_1.conv.conv_op")
        first[0].weight[0, :, 1, 1] = torch.tensor([8.0, 16, 32])
        first[2].weight[0, 0, 1, 1] = last[2].weight[0, 0, 1, 1] = 1
        last[0].weight[0, 1, 1, 1] = 1  # the skip comes behind the channel from below
        network.out.weight[0, 0] = 1
        network.out.bias[0] = -56
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[:2], colours[2], colours[3] = 255, (0, 255, 255), (0, 0, 0)

    mask = Segmenter(network, Card(version="exact"), CPU).segment([colours])[0]

    # sigmoid(0) is one half, sigmoid(−8) hardly anything.
    assert mask.tolist() == [[128] * 4] * 2 + [[0] * 4] * 2


def test_a_segmenter_leaves_the_network_that_it_was_given_alone() -> None:
    network = trained_looking(norm="batch").train()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    Segmenter(network, Card(version="tiny"), CPU).segment(pictures(2, 32, 32))

    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((120, 192), (60, 96)),
        ((192, 120), (96, 60)),
        ((97, 50), (96, 49)),
        ((1000, 3), (96, 1)),
    ],
)
def test_a_larger_picture_is_reduced_to_the_long_side(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    prepared = segmenter(long_side_px=96).prepare(pictures(1, *size)[0])

    assert prepared.shape == (*expected, 3)
    assert prepared.dtype == np.uint8


class Watched(Segmenter):
    """Knows the sizes that its network looked at."""

    def segment_whole(self, pictures: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        self.sizes = [*getattr(self, "sizes", []), *(each.shape[:2] for each in pictures)]
        return super().segment_whole(pictures)


def test_a_processor_looks_at_a_large_picture_in_small_first() -> None:
    watched = Watched(trained_looking(), Card(version="tiny"), CPU)

    masks = watched.segment(pictures(2, 400, REGION_PX))

    assert [mask.shape for mask in masks] == [(400, REGION_PX)] * 2
    assert watched.sizes[0] == (100, REGION_PX // 4)
    assert len(watched.sizes) >= 4, "each picture by itself"


class Knowing(Watched):
    """Takes for subject what is red, and is sure of it where green is at the picture's top."""

    def segment_whole(self, pictures: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        super().segment_whole(pictures)
        return [
            picture[..., 0] // (1 if picture[: len(picture) // 8, :, 1].mean() > 99 else 2)
            for picture in pictures
        ]


@pytest.mark.parametrize("by_region", [True, False])
def test_pictures_of_a_batch_are_looked_at_upright_however_they_lie(by_region: bool) -> None:
    knowing = Knowing(trained_looking(), Card(version="tiny"), CPU)
    knowing.by_region = by_region
    upright = np.zeros((1024, 1024, 3), np.uint8)
    upright[:160, :, 1], upright[384:640, 512:896, 0] = 255, 255
    batch = [np.ascontiguousarray(np.rot90(upright, times)) for times in (0, 1, 2, 3, 0)]

    seen = knowing.look(batch)

    assert [each.turned for each in seen] == [0, 3, 2, 1, 0]
    for picture, each in zip(batch, seen, strict=True):
        np.testing.assert_array_equal(each.mask, picture[..., 0])


def test_turned_pictures_of_a_batch_are_looked_at_with_those_of_their_shape() -> None:
    knowing = Knowing(trained_looking(), Card(version="tiny"), CPU)
    knowing.by_region = False
    lying = np.zeros((1280, 1024, 3), np.uint8)
    lying[:, :160, 1], lying[384:640, 512:896, 0] = 255, 255
    standing = np.zeros((1280, 1024, 3), np.uint8)
    standing[:160, :, 1], standing[384:640, 512:896, 0] = 255, 255

    masks = knowing.segment([standing, lying, standing])

    assert all((mask == standing[..., 0]).all() for mask in masks)
    assert sorted(knowing.sizes[-3:]) == [(1024, 1280), (1280, 1024), (1280, 1024)]


@pytest.mark.parametrize(("card", "side"), [({}, REGION_PX - 1), ({"squash_px": (64, 64)}, 1200)])
def test_what_is_small_or_squashed_is_looked_at_whole_and_together(
    card: dict[str, Any], side: int
) -> None:
    watched = Watched(trained_looking(), Card(version="tiny", **card), CPU)

    watched.segment(pictures(2, 64, side))

    assert watched.sizes == [(64, side)] * 2


@pytest.mark.parametrize("times", [1, 2, 3])
def test_the_shipped_network_finds_in_a_turned_photo_what_it_finds_in_the_upright_one(
    times: int,
) -> None:
    ours = Segmenter.load(ModelStore(SHIPPED).champion(), CPU)
    picture = ours.prepare(read_pair(GOLDEN)[0])

    (plain,), (mask,) = (ours.segment([turned(picture, count)]) for count in (0, times))

    assert dice(turned(mask, -times), plain) > 0.99


def test_the_shipped_network_finds_in_its_region_what_it_finds_in_the_whole_picture() -> None:
    network, card = load_checkpoint(ModelStore(SHIPPED).champion().folder)
    watched = Watched(network, card, CPU)
    picture = watched.prepare(read_pair(GOLDEN)[0])

    (by_region,), small_and_part = watched.segment([picture]), watched.sizes
    (whole,) = watched.segment_whole([picture])

    assert len(small_and_part) == 2
    assert sum(h * w for h, w in small_and_part) < 0.8 * picture.shape[0] * picture.shape[1]
    assert ((by_region > 127) != (whole > 127)).mean() < 0.0005


@pytest.mark.parametrize("size", [(40, 90), (200, 100), (16, 24)])
def test_a_squashing_card_gives_every_picture_one_size(size: tuple[int, int]) -> None:
    card = Card(version="squash", squash_px=(32, 48))
    squashing = Segmenter(trained_looking(), card, CPU)

    prepared = squashing.prepare(pictures(1, *size)[0])

    assert prepared.shape == (32, 48, 3)
    assert squashing.segment([prepared])[0].shape == (32, 48)


@pytest.mark.parametrize("size", [(96, 96), (60, 96), (96, 20)])
def test_a_picture_of_the_long_side_stays_as_it_is(size: tuple[int, int]) -> None:
    picture = pictures(1, *size)[0]

    assert segmenter(long_side_px=96).prepare(picture) is picture


@pytest.mark.parametrize(
    ("size", "enlarged"), [((48, 32), (96, 64)), ((24, 20), (96, 80)), ((12, 10), (48, 40))]
)
def test_a_small_picture_is_enlarged_to_the_cars_that_the_network_knows_four_times_at_most(
    size: tuple[int, int], enlarged: tuple[int, int]
) -> None:
    picture = pictures(1, *size)[0]

    assert segmenter(long_side_px=96).prepare(picture).shape == (*enlarged, 3)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1280, 1918), (768, 1152)), ((1282, 1918), (770, 1152)), ((55, 1918), (33, 1152))],
)
def test_a_long_side_is_no_pixel_longer_than_what_the_network_need_not_pad(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    ours = segmenter(long_side_px=1152)  # its stride is 8

    assert ours.prepare(pictures(1, *size)[0]).shape == (*expected, 3)


def test_reducing_averages_and_does_not_skip_pixels() -> None:
    stripes = np.zeros((192, 192, 3), np.uint8)
    stripes[:, ::2] = 200

    assert (segmenter(long_side_px=96).prepare(stripes) == 100).all()


def test_a_stored_checkpoint_becomes_a_segmenter(tmp_path: Path) -> None:
    ours = Segmenter.load(stored(tmp_path), CPU)

    assert (ours.card.version, ours.device) == ("v1", CPU)
    assert ours.segment(pictures(1, 20, 30))[0].shape == (20, 30)


@pytest.mark.parametrize("shape", [{"out_channels": 2}, {"in_channels": 1}, {"padding": "valid"}])
def test_a_checkpoint_that_does_not_fit_the_line_is_refused(
    tmp_path: Path, shape: dict[str, Any]
) -> None:
    with pytest.raises(CheckpointError, match="v1: the line needs"):
        Segmenter.load(stored(tmp_path, **shape), CPU)
