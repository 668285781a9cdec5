"""The tutorial's recipe: its numbers, its loop, its figures; it repeats and stops where told."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.carvana import write_cars
from unet_core.checkpoint import CheckpointError
from unet_core.data import DataError, Pair, find_pairs
from unet_core.model import UNet
from unet_core.plots import Measured
from unet_core.training import TrainingError
from unet_core.tutorial import (
    BatchDone,
    TutorialRecipe,
    batch_dice,
    batches,
    examples,
    load_weights,
    measure,
    save_weights,
    train_tutorial,
)
from unet_core.tutorial_data import Split, TutorialPictures, split_at_random, split_by_cars

CPU = torch.device("cpu")
RECIPE = TutorialRecipe(epochs=2, batch=4, learning_rate=1e-2, image_size=32, workers=0)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    return find_pairs(write_cars(tmp_path_factory.mktemp("data"), "abcdef", frames=2))


@pytest.fixture
def split(pairs: list[Pair]) -> Split:
    """Ten pictures to train on, one to validate, one to test."""
    return split_at_random(pairs)


def tiny(seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    return UNet(width=4, depth=2)


def weights(network: nn.Module) -> Tensor:
    return torch.cat([value.flatten() for value in network.state_dict().values()])


def broken() -> UNet:
    network = tiny()
    nn.init.constant_(network.out.weight, torch.nan)
    return network


class Unpickled:
    """Would leave a file behind if a pickle of it were trusted."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def test_the_defaults_are_the_tutorials() -> None:
    assert TutorialRecipe() == TutorialRecipe(
        epochs=10, batch=8, learning_rate=3e-4, image_size=512, seed=25, workers=4,
        amp=False, limit_seconds=None,
    )  # fmt: skip


def test_training_is_the_plain_loop_of_the_tutorial(split: Split) -> None:
    ours, theirs = tiny(), tiny()
    trained = train_tutorial(ours, split, RECIPE, device=CPU)

    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-2)
    criterion, order = nn.BCEWithLogitsLoss(), batches(split.training, RECIPE, shuffle=True)
    losses = []
    for _ in range(2):
        losses.append([])
        for images, masks in order:
            loss = criterion(theirs(images), masks)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())

    torch.testing.assert_close(weights(ours), weights(theirs), rtol=0, atol=0)
    for row, values in zip(trained.history, losses, strict=True):
        assert row.training_loss == pytest.approx(sum(values) / len(values))
    assert trained.pictures == 2 * len(split.training)


def test_loss_falls_and_dice_rises(split: Split) -> None:
    first, *_, last = train_tutorial(tiny(), split, replace(RECIPE, epochs=25), device=CPU).history
    assert last.training_loss < 0.7 * first.training_loss
    assert last.validation_loss < first.validation_loss
    assert last.training_dice > max(0.8, first.training_dice)


def test_a_run_repeats_to_the_bit(split: Split) -> None:
    once, again = tiny(), tiny()
    rows = [train_tutorial(network, split, RECIPE, device=CPU).history for network in (once, again)]
    assert rows[0] == rows[1]
    assert torch.equal(weights(once), weights(again))


def test_every_batch_and_epoch_is_reported(split: Split) -> None:
    done: list[BatchDone] = []
    rows: list[Measured] = []
    trained = train_tutorial(
        tiny(), split, RECIPE, device=CPU, on_batch=done.append, on_epoch=rows.append
    )
    one_epoch = [("training", 1, 3), ("training", 2, 3), ("training", 3, 3), ("validation", 1, 1)]
    assert [(d.phase, d.batch, d.batches) for d in done] == 2 * one_epoch
    assert rows == trained.history
    assert [row.at for row in rows] == [1, 2]
    assert (done[2].loss, done[2].dice) == (rows[0].training_loss, rows[0].training_dice)
    assert (done[3].loss, done[3].dice) == (rows[0].validation_loss, rows[0].validation_dice)


def test_by_car_learns_from_those_cars_alone_and_validates_on_none(pairs: list[Pair]) -> None:
    gone = [replace(pair, image=Path("nowhere.jpg")) for pair in pairs if pair.car == "f"]
    split = split_by_cars([pair for pair in pairs if pair.car in "ab"], gone)
    trained = train_tutorial(tiny(), split, RECIPE, device=CPU)
    assert trained.pictures == 2 * 4
    assert {row.validation_loss for row in trained.history} == {None}
    with pytest.raises(DataError, match=r"nowhere\.jpg"):
        measure(tiny(), split.test, RECIPE, device=CPU)


def test_the_clock_ends_training_with_the_batch_that_it_is_at(split: Split) -> None:
    network = tiny()
    trained = train_tutorial(network, split, replace(RECIPE, limit_seconds=0.0), device=CPU)
    assert trained.pictures == RECIPE.batch
    assert len(trained.history) == 1
    assert trained.history[0].validation_loss is not None
    assert not torch.equal(weights(network), weights(tiny())), "the batch is learned from"
    assert not network.training


def test_an_ample_limit_changes_nothing(split: Split) -> None:
    limited = train_tutorial(tiny(), split, replace(RECIPE, limit_seconds=1e6), device=CPU)
    assert limited.history == train_tutorial(tiny(), split, RECIPE, device=CPU).history


