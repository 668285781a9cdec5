"""Trains the well-known Carvana tutorial's network, as it is there, to measure ours against.

    scripts/train_tutorial.py DATA [--out FOLDER] [--by-car] [--minutes M] [--limit N] …

DATA is in the Carvana layout. OUT gets unet.pth (whole, after each epoch), curves.png,
curves-zoom.png, examples.png, history.json and, at the end, a checkpoint named VERSION.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from importlib.metadata import version as installed
from pathlib import Path

import torch
from option_types import whole
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from unet_core.checkpoint import Card, CheckpointError, save_checkpoint
from unet_core.data import DataError, Pair, find_pairs, split_by_car
from unet_core.devices import DeviceError, choose_device
from unet_core.holdout import read_holdout
from unet_core.model import UNet
from unet_core.plots import Measured, PlotError, plot_curves, plot_examples, require_matplotlib
from unet_core.training import TrainingError
from unet_core.tutorial import (
    BatchDone,
    Running,
    Trained,
    TutorialRecipe,
    examples,
    load_weights,
    measure,
    save_weights,
    train_tutorial,
)
from unet_core.tutorial_data import Split, split_at_random, split_by_cars

WEIGHTS, ZOOM, QUIET_SECONDS = "unet.pth", (0.0, 0.05), 30.0
SIBLINGS = (
    "split by picture, as the tutorial does: frames of one car lie on both sides, so validation "
    "and test flatter; --by-car tests on cars that training never saw"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of :func:`run`."""
    _add_shared(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/tutorial"))
    parser.add_argument("--version", default="tutorial", help="name of the new checkpoint")
    parser.add_argument("--epochs", type=whole(1), default=TutorialRecipe.epochs)
    parser.add_argument("--learning-rate", type=float, default=TutorialRecipe.learning_rate)
    parser.add_argument("--minutes", type=float, help="end training after this much wall clock")
    parser.add_argument("--data-note", default="", help="what the data is, and on which terms")


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of :func:`evaluate`; the split is that of the same options in training."""
    _add_shared(parser)
    parser.add_argument("--weights", type=Path, required=True, help="state dict of a run")
    parser.add_argument("--out", type=Path, help="folder of examples.png; default: the weights'")
    parser.add_argument("--json", action="store_true", help="print JSON for a program")


def run(options: argparse.Namespace, console: Console) -> int:
    """Exit code 0: trained and tested; 1: training failed; 2: wrong usage."""
    target = options.out / options.version
    try:
        require_matplotlib()
        if target.exists():
            raise CheckpointError(f"{target} is there already; choose another --out or --version")
        split, device = _split(options), choose_device(options.device)
    except (PlotError, CheckpointError, DataError, DeviceError) as error:
        return _failed(console, error, 2)
    console.print(
        f"{len(split.training)} pictures to train on, {len(split.validation)} to validate, "
        f"{len(split.test)} to test, {device}"
    )
    console.print("split by car" if options.by_car else SIBLINGS)
    torch.manual_seed(options.seed)  # the fresh weights are part of what a seed repeats
    network = UNet(3, 1)
    try:
        trained, test = _train_and_test(network, split, options, device=device, console=console)
        _print_test(console, test, split.test)
        _write_history(options.out, trained, test)
        shown = examples(network, split.test, _recipe(options), device=device)
        plot_examples(shown, options.out / "examples.png")
        save_checkpoint(target, network, _card(options, split, trained, test))
    except (DataError, TrainingError, CheckpointError) as error:
        return _failed(console, error, 1)
    console.print(f"weights: {options.out / WEIGHTS}, checkpoint: {target}", markup=False)
    return 0


def evaluate(options: argparse.Namespace, console: Console) -> int:
    """Tests a saved state dict. Exit code 0: measured; 1: no number came out; 2: wrong usage."""
    out = options.out or options.weights.parent
    try:
        require_matplotlib()
        split, device = _split(options), choose_device(options.device)
        network, recipe = load_weights(options.weights), _recipe(options)
        with Bars(console, epochs=0) as bars:
            test = measure(network, split.test, recipe, device=device, on_batch=bars.on_batch)
        plot_examples(examples(network, split.test, recipe, device=device), out / "examples.png")
    except (PlotError, CheckpointError, DataError, DeviceError) as error:
        return _failed(console, error, 2)
    except TrainingError as error:
        return _failed(console, error, 1)
    if options.json:
        print(json.dumps({"pictures": len(split.test), **_figures(test)}))
    else:
        _print_test(Console(), test, split.test)
    return 0


class Bars:
    """Bars for epochs and batches; where nobody looks, a plain line now and then."""

    def __init__(self, console: Console, epochs: int) -> None:
        self._console, self._said = console, time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._epochs = self._progress.add_task("epochs", total=epochs, visible=epochs > 0)
        self._batches = self._progress.add_task("batches")

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def on_batch(self, done: BatchDone) -> None:
        """Shows a batch."""
        text = f"{done.phase}: loss {done.loss:.4f} Dice {done.dice:.4f}"
        if done.batch == 1:
            self._progress.reset(self._batches)
        self._progress.update(
            self._batches, completed=done.batch, total=done.batches, description=text
        )
        if not self._console.is_terminal and time.monotonic() - self._said >= QUIET_SECONDS:
            self._console.print(f"{text} (batch {done.batch} of {done.batches})")
            self._said = time.monotonic()

    def on_epoch(self, row: Measured) -> None:
        """Prints an epoch's figures."""
        line = f"epoch {row.at:g}: training loss {row.training_loss:.4f}"
        line += f" Dice {row.training_dice:.4f}"
        if row.validation_loss is not None:
            line += f", validation loss {row.validation_loss:.4f} Dice {row.validation_dice:.4f}"
        self._console.print(line)
        self._progress.update(self._epochs, completed=row.at)


def _train_and_test(
    network: UNet,
    split: Split,
    options: argparse.Namespace,
    *,
    device: torch.device,
    console: Console,
) -> tuple[Trained, Running]:
    """Keeps weights and curves after each epoch, so that an interruption loses one at most."""
    recipe, history = _recipe(options), list[Measured]()
    with Bars(console, recipe.epochs) as bars:

        def keep(row: Measured) -> None:
            history.append(row)
            save_weights(options.out / WEIGHTS, network)
            plot_curves(history, options.out / "curves.png")
            plot_curves(history, options.out / "curves-zoom.png", zoom=ZOOM)
            bars.on_epoch(row)

        trained = train_tutorial(
            network, split, recipe, device=device, on_batch=bars.on_batch, on_epoch=keep
        )
        test = measure(network, split.test, recipe, device=device, on_batch=bars.on_batch)
    return trained, test


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path)
    parser.add_argument("--limit", type=whole(1), help="only the first N pictures, by name")
    parser.add_argument("--by-car", action="store_true", help="test on cars never trained on")
    parser.add_argument(
        "--holdout", type=Path, help="with --by-car: their list, as scripts/train.py keeps it"
    )
    parser.add_argument("--seed", type=int, default=TutorialRecipe.seed)
    parser.add_argument("--batch", type=whole(1), default=TutorialRecipe.batch)
    parser.add_argument("--workers", type=int, default=TutorialRecipe.workers)
    parser.add_argument("--image-size", type=whole(1), default=TutorialRecipe.image_size)
    parser.add_argument("--amp", action="store_true", help="bfloat16, which the tutorial has not")
    parser.add_argument("--device", default="auto")


