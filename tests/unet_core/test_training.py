"""Training learns, repeats to the bit, goes on after a kill, and stops at the first NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.carvana import write_cars
from unet_core.augment import Augmentation
from unet_core.data import DataError, Pair, Picture, find_pairs, read_pair
from unet_core.model import UNet
from unet_core.training import (
    Progress,
    Recipe,
    Samples,
    TrainingError,
    learning_rate,
    start,
    train,
    update_average,
)

CPU = torch.device("cpu")
CALM = Augmentation(
    crop=(32, 48),
    long_side_px=96,
    scales=(0.5, 0.8),
    new_background=0,
    quarter_turn=0,
    blur=0,
    jpeg=0,
)
RECIPE = Recipe(
    steps=8, batch=2, learning_rate=1e-2, warmup_steps=2, ema_decay=0.9, save_every=3, workers=0
)


class Killed(BaseException):
    """Stands for the signal that ends a run between two steps."""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    return find_pairs(write_cars(tmp_path_factory.mktemp("data"), ["a", "b", "c"], frames=2))


def tiny(seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    return UNet(width=4, depth=2, norm="batch", fold=2)


def run(
    pairs: list[Pair],
    folder: Path,
    recipe: Recipe = RECIPE,
    *,
    network: UNet | None = None,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> UNet:
    samples = Samples(pairs, recipe, CALM)
    network = network or tiny()
    return train(network, samples, recipe, folder=folder, device=CPU, on_step=on_step)


def kill_after(step: int) -> Callable[[Progress], None]:
    def on_step(progress: Progress) -> None:
        if progress.step == step:
            raise Killed

    return on_step


def same_weights(a: UNet, b: UNet) -> bool:
    theirs = b.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in a.state_dict().items())


def saved_state(folder: Path) -> dict[str, dict[str, Tensor]]:
    return torch.load(folder / "state.pt", weights_only=True)


def test_a_tiny_network_learns_a_tiny_task(pairs: list[Pair], tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=60, batch=4, learning_rate=0.1, warmup_steps=5)
    losses: list[float] = []

    network = run(pairs, tmp_path, recipe, on_step=lambda progress: losses.append(progress.loss))

    assert len(losses) == 60
    assert sum(losses[-5:]) < 0.3 * sum(losses[:5])
    image, mask = Samples(pairs, recipe, CALM)[10_000]
    with torch.no_grad():
        found = network(image[None])[0] > 0
    assert float((found == (mask > 0.5)).float().mean()) > 0.95, "the average learned too"


def test_the_returned_network_is_the_average_ready_for_use(
    pairs: list[Pair], tmp_path: Path
) -> None:
    network = run(pairs, tmp_path)
    saved = saved_state(tmp_path)

    assert not network.training
    assert all(torch.equal(v, saved["average"][n]) for n, v in network.state_dict().items())
    assert any(not torch.equal(v, saved["network"][n]) for n, v in network.state_dict().items())


@pytest.mark.parametrize("killed_after", [1, 5, 6])
def test_a_killed_run_goes_on_to_the_same_weights_bit_for_bit(
    pairs: list[Pair], tmp_path: Path, killed_after: int
) -> None:
    whole = run(pairs, tmp_path / "whole")
    with pytest.raises(Killed):
        run(pairs, tmp_path / "cut", on_step=kill_after(killed_after))
    steps: list[int] = []
    # Where nothing was saved yet, the same fresh weights are what goes on; else the saved ones.
    network = tiny(0 if killed_after < RECIPE.save_every else 99)

    resumed = run(
        pairs, tmp_path / "cut", network=network, on_step=lambda done: steps.append(done.step)
    )

    assert steps == list(range(killed_after // 3 * 3 + 1, RECIPE.steps + 1))
    assert same_weights(resumed, whole)


def test_a_finished_run_gives_its_result_again_without_a_step(
    pairs: list[Pair], tmp_path: Path
) -> None:
    first = run(pairs, tmp_path)
    steps: list[Progress] = []

    assert same_weights(run(pairs, tmp_path, network=tiny(5), on_step=steps.append), first)
    assert steps == []


def test_workers_deliver_the_same_samples_as_none(pairs: list[Pair], tmp_path: Path) -> None:
    alone = run(pairs, tmp_path / "alone", replace(RECIPE, steps=2))
    helped = run(pairs, tmp_path / "helped", replace(RECIPE, steps=2, workers=1))

    assert same_weights(alone, helped)


def test_another_seed_gives_other_weights(pairs: list[Pair], tmp_path: Path) -> None:
    short = replace(RECIPE, steps=2)

    assert not same_weights(
        run(pairs, tmp_path / "a", short), run(pairs, tmp_path / "b", replace(short, seed=26))
    )


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_state(
    pairs: list[Pair], tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        run(pairs, tmp_path, on_step=kill_after(4))
    state = saved_state(tmp_path)
    before = (tmp_path / "state.pt").read_bytes()

    with pytest.raises(TrainingError, match=r"(nan|inf) at step [45].*lower the learning rate"):
        run(pairs, tmp_path, replace(RECIPE, learning_rate=1e30, clip_norm=1e30, save_every=1000))
    assert (tmp_path / "state.pt").read_bytes() == before
    assert state["step"] == 3


def test_gradients_that_are_no_numbers_never_reach_the_weights(
    pairs: list[Pair], tmp_path: Path
) -> None:
    network, calls = tiny(), 0

    def poison(gradient: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return gradient * math.inf if calls == 3 else gradient

    network.out.weight.register_hook(poison)
    with pytest.raises(TrainingError, match="nan at step 2"):
        run(pairs, tmp_path, replace(RECIPE, save_every=1), network=network)

    assert all(parameter.isfinite().all() for parameter in network.parameters())
    state = saved_state(tmp_path)
    assert state["step"] == 2
    assert all(value.isfinite().all() for value in state["average"].values())


@pytest.mark.parametrize("content", [b"", b"no state at all", "half"])
def test_a_damaged_state_is_named(pairs: list[Pair], tmp_path: Path, content: bytes | str) -> None:
    run(pairs, tmp_path, replace(RECIPE, steps=1))
    path = tmp_path / "state.pt"
    data = path.read_bytes()
    path.write_bytes(content if isinstance(content, bytes) else data[: len(data) // 2])

    with pytest.raises(TrainingError, match=r"state\.pt cannot be gone on from"):
        run(pairs, tmp_path)


def test_a_state_of_another_network_is_named(pairs: list[Pair], tmp_path: Path) -> None:
    run(pairs, tmp_path, replace(RECIPE, steps=1))

    with pytest.raises(TrainingError, match=r"state\.pt cannot be gone on from .*another network"):
        run(pairs, tmp_path, network=UNet(width=8, depth=2))


def test_a_save_leaves_no_part_behind(pairs: list[Pair], tmp_path: Path) -> None:
    run(pairs, tmp_path, replace(RECIPE, steps=1))

    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_the_learning_rate_warms_up_then_falls_along_half_a_cosine() -> None:
    recipe = Recipe(steps=110, warmup_steps=10, learning_rate=2.0)
    rates = [learning_rate(step, recipe) for step in range(110)]

    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert max(rates) == rates[9] == rates[10] == 2.0
    assert rates[60] == pytest.approx(2 * (0.01 + 0.99 / 2))
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert learning_rate(110, recipe) == pytest.approx(0.02)


def test_a_run_shorter_than_its_warm_up_has_a_learning_rate_throughout() -> None:
    recipe = Recipe(steps=5, warmup_steps=10)

    assert all(0 < learning_rate(step, recipe) < recipe.learning_rate for step in range(5))
    assert learning_rate(0, Recipe(steps=5, warmup_steps=0)) == Recipe.learning_rate


def test_each_step_reports_its_number_loss_and_rate(pairs: list[Pair], tmp_path: Path) -> None:
    seen: list[Progress] = []
    run(pairs, tmp_path, on_step=seen.append)

    assert [progress.step for progress in seen] == list(range(1, RECIPE.steps + 1))
    assert [progress.learning_rate for progress in seen] == [
        learning_rate(step, RECIPE) for step in range(RECIPE.steps)
    ]
    assert all(math.isfinite(progress.loss) for progress in seen)


def test_an_epoch_takes_each_real_picture_once(pairs: list[Pair]) -> None:
    samples = Samples(pairs, replace(RECIPE, rendered_share=0), CALM)
    orders = []
    for epoch in range(3):
        ks = range(epoch * len(pairs), (epoch + 1) * len(pairs))
        orders.append([samples._choose(k, torch.Generator().manual_seed(k)) for k in ks])

    assert all(sorted(order, key=str) == sorted(pairs, key=str) for order in orders)
    assert len({str(order) for order in orders}) > 1, "each epoch has its own order"


def test_each_sample_is_its_own_and_the_same_whoever_asks(pairs: list[Pair]) -> None:
    first, second = (Samples(pairs[:1], RECIPE, CALM) for _ in range(2))

    for ours, theirs, later in zip(first[7], second[7], first[8], strict=True):
        assert torch.equal(ours, theirs)
        assert not torch.equal(ours, later)


def test_rendered_pictures_get_their_share_and_all_of_it_where_there_are_no_others(
    pairs: list[Pair],
) -> None:
    def share(real: list[Pair], rendered: list[Pair]) -> float:
        samples = Samples([*real, *rendered], replace(RECIPE, rendered_share=0.25), CALM)
        drawn = [samples._choose(k, torch.Generator().manual_seed(k)) for k in range(400)]
        return sum(pair.rendered for pair in drawn) / 400

    rendered = [replace(pair, rendered=True) for pair in pairs]
    assert share(pairs, rendered) == pytest.approx(0.25, abs=0.08)
    assert share([], rendered) == 1
    assert share(pairs, []) == 0


def test_training_on_no_picture_at_all_is_refused() -> None:
    with pytest.raises(DataError, match="no picture to train on"):
        Samples([], RECIPE, CALM)


def test_weight_decay_spares_biases_and_norms(tmp_path: Path) -> None:
    state = start(tiny(), replace(RECIPE, weight_decay=0.5), tmp_path, CPU)
    decayed, spared = state.optimizer.param_groups

    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.5, 0)
    assert {parameter.ndim for parameter in decayed["params"]} == {4}
    assert {parameter.ndim for parameter in spared["params"]} == {1}
    total = len(decayed["params"]) + len(spared["params"])
    assert total == len(list(state.network.parameters()))


def test_the_average_follows_fast_at_first_and_slowly_later(tmp_path: Path) -> None:
    state = start(tiny(), replace(RECIPE, ema_decay=0.998), tmp_path, CPU)
    for step, share in ((0, 0.9), (10_000, 0.002)):
        state.step = step
        with torch.no_grad():
            state.average.out.bias.zero_()
            state.network.out.bias.fill_(1)
            update_average(state, replace(RECIPE, ema_decay=0.998))

        assert float(state.average.out.bias[0].detach()) == pytest.approx(share, rel=1e-3)


def test_a_picture_is_read_once_and_kept_as_small_as_training_needs_it(
    pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Pair] = []

    def counted(pair: Pair) -> tuple[Picture, Picture]:
        read.append(pair)
        return read_pair(pair)

    monkeypatch.setattr("unet_core.training.read_pair", counted)
    samples = Samples(pairs, RECIPE, replace(CALM, long_side_px=40))
    for k in range(3 * len(pairs)):
        samples[k]
    assert sorted(read, key=str) == sorted(pairs, key=str)
    assert max(max(mask.shape) for _, mask in samples._kept.values()) == 32
