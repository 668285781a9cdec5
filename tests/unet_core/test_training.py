"""Training learns, repeats to the bit, goes on after a kill, and stops at the first NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.carvana import write_cars
from unet_core.augment import Augmentation
from unet_core.data import Pair, find_pairs
from unet_core.model import UNet
from unet_core.samples import Samples
from unet_core.training import (
    Progress,
    Recipe,
    TrainingError,
    Validate,
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
    far=0,
    new_background=0,
    quarter_turn=0,
    rotation=0,
    blur=0,
    jpeg=0,
)
RECIPE = Recipe(
    steps=8,
    batch=2,
    learning_rate=1e-2,
    warmup_steps=2,
    ema_decay=0.9,
    half_size_share=0,
    measure_every=3,
    workers=0,
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
    validate: Validate | None = None,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> UNet:
    state = start(network or tiny(), recipe, folder, CPU)
    samples = Samples(pairs, CALM, seed=recipe.seed)
    return train(state, samples, folder, validate=validate, on_step=on_step)


def kill_after(step: int) -> Callable[[Progress], None]:
    def on_step(progress: Progress) -> None:
        if progress.step == step:
            raise Killed

    return on_step


def same_weights(a: UNet, b: UNet) -> bool:
    theirs = b.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in a.state_dict().items())


def saved_state(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "state.pt", weights_only=True)


def test_a_tiny_network_learns_a_tiny_task(pairs: list[Pair], tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=60, batch=4, learning_rate=0.1, warmup_steps=5)
    losses: list[float] = []

    network = run(pairs, tmp_path, recipe, on_step=lambda progress: losses.append(progress.loss))

    assert len(losses) == 60
    assert sum(losses[-5:]) < 0.3 * sum(losses[:5])
    image, mask = Samples(pairs, CALM)[10_000]
    with torch.no_grad():
        found = network(image[None] / 255)[0] > 0
    assert float((found == (mask > 127)).float().mean()) > 0.95, "the average learned too"


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
    network = tiny(0 if killed_after < RECIPE.measure_every else 99)

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
    pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Killed):
        run(pairs, tmp_path, on_step=kill_after(4))
    state = saved_state(tmp_path)
    before = (tmp_path / "state.pt").read_bytes()

    monkeypatch.setattr(
        "unet_core.training.segmentation_loss", lambda *_, **__: torch.tensor(math.nan)
    )
    with pytest.raises(TrainingError, match=r"nan at step 3.*lower the learning rate"):
        run(pairs, tmp_path)
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
        run(pairs, tmp_path, replace(RECIPE, measure_every=1), network=network)

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


def test_a_device_without_memory_is_no_damage_to_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = start(UNet(width=2, depth=1), RECIPE, tmp_path, CPU)
    state.save(tmp_path / "state.pt")

    def full(weights: object) -> None:
        raise torch.cuda.OutOfMemoryError("no 2 GiB are left")

    monkeypatch.setattr(state.network, "load_state_dict", full)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        state.load(tmp_path / "state.pt")


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
            update_average(state)

        assert float(state.average.out.bias[0].detach()) == pytest.approx(share, rel=1e-3)


def test_a_run_goes_on_only_with_the_recipe_that_it_was_begun_with(
    pairs: list[Pair], tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        run(pairs, tmp_path, on_step=kill_after(4))

    with pytest.raises(TrainingError, match=r"was begun with learning_rate = 0\.01, not 0\.5"):
        run(pairs, tmp_path, replace(RECIPE, learning_rate=0.5))
    run(pairs, tmp_path, replace(RECIPE, workers=1))  # who loads the pictures changes nothing


def figures(*values: float) -> Validate:
    """A validation that finds one figure after the other."""
    left = list(values)
    return lambda network: left.pop(0)


def test_a_run_goes_on_only_with_the_samples_that_it_was_begun_with(
    pairs: list[Pair], tmp_path: Path
) -> None:
    def go_on(steps: int, pairs: list[Pair], augmentation: Augmentation) -> None:
        recipe = replace(RECIPE, steps=6, measure_every=2)
        state = start(UNet(width=2, depth=1), recipe, tmp_path, CPU)

        def kill(done: Progress) -> None:
            if done.step == steps:
                raise Killed

        with pytest.raises(Killed):
            train(state, Samples(pairs, augmentation), tmp_path, on_step=kill)

    go_on(2, pairs, CALM)
    moved = [replace(pair, image=tmp_path / pair.image.name) for pair in pairs]
    assert Samples(moved, CALM).digest == Samples(pairs[::-1], CALM).digest
    for others, augmentation in ((pairs[1:], CALM), (pairs, replace(CALM, blur=0.5))):
        with pytest.raises(TrainingError, match=r"state\.pt was begun on other pictures or with"):
            go_on(4, others, augmentation)
    go_on(4, pairs, CALM)


def test_the_best_average_is_what_comes_out(pairs: list[Pair], tmp_path: Path) -> None:
    averages: list[dict[str, Tensor]] = []

    def validate(network: UNet) -> float:
        averages.append({n: v.clone() for n, v in network.state_dict().items()})
        return [0.5, 0.9, 0.7][len(averages) - 1]

    network = run(pairs, tmp_path, validate=validate)

    assert len(averages) == 3, "after steps 3, 6 and 8"
    assert all(torch.equal(v, averages[1][n]) for n, v in network.state_dict().items())


def test_training_stops_when_nothing_gets_better_for_too_long(
    pairs: list[Pair], tmp_path: Path
) -> None:
    steps: list[int] = []
    recipe = replace(RECIPE, steps=100, measure_every=2, patience=3)

    run(
        pairs,
        tmp_path,
        recipe,
        validate=figures(0.5, 0.8, 0.7, 0.8, 0.6),
        on_step=lambda done: steps.append(done.step),
    )

    assert steps[-1] == 10
    assert run(pairs, tmp_path, recipe, validate=figures()) is not None, "and stays stopped"


def test_the_history_has_a_row_a_look_and_outlives_a_kill(
    pairs: list[Pair], tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(pairs, whole, validate=figures(0.1, 0.2, 0.3))
    with pytest.raises(Killed):
        run(pairs, cut, validate=figures(0.1), on_step=kill_after(4))
    run(pairs, cut, validate=figures(0.2, 0.3))

    history = saved_state(whole)["history"]
    assert saved_state(cut)["history"] == history
    assert [(row["step"], row["validation"]) for row in history] == [(3, 0.1), (6, 0.2), (8, 0.3)]
    assert all(row["loss"] > 0 for row in history)


def test_nothing_is_judged_before_full_size(pairs: list[Pair], tmp_path: Path) -> None:
    recipe = replace(RECIPE, half_size_share=0.5, measure_every=2)
    run(pairs, tmp_path, recipe, validate=figures(0.6, 0.7))

    assert [(row["step"], row.get("validation")) for row in saved_state(tmp_path)["history"]] == [
        (2, None), (4, None), (6, 0.6), (8, 0.7)
    ]  # fmt: skip