def _split(options: argparse.Namespace) -> Split:
    pairs = find_pairs(options.data)[: options.limit]
    if options.holdout and not options.by_car:
        raise DataError("--holdout names cars to test on; give --by-car as well")
    if options.by_car:
        kept_out = read_holdout(options.holdout) if options.holdout else None
        return split_by_cars(*split_by_car(pairs, kept_out))
    return split_at_random(pairs, seed=options.seed)


def _recipe(options: argparse.Namespace) -> TutorialRecipe:
    given = {**vars(options), "limit_seconds": None}
    if (minutes := given.get("minutes")) is not None:
        given["limit_seconds"] = 60 * minutes
    names = {field.name for field in fields(TutorialRecipe)}
    return TutorialRecipe(**{name: value for name, value in given.items() if name in names})


def _figures(test: Running) -> dict[str, float]:
    return {"test_loss": round(test.loss, 5), "test_dice": round(test.dice, 5)}


def _print_test(console: Console, test: Running, pairs: Sequence[Pair]) -> None:
    cars = len({pair.car for pair in pairs})
    console.print(
        f"test loss {test.loss:.5f}, Dice {test.dice:.5f} (pictures: {len(pairs)}, cars: {cars})"
    )


def _write_history(out: Path, trained: Trained, test: Running) -> None:
    rows = [asdict(row) for row in trained.history]
    kept = {"epochs": rows, **_figures(test), "pictures": trained.pictures}
    kept["seconds"] = round(trained.seconds, 1)
    (out / "history.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def _card(options: argparse.Namespace, split: Split, trained: Trained, test: Running) -> Card:
    how = (
        "the holdout by car" if options.by_car else "a test split by picture, siblings in training"
    )
    return Card(
        version=options.version,
        squash_px=(options.image_size, options.image_size),
        metrics=_figures(test),
        measured_on=f"{how}; squashed, a Dice for each batch of {options.batch}, on {WEIGHTS}",
        holdout=sorted({pair.car for pair in split.test} - {pair.car for pair in split.training}),
        data=options.data_note,
        recipe={
            "command": shlex.join([f"scripts/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
            **asdict(_recipe(options)),
            "epochs_begun": len(trained.history),
            "pictures": trained.pictures,
            "seconds": round(trained.seconds, 1),
            "cyclorama": installed("cyclorama"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    )


def _failed(console: Console, error: Exception, code: int) -> int:
    console.print(str(error), style="red", markup=False)
    return code


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    sys.exit(run(parser.parse_args(), Console(stderr=True)))
