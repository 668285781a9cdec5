"""Trains a checkpoint on labelled shoots and measures it on cars that it never saw.

    scripts/train.py DATA --version NAME [--rendered FOLDER] [--steps N] [--out FOLDER]
    scripts/train.py DATA --recipe tutorial [--limit N] …

DATA is in the Carvana layout (train/, train_masks/). The run's state, TensorBoard log and curves
lie in runs/NAME: the same command goes on after a kill. The finished checkpoint is written to
OUT/NAME. ``--recipe tutorial`` trains the well-known tutorial's network instead
(train_tutorial.py).
"""

from __future__ import annotations

import argparse
import math
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version as installed
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import track
from train_options import arguments

from unet_core.audit import audit
from unet_core.checkpoint import Card, CheckpointError, load_checkpoint, save_checkpoint
from unet_core.cores import usable_cores
from unet_core.data import DataError, Pair, lot, split_by_car
from unet_core.devices import DeviceError, choose_device, is_out_of_memory
from unet_core.encoder import EncoderError
from unet_core.evaluation import Score, measure, summary, thinned
from unet_core.holdout import HOLDOUT_FILE, TRAINED_ON, read_or_write_holdout, require_apart
from unet_core.model import UNet, UNetConfig
from unet_core.plots import PlotError
from unet_core.runlog import RunLog
from unet_core.samples import Samples
from unet_core.segment import Segmenter
from unet_core.store import require_name
from unet_core.training import (
    OUR_LONG_SIDE_PX,
    Progress,
    Recipe,
    TrainingError,
    start,
    train,
)

console = Console(stderr=True)
VALIDATION_SHARE, VALIDATION_FRAMES = 0.06, 16


@dataclass(frozen=True)
class Split:
    """Who learns, who tells when to stop, and who is never seen."""

    training: list[Pair]
    validation: list[Pair]
    holdout: list[Pair]


def main() -> int:
    """Exit code 0: trained and measured; 1: training failed; 2: wrong usage; 130: stopped."""
    recipe = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    recipe.add_argument("--recipe", choices=("ours", "tutorial"), default="ours")
    chosen, rest = recipe.parse_known_args()
    if chosen.recipe == "tutorial":
        import train_tutorial

        parser = argparse.ArgumentParser(prog="train.py --recipe tutorial")
        train_tutorial.add_arguments(parser)
        return train_tutorial.run(parser.parse_args(rest), console)
    return run(arguments(__doc__.splitlines()[0], recipe))


def run(options: argparse.Namespace) -> int:
    """Our recipe: exit codes as in :func:`main`."""
    target = options.out / options.version
    try:
        require_name(options.version)
        if target.exists():
            raise CheckpointError(f"{target} is there already; choose another --version")
        device = choose_device(options.device)
        split = read_data(options)
        torch.manual_seed(options.seed)  # the fresh weights are part of what a seed repeats
        network, parent, seen = UNet.from_config(options.network), None, set[str]()
        if options.init is None and options.network.encoder != "plain":
            network.encoder.load_imagenet()
        elif options.init:
            network, parent_card = load_checkpoint(options.init)
            parent = parent_card.version
            require_apart(split.training, parent_card.holdout)
            seen |= {*parent_card.recipe.get(TRAINED_ON, [])}
            require_unseen(split.holdout, seen, options.init)
        require_enough(network.config, options)
        log = RunLog(options.runs / options.version)
    except (DataError, DeviceError, EncoderError, CheckpointError, PlotError) as error:
        console.print(str(error), style="red", markup=False)
        return 2
    console.print(
        f"{len(split.training)} pictures to train on, {len(split.validation)} to tell when to "
        f"stop, {len(split.holdout)} of {len(_cars(split.holdout))} other cars to measure on, "
        f"{device}"
    )
    if not split.validation:
        console.print("too few cars to tell when to stop: all steps are made", style="yellow")
    if not split.holdout:
        console.print("no car is kept out: the result is not measured", style="yellow")
    card = Card(
        version=options.version,
        long_side_px=OUR_LONG_SIDE_PX,
        holdout=sorted(_cars(split.holdout)),
        data=options.data_note,
        parent=parent,
    )
    try:
        trained, recipe_used = learn(network, split, options, log, device)
    except (DataError, TrainingError) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print(f"stopped; the same command goes on from the last look, in {log.folder}")
        return 130
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        console.print(
            f"{device} has too little memory ({str(error).splitlines()[0]}): free it and start "
            "again, or take a smaller --batch or --crop and another --version",
            style="red",
            markup=False,
        )
        return 1
    learned = [pair for pair in (*split.training, *split.validation) if not pair.rendered]
    recipe_used[TRAINED_ON] = sorted(seen | _cars(learned))
    card = card.model_copy(update={"recipe": recipe_used})
    if split.holdout:
        rounded = trained.half().float()  # just the weights that are kept
        scores = scored(Segmenter(rounded, card, device), split.holdout, "measuring on other cars")
        figures = summary(scores)
        console.print(figures)
        worst = min(scores, key=lambda score: score.dice)
        console.print(f"worst frame: {worst.pair.image.name} with Dice {worst.dice:.4f}")
        card = card.model_copy(
            update={"metrics": figures, "measured_on": "holdout by car, full size"}
        )
    try:
        save_checkpoint(target, trained, card)
    except (CheckpointError, OSError) as error:
        cure = (
            "start again to only save" if isinstance(error, OSError) else f"move {log.folder} away"
        )
        console.print(f"{error}; {cure}", style="red", markup=False)
        return 1
    console.print(f"checkpoint: {target}", markup=False)
    return 0


