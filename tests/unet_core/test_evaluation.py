"""Evaluation takes a user's path at full size and sums up as a card keeps it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.bright import bright_network
from tests.carvana import write_cars
from unet_core.checkpoint import Card
from unet_core.data import DataError, Pair, find_pairs, read_pair
from unet_core.evaluation import (
    Score,
    best,
    by_angle,
    by_car,
    evaluate,
    summary,
    thinned,
    unseen_cars,
    worst,
)
from unet_core.metrics import Counts, boundary_f, dice, iou
from unet_core.segment import Segmenter


def bright_segmenter(*, threshold: float = 0.45, long_side_px: int = 1920) -> Segmenter:
    card = Card(version="bright", long_side_px=long_side_px)
    return Segmenter(bright_network(threshold=threshold), card, torch.device("cpu"))


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    return find_pairs(write_cars(tmp_path, ["a", "b"], frames=2, size=(80, 120)))


def score(car: str, dice: float, *, angle: int = 1, iou: float = 1, edge: float = 1) -> Score:
    frame = f"{car}_{angle:02}"
    pair = Pair(Path(f"{frame}.jpg"), Path(f"{frame}_mask.gif"), car)
    return Score(
        pair, dice, iou, edge / 2, edge, edge, hausdorff_95_px=10 * (1 - dice), milliseconds=7
    )


def test_openings_count_only_where_there_are_any() -> None:
    alpha, nothing = np.array([[0, 0, 0, 255]], np.uint8), np.zeros((1, 4), np.bool_)

    with_some = replace(score("a", 1), opening_counts=Counts.of(alpha, nothing))

    assert with_some.openings_found == 0.75
    assert score("a", 1).openings_found is None


def test_a_good_network_scores_high_on_every_pair_in_order(pairs: list[Pair]) -> None:
    seen: list[Score] = []
    scores = evaluate(bright_segmenter(), pairs, on_score=seen.append)

    assert seen == scores
    assert [score.pair for score in scores] == pairs
    for found in scores:
        assert found.dice > 0.97
        assert found.iou == pytest.approx(found.dice / (2 - found.dice))
        assert found.boundary_f_2px > 0.99


def test_scores_are_measured_at_the_pictures_own_size(pairs: list[Pair]) -> None:
    small = bright_segmenter(long_side_px=64)
    pixels, truth = read_pair(pairs[0])
    mask = small.segment([small.prepare(pixels)])[0]
    assert mask.shape == (43, 64)

    found = evaluate(small, pairs[:1])[0]

    assert found.dice > 0.95, "the small mask was enlarged to the label, not the label reduced"
    assert dice(truth, truth) == iou(truth, truth) == boundary_f(truth, truth, tolerance_px=2) == 1


def test_a_boundary_four_pixels_off_is_not_forgiven(pairs: list[Pair]) -> None:
    truth = np.roll(read_pair(pairs[0])[1], 4, axis=1)
    Image.fromarray(truth).save(pairs[0].mask)

    found = evaluate(bright_segmenter(), pairs[:1])[0]

    assert found.dice > 0.8
    assert found.boundary_f_2px < 0.75


def test_a_network_that_sees_nothing_scores_0(pairs: list[Pair]) -> None:
    found = evaluate(bright_segmenter(threshold=2), pairs[:1])[0]

    assert (found.dice, found.iou, found.boundary_f_4px) == (0, 0, 0)
    assert found.hausdorff_95_px == pytest.approx(np.hypot(80, 120))


def test_a_score_knows_its_tolerances_its_time_and_its_confidence(pairs: list[Pair]) -> None:
    truth = np.roll(read_pair(pairs[2])[1], 3, axis=1)
    Image.fromarray(truth).save(pairs[2].mask)

    found = evaluate(bright_segmenter(), pairs[2:3])[0]

    assert (found.car, found.angle) == ("b", 1)
    assert found.boundary_f_1px < found.boundary_f_2px < 0.9 < found.boundary_f_4px == 1
    assert 2 < found.hausdorff_95_px < 4
    assert found.milliseconds > 0
    assert found.counts.pixels.sum() == 80 * 120
    assert 0 < found.edge_counts.pixels.sum() < 80 * 120
    assert found.edge_counts.calibration_error > found.counts.calibration_error > 0


def test_confidence_is_judged_by_the_networks_own_mask(
    pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "unet_core.evaluation.refine", lambda _, photo: np.full(photo.shape[:2], 128, np.uint8)
    )

    found = evaluate(bright_segmenter(), pairs[:1])[0]

    assert found.dice < 0.9
    assert found.counts.pixels[:, 128].sum() < 100  # of 9,600


def test_a_label_of_another_size_is_named(pairs: list[Pair]) -> None:
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(pairs[1].mask)

    with pytest.raises(DataError, match=r"a_02_mask\.gif 60×40"):
        evaluate(bright_segmenter(), pairs)


def test_a_summary_has_means_the_worst_and_the_counts() -> None:
    scores = [
        score("a", 0.9, iou=0.8, edge=0.7),
        score("a", 1.0, iou=1.0, edge=1.0),
        score("b", 0.5, iou=1 / 3, edge=0.123456789),
    ]

    assert summary(scores) == {
        "frames": 3,
        "cars": 2,
        "dice_mean": 0.8,
        "dice_worst": 0.5,
        "iou_mean": 0.71111,
        "iou_worst": 0.33333,
        "boundary_f_1px_mean": 0.30391,
        "boundary_f_2px_mean": 0.60782,
        "boundary_f_2px_worst": 0.12346,
        "boundary_f_4px_mean": 0.60782,
        "hausdorff_95_px_mean": 2.0,
        "hausdorff_95_px_worst": 5.0,
        "openings_found": 1,
        "calibration_error": 0,
        "edge_calibration_error": 0,
    }


def test_calibration_is_that_of_all_pixels_together_and_not_a_mean_over_frames() -> None:
    sure = np.full(30, 255, np.uint8)
    right = Counts.of(sure, np.ones(30, np.bool_))
    wrong = Counts.of(sure[:10], np.zeros(10, np.bool_))
    scores = [replace(score("a", 1), counts=right, edge_counts=right)]
    scores += [replace(score("a", 1), counts=wrong)]

    assert summary(scores)["calibration_error"] == 10 / 40
    assert summary(scores)["edge_calibration_error"] == 0


def test_scores_are_summed_up_by_car_and_by_angle() -> None:
    scores = [score("b", 0.5, angle=10), score("a", 1, angle=2), score("a", 0.8, angle=10)]

    assert {car: row["dice_mean"] for car, row in by_car(scores).items()} == {"a": 0.9, "b": 0.5}
    assert [(angle, row["dice_worst"]) for angle, row in by_angle(scores).items()] == [
        (2, 1), (10, 0.5)
    ]  # fmt: skip
    assert [found.dice for found in worst(scores, 2)] == [0.5, 0.8]


def test_the_best_is_the_highest_or_where_less_is_better_the_lowest() -> None:
    assert best("dice_mean", [0.9, 0.8]) == 0.9
    assert best("hausdorff_95_px_worst", [9, 8]) == best("edge_calibration_error", [9, 8]) == 8
    assert best("frames", [9, 8]) is best("dice_mean", [0.9, 0.9]) is None


def test_only_cars_on_every_holdout_list_are_unseen() -> None:
    cards = [Card(version=name, holdout=cars) for name, cars in (("1", ["a", "b"]), ("2", ["b"]))]

    assert unseen_cars(cards) == {"b"}
    assert unseen_cars(cards[:1]) == {"a", "b"}


@pytest.mark.parametrize(
    ("most", "angles"), [(4, [1, 5, 9, 13]), (1, [1]), (3, [1, 6, 11]), (99, list(range(1, 17)))]
)
def test_a_quick_look_takes_evenly_spaced_angles_of_each_car(most: int, angles: list[int]) -> None:
    pairs = [score(car, 1, angle=angle).pair for angle in range(16, 0, -1) for car in "ba"]

    found = thinned(pairs, most)

    assert [(pair.car, pair.angle) for pair in found] == [(c, n) for c in "ab" for n in angles]


def test_a_summary_is_what_a_card_can_keep() -> None:
    card = Card(version="v1", metrics=summary([score("a", 0.9)]))

    assert Card.model_validate_json(card.model_dump_json()).metrics["dice_mean"] == 0.9
