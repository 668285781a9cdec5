"""Evaluation takes a user's path at full size and sums up as a card keeps it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.carvana import write_cars
from unet_core.checkpoint import Card
from unet_core.data import DataError, Pair, find_pairs, read_pair
from unet_core.evaluation import Score, evaluate, summary
from unet_core.metrics import boundary_f, dice, iou
from unet_core.model import UNet
from unet_core.segment import Segmenter


def brightness_segmenter(*, long_side_px: int = 1920) -> Segmenter:
    """A network that by its weights alone takes for subject what is bright, as the tests' discs."""
    network = UNet(width=2, depth=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        first = network.get_submodule("down_convolution_1.conv.conv_op")
        last = network.get_submodule("up_convolution_1.conv.conv_op")
        first[0].weight[0, :, 1, 1] = 1 / 3
        first[2].weight[0, 0, 1, 1] = 1
        last[0].weight[0, 2, 1, 1] = 1  # the skip comes behind the 2 channels from below
        last[2].weight[0, 0, 1, 1] = 1
        network.out.weight[0, 0] = 40
        network.out.bias[0] = -40 * 0.45
    return Segmenter(
        network, Card(version="bright", long_side_px=long_side_px), torch.device("cpu")
    )


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    return find_pairs(write_cars(tmp_path, ["a", "b"], frames=2, size=(80, 120)))


def score(car: str, dice: float, iou: float, boundary: float) -> Score:
    frame = f"{car}_{round(dice * 100):02}"
    pair = Pair(Path(f"{frame}.jpg"), Path(f"{frame}_mask.gif"), car)
    return Score(pair, dice, iou, boundary)


def test_a_good_network_scores_high_on_every_pair_in_order(pairs: list[Pair]) -> None:
    seen: list[Score] = []
    scores = evaluate(brightness_segmenter(), pairs, on_score=seen.append)

    assert seen == scores
    assert [score.pair for score in scores] == pairs
    for found in scores:
        assert found.dice > 0.97
        assert found.iou == pytest.approx(found.dice / (2 - found.dice))
        assert found.boundary_f_2px > 0.99


def test_scores_are_measured_at_the_pictures_own_size(pairs: list[Pair]) -> None:
    small = brightness_segmenter(long_side_px=64)
    pixels, truth = read_pair(pairs[0])
    mask = small.segment([small.prepare(pixels)])[0]
    assert mask.shape == (43, 64)

    found = evaluate(small, pairs[:1])[0]

    assert found.dice > 0.95, "the small mask was enlarged to the label, not the label reduced"
    assert dice(truth, truth) == iou(truth, truth) == boundary_f(truth, truth, tolerance_px=2) == 1


def test_a_boundary_four_pixels_off_is_not_forgiven(pairs: list[Pair]) -> None:
    truth = np.roll(read_pair(pairs[0])[1], 4, axis=1)
    Image.fromarray(truth).save(pairs[0].mask)

    found = evaluate(brightness_segmenter(), pairs[:1])[0]

    assert found.dice > 0.8
    assert found.boundary_f_2px < 0.75


def test_a_network_that_sees_nothing_scores_0(pairs: list[Pair]) -> None:
    blind = UNet(width=2, depth=1)
    with torch.no_grad():
        for parameter in blind.parameters():
            parameter.zero_()
        blind.out.bias.fill_(-9)

    found = evaluate(Segmenter(blind, Card(version="blind"), torch.device("cpu")), pairs[:1])[0]

    assert (found.dice, found.iou, found.boundary_f_2px) == (0, 0, 0)


def test_a_label_of_another_size_is_named(pairs: list[Pair]) -> None:
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(pairs[1].mask)

    with pytest.raises(DataError, match=r"a_02_mask\.gif 60×40"):
        evaluate(brightness_segmenter(), pairs)


def test_a_summary_has_means_the_worst_and_the_counts() -> None:
    scores = [
        score("a", 0.9, 0.8, 0.7),
        score("a", 1.0, 1.0, 1.0),
        score("b", 0.5, 1 / 3, 0.123456789),
    ]

    assert summary(scores) == {
        "frames": 3,
        "cars": 2,
        "dice_mean": 0.8,
        "dice_worst": 0.5,
        "iou_mean": 0.71111,
        "boundary_f_2px_mean": 0.60782,
    }


def test_a_summary_is_what_a_card_can_keep() -> None:
    card = Card(version="v1", metrics=summary([score("a", 0.9, 0.8, 0.7)]))

    assert Card.model_validate_json(card.model_dump_json()).metrics["dice_mean"] == 0.9