def read_data(options: argparse.Namespace) -> Split:
    """Reads every picture once, names what cannot be used, and splits the rest by car."""
    pairs = read_pairs(options.data, strict=options.strict)
    if options.rendered:
        pairs += read_pairs(options.rendered, strict=options.strict, rendered=True)
    cars = {pair.car for pair in pairs if not pair.rendered}
    listed = options.holdout or options.runs / HOLDOUT_FILE
    kept_out = read_or_write_holdout(listed, cars)
    training, holdout = split_by_car(pairs, kept_out)
    if kept_out and not holdout:
        raise DataError(
            f"none of the {len(kept_out)} cars in {listed} is in {options.data}: nothing would "
            "tell how good the result is; give another --runs or --holdout, or add cars to the list"
        )
    require_apart(training, kept_out)
    learners = sorted({pair.car for pair in training if not pair.rendered}, key=lot)
    judges = set(learners[: round(VALIDATION_SHARE * len(learners))])
    validation = [pair for pair in training if pair.car in judges and not pair.rendered]
    training = [pair for pair in training if pair.car not in judges or pair.rendered]
    return Split(training, thinned(validation, VALIDATION_FRAMES), holdout)


def require_unseen(holdout: Sequence[Pair], seen: set[str], parent: Path) -> None:
    """Raises :class:`DataError` where the network to start from was trained on a car that is to
    tell how good the result is."""
    if leaks := sorted(_cars(holdout) & seen):
        raise DataError(
            f"{parent} was trained on {len(leaks)} of the cars to measure on, first {leaks[0]}: "
            "give the list that it was trained with (--holdout)"
        )


def require_enough(network: UNetConfig, options: argparse.Namespace) -> None:
    """Raises :class:`DataError` where batch norm would see a single value at the bottom."""
    sides = [side // 2 if options.half_size_share else side for side in options.crop]
    values = options.batch * math.prod(math.ceil(side / network.stride) for side in sides)
    if network.norm == "batch" and values < 2:
        raise DataError(
            f"a batch of {options.batch} and a crop of {sides[0]}×{sides[1]} leave the deepest "
            f"level a single value; give a larger --crop (twice {network.stride}) or --batch"
        )


def read_pairs(root: Path, *, strict: bool, rendered: bool = False) -> list[Pair]:
    """The pictures of a folder that can be trained on; the others are named."""
    with Bar(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"reading {root}")

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        found = audit(root, rendered=rendered, on_file=show)
    if found.problems and not strict:
        for problem in found.problems:
            console.print(f"skipped: {problem}", style="yellow", markup=False)
    return found.usable("strict" if strict else "skip")


def learn(
    network: UNet, split: Split, options: argparse.Namespace, log: RunLog, device: torch.device
) -> tuple[UNet, dict[str, object]]:
    """Trains, and tells how: the network and the card's recipe."""
    recipe = Recipe(
        steps=options.steps,
        batch=options.batch,
        learning_rate=options.learning_rate,
        edge_weight=options.edge_weight,
        dice_weight=options.dice_weight,
        rendered_share=options.rendered_share,
        half_size_share=options.half_size_share,
        seed=options.seed,
        measure_every=options.measure_every,
        workers=loaders(device) if options.workers is None else options.workers,
    )
    augmentation = replace(options.augment, crop=tuple(options.crop))
    samples = Samples(
        split.training,
        augmentation,
        seed=recipe.seed,
        rendered_share=recipe.rendered_share,
        half_size_until=recipe.half_size_steps * recipe.batch,
    )
    state = start(network, recipe, log.folder, device)
    judge = Card(version=options.version, long_side_px=OUR_LONG_SIDE_PX)

    def validate(average: UNet) -> float:
        return summary(
            [measure(Segmenter(average, judge, device), pair) for pair in split.validation]
        )["dice_mean"]

    with Bar(console=console, disable=not console.is_terminal) as bar, log:
        task = bar.add_task("training", total=recipe.steps, completed=state.step)

        def show(done: Progress) -> None:
            log.step(done)
            bar.update(task, completed=done.step, description=f"loss {done.loss:.4f}")
            if done.step % recipe.measure_every == 0 or done.step == recipe.steps:
                log.history(state.history)
                console.print(_line(done, state.history[-1]["loss"]), markup=False)

        trained = train(
            state,
            samples,
            log.folder,
            validate=validate if split.validation else None,
            on_step=show,
        )
    return trained, {
        "command": shlex.join(["scripts/train.py", *sys.argv[1:]]),
        **asdict(recipe),
        "augmentation": asdict(augmentation),
        "validation": sorted(_cars(split.validation)),
        "curve": state.history,
        "cyclorama": installed("cyclorama"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def loaders(device: torch.device) -> int:
    """Processes that load pictures: a GPU would wait for one."""
    return max(1, usable_cores() - 1) if device.type == "cuda" else Recipe.workers


def scored(segmenter: Segmenter, pairs: Sequence[Pair], what: str) -> list[Score]:
    """A score for every pair, behind a progress bar."""
    return [measure(segmenter, pair) for pair in track(pairs, what, console=console)]


def _line(done: Progress, loss: float) -> str:
    line = f"step {done.step}: loss {loss:.4f}, {done.seconds:.0f} s"
    return line if done.validation is None else f"{line}, validation Dice {done.validation:.5f}"


def _cars(pairs: Sequence[Pair]) -> set[str]:
    return {pair.car for pair in pairs}


if __name__ == "__main__":
    sys.exit(main())
