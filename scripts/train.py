"""Trains a checkpoint on labelled shoots and measures it on cars that it never saw.

    scripts/train.py DATA --version NAME [--rendered FOLDER] [--steps N] [--out FOLDER]

DATA is in the Carvana layout (train/, train_masks/). The run's state lies in runs/NAME: the same
command goes on after a kill. The finished checkpoint is written to OUT/NAME.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
from dataclasses import asdict
from importlib.metadata import version as installed
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from unet_core.augment import Augmentation
from unet_core.checkpoint import Card, CheckpointError, load_checkpoint, save_checkpoint
from unet_core.data import DataError, find_pairs, split_by_car
from unet_core.evaluation import evaluate, summary
from unet_core.model import UNet
from unet_core.segment import DeviceError, Segmenter, choose_device
from unet_core.training import OUR_LONG_SIDE_PX, OUR_NETWORK, Recipe, Samples, TrainingError, train
from unet_core.training import Progress as Step

console = Console(stderr=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--version", required=True, help="name of the new checkpoint")
    parser.add_argument("--rendered", type=Path, help="rendered shoots in the same layout")
    parser.add_argument("--out", type=Path, default=Path("runs/checkpoints"))
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--init", type=Path, help="checkpoint folder to start from")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--batch", type=int, default=Recipe.batch)
    parser.add_argument("--learning-rate", type=float, default=Recipe.learning_rate)
    parser.add_argument("--crop", type=int, nargs=2, default=Augmentation.crop, metavar=("H", "W"))
    parser.add_argument("--scales", type=float, nargs=2, default=Augmentation.scales)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data-note", default="", help="what the data is, and on which terms")
    return parser.parse_args()


def main() -> int:
    """Exit code 0: trained and measured; 1: training failed; 2: wrong usage."""
    options = arguments()
    target = options.out / options.version
    try:
        if target.exists():
            raise CheckpointError(f"{target} is there already; choose another --version")
        pairs = find_pairs(options.data)
        if options.rendered:
            pairs += find_pairs(options.rendered, rendered=True)
        device = choose_device(options.device)
        torch.manual_seed(options.seed)  # the fresh weights are part of what a seed repeats
        network, parent = UNet.from_config(OUR_NETWORK), None
        if options.init:
            network, parent_card = load_checkpoint(options.init)
            parent = parent_card.version
    except (DataError, DeviceError, CheckpointError) as error:
        console.print(f"[red]{error}")
        return 2
    training, holdout = split_by_car(pairs)
    console.print(
        f"{len(training)} pictures to train on, {len(holdout)} of "
        f"{len({pair.car for pair in holdout})} other cars to measure on, {device}"
    )
    recipe = Recipe(
        steps=options.steps,
        batch=options.batch,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
    augmentation = Augmentation(crop=tuple(options.crop), scales=tuple(options.scales))
    try:
        trained = run(network, Samples(training, recipe, augmentation), recipe, options, device)
    except (DataError, TrainingError) as error:
        console.print(f"[red]{error}")
        return 1
    card = Card(
        version=options.version,
        long_side_px=OUR_LONG_SIDE_PX,
        holdout=sorted({pair.car for pair in holdout}),
        data=options.data_note,
        parent=parent,
        recipe={
            "command": shlex.join(["scripts/train.py", *sys.argv[1:]]),
            **asdict(recipe),
            "cyclorama": installed("cyclorama"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    )
    if holdout:
        rounded = trained.half().float()  # just the weights that are kept
        scores = evaluate(Segmenter(rounded, card, device), holdout)
        figures = summary(scores)
        console.print(figures)
        worst = min(scores, key=lambda score: score.dice)
        console.print(f"worst frame: {worst.pair.image.name} with Dice {worst.dice:.4f}")
        card = card.model_copy(
            update={"metrics": figures, "measured_on": "holdout by car, full size"}
        )
    save_checkpoint(target, trained, card)
    console.print(f"checkpoint: {target}")
    return 0


def run(
    network: UNet,
    samples: Samples,
    recipe: Recipe,
    options: argparse.Namespace,
    device: torch.device,
) -> UNet:
    """Trains with a progress bar, and a plain line now and then where nobody looks."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("training", total=recipe.steps)
        average = 0.0

        def show(done: Step) -> None:
            nonlocal average
            average = done.loss if not average else 0.95 * average + 0.05 * done.loss
            bar.update(task, completed=done.step, description=f"loss {average:.4f}")
            if not console.is_terminal and done.step % 25 == 0:
                console.print(f"step {done.step} loss {average:.4f} {done.seconds:.0f} s")

        folder = options.runs / options.version
        return train(network, samples, recipe, folder=folder, device=device, on_step=show)


if __name__ == "__main__":
    sys.exit(main())