def test_a_loss_that_is_no_number_stops_training_and_says_where(split: Split) -> None:
    with pytest.raises(TrainingError, match=r"loss is nan \(epoch 1, batch 1\).*learning rate"):
        train_tutorial(broken(), split, RECIPE, device=CPU)
    diverging = replace(RECIPE, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"epoch 1, batch 2"):
        train_tutorial(tiny(), split, diverging, device=CPU)


def test_a_loss_that_is_no_number_stops_measuring(split: Split) -> None:
    with pytest.raises(TrainingError, match=r"test, batch 1"):
        measure(broken(), split.test, RECIPE, device=CPU)


def test_measuring_is_the_mean_over_batches_and_changes_nothing(pairs: list[Pair]) -> None:
    network, pictures = tiny(), TutorialPictures(pairs[:6], 32)
    before = weights(network).clone()
    test = measure(network, pairs[:6], RECIPE, device=CPU)
    expected = []
    for part in (range(4), range(4, 6)):
        images, masks = (torch.stack(x) for x in zip(*map(pictures.__getitem__, part), strict=True))
        with torch.no_grad():
            logits = network(images)
        expected.append((float(nn.BCEWithLogitsLoss()(logits, masks)), batch_dice(logits, masks)))
    assert test.batches == 2
    assert test.loss == pytest.approx(sum(loss for loss, _ in expected) / 2)
    assert test.dice == pytest.approx(sum(dice for _, dice in expected) / 2)
    assert torch.equal(weights(network), before)


def test_dice_counts_all_pixels_of_a_batch_at_once() -> None:
    truth = torch.tensor([[1.0, 1, 0, 0], [1, 0, 0, 0]]).reshape(2, 1, 2, 2)
    logits = torch.tensor([[5.0, -5, 5, -5], [0.1, -1, -1, 0]]).reshape(2, 1, 2, 2)
    assert batch_dice(logits, truth) == pytest.approx(2 * 2 / (3 + 3))
    assert batch_dice(-torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)) == 1
    assert batch_dice(torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.5)) == pytest.approx(2 / 3)


def test_amp_computes_in_bfloat16_and_the_loss_in_float32(split: Split) -> None:
    seen: list[torch.dtype] = []
    network = tiny()
    network.out.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    measure(network, split.test, RECIPE, device=CPU)
    measure(network, split.test, replace(RECIPE, amp=True), device=CPU)
    assert seen == [torch.float32, torch.bfloat16]


def test_loader_workers_give_the_same_pictures(split: Split) -> None:
    alone = measure(tiny(), split.training, RECIPE, device=CPU)
    assert measure(tiny(), split.training, replace(RECIPE, workers=1), device=CPU) == alone


def test_examples_are_drawn_by_the_seed_and_no_picture_twice(pairs: list[Pair]) -> None:
    shown = examples(tiny(), pairs, RECIPE, device=CPU)
    assert len({example.name for example in shown}) == 10
    assert [x.name for x in shown] == [x.name for x in examples(tiny(1), pairs, RECIPE, device=CPU)]
    other = examples(tiny(), pairs, replace(RECIPE, seed=1), device=CPU, count=10)
    assert [x.name for x in shown] != [x.name for x in other]
    assert len(examples(tiny(), pairs[:3], RECIPE, device=CPU)) == 3


def test_an_example_shows_what_its_dice_says(pairs: list[Pair]) -> None:
    everything = tiny()
    nn.init.zeros_(everything.out.weight)
    nn.init.ones_(everything.out.bias)
    (example,) = examples(everything, pairs[:1], RECIPE, device=CPU)
    assert example.picture.shape == (32, 32, 3)
    assert example.prediction.min() == 255
    share = example.truth.mean() / 255
    assert example.dice == pytest.approx(2 * share / (1 + share), abs=1e-3)
    assert example.picture[example.truth == 255].min() > example.picture[example.truth == 0].max()


def test_saved_weights_come_back_as_the_classic_network(tmp_path: Path) -> None:
    network, path = UNet(3, 1), tmp_path / "new" / "unet.pth"
    save_weights(path, network)
    again = load_weights(path)
    assert torch.equal(weights(again), weights(network))
    assert not again.training
    assert [file.name for file in path.parent.iterdir()] == ["unet.pth"]


def test_an_interrupted_save_leaves_the_old_weights_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "unet.pth"
    path.write_bytes(b"the old ones")

    def half(state: object, handle: Any) -> None:
        handle.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        save_weights(path, tiny())
    assert [file.name for file in tmp_path.iterdir()] == ["unet.pth"]
    assert path.read_bytes() == b"the old ones"


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    save_weights(tmp_path / "other.pth", tiny())
    (tmp_path / "text.pth").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("other.pth", "text.pth", "list.pth", "missing.pth"):
        with pytest.raises(CheckpointError, match=name):
            load_weights(tmp_path / name)


def test_code_in_a_weights_file_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    torch.save({"out.weight": Unpickled(trace)}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match=r"evil\.pth"):
        load_weights(tmp_path / "evil.pth")
    assert not trace.exists()
    pickle.loads(pickle.dumps(Unpickled(trace)))
    assert trace.exists(), "it would have been, had it been trusted"
