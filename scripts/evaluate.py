"""Measures checkpoints on labelled pictures at their own full size.

    scripts/evaluate.py DATA [--checkpoint FOLDER]… [--page FOLDER] [--csv FILE] [--json]

Only cars that no training saw count: those on the holdout list of every checkpoint's card. With
--all every car counts. ``--recipe tutorial`` measures the tutorial's way (train_tutorial.py).
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from option_types import whole
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from unet_core.checkpoint import Card, CheckpointError, read_card
from unet_core.data import DataError, Pair, find_pairs
from unet_core.devices import DeviceError, choose_device
from unet_core.evaluation import (
    Score,
    best,
    by_angle,
    by_car,
    measure,
    summary,
    thinned,
    unseen_cars,
    worst,
)
from unet_core.evaluation_page import EvaluationPage
from unet_core.metrics import total
from unet_core.segment import Segmenter
from unet_core.store import SHIPPED, ModelStore, Version
from worker.shoots import printable

console = Console(stderr=True)

CSV_FIGURES = (
    *("dice", "iou", "boundary_f_1px", "boundary_f_2px", "boundary_f_4px"),
    *("hausdorff_95_px", "openings_found", "milliseconds"),
)
Grouping = Callable[[Sequence[Score]], Mapping[Any, dict[str, float]]]
GROUPINGS: dict[str, Grouping] = {"angle": by_angle, "car": by_car}


@dataclass(frozen=True)
class Measured:
    """One checkpoint and what came of it."""

    label: str
    """Its version; its folder where two checkpoints have one name."""
    version: Version
    scores: list[Score] = field(default_factory=list)

    @property
    def milliseconds(self) -> float:
        """What the middle picture took on this device: informative only."""
        return round(median(score.milliseconds for score in self.scores), 1)

    def for_programs(self) -> dict[str, Any]:
        """What ``--json`` prints of it."""
        counts = total(score.counts for score in self.scores)
        edge_counts = total(score.edge_counts for score in self.scores)
        return {
            "version": self.version.name,
            "checkpoint": str(self.version.folder),
            **summary(self.scores),
            "milliseconds_median": self.milliseconds,
            "dice": {score.pair.image.name: round(score.dice, 5) for score in self.scores},
            **{f"by_{name}": grouping(self.scores) for name, grouping in GROUPINGS.items()},
            "reliability": [asdict(row) for row in counts.reliability()],
            "edge_reliability": [asdict(row) for row in edge_counts.reliability()],
        }


def main() -> int:
    """Exit code 0: measured; 1: but for pictures that cannot be read; 2: wrong usage or data."""
    recipe = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    recipe.add_argument("--recipe", choices=("ours", "tutorial"), default="ours")
    chosen, rest = recipe.parse_known_args()
    if chosen.recipe == "tutorial":
        import train_tutorial

        parser = argparse.ArgumentParser(prog="evaluate.py --recipe tutorial")
        train_tutorial.add_evaluate_arguments(parser)
        return train_tutorial.evaluate(parser.parse_args(rest), console)
    options = arguments(recipe)
    unreadable: dict[Path, str] = {}
    try:
        results = measured(options, unreadable)
    except (CheckpointError, DataError, DeviceError, OSError) as error:
        console.print(str(error), style="red", markup=False)
        return 2
    if options.json:
        found = [result.for_programs() for result in results]
        print(json.dumps(found[0] if len(found) == 1 else {"checkpoints": found}))
    else:
        print_tables(results, options.by)
    return 1 if unreadable else 0


def arguments(recipe: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], parents=[recipe])
    parser.add_argument("data", type=Path, help="folder with train/ and train_masks/")
    again = "again to compare several; default: the one that comes along"
    parser.add_argument("--checkpoint", type=Path, action="append", metavar="FOLDER", help=again)
    parser.add_argument("--all", action="store_true", help="every car, seen in training or not")
    parser.add_argument("--cars", metavar="A,B", help="only these cars")
    parser.add_argument("--frames", type=whole(1), metavar="N", help="at most N frames a car")
    parser.add_argument("--by", choices=GROUPINGS, action="append", default=[], help="more tables")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="writes a row a frame")
    parser.add_argument("--page", type=Path, metavar="FOLDER", help="writes a page to look at")
    parser.add_argument("--worst", type=whole(1), default=8, metavar="N", help="frames on it")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--whole", action="store_true", help="look at whole photos on a processor, too"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for a program")
    return parser.parse_args()


def measured(options: argparse.Namespace, unreadable: dict[Path, str]) -> list[Measured]:
    """Every checkpoint's scores on the same frames; puts into ``unreadable`` what was skipped."""
    results = [Measured(label, version) for label, version in versions(options.checkpoint)]
    device = choose_device(options.device)
    cards = [read_card(result.version.folder) for result in results]
    pairs = chosen(find_pairs(options.data), cards, options)
    pairs = thinned(pairs, options.frames) if options.frames else pairs
    if options.all:
        warn_of_seen(pairs, cards)
    if options.csv:
        options.csv.open("a").close()  # if it cannot be written, better said before the work
    title = f"Masks on {options.data.resolve().name}"
    page = EvaluationPage(options.page, title=title) if options.page else None
    with progress() as bar:
        for result in results:
            segmenter = Segmenter.load(result.version, device)
            segmenter.by_region &= not options.whole
            for pair in bar.track(pairs, description=result.label):
                if pair.image not in unreadable:
                    try_one(segmenter, pair, result.scores, unreadable)
            if not result.scores:
                raise DataError(f"none of {len(pairs)} pictures of {options.data} can be read")
            if page:
                page.add(segmenter, result.scores, name=result.label, frames=options.worst)
    if page:
        console.print(f"page: {page.write()}", markup=False, soft_wrap=True)
    if options.csv:
        write_csv(options.csv, results)
    return results


def try_one(
    segmenter: Segmenter, pair: Pair, scores: list[Score], unreadable: dict[Path, str]
) -> None:
    """Adds the pair's score, or the reason why there is none."""
    try:
        scores.append(measure(segmenter, pair))
    except DataError as error:
        unreadable[pair.image] = str(error)
        console.print(f"skipped: {error}", style="yellow", markup=False, soft_wrap=True)


def versions(folders: Sequence[Path] | None) -> list[tuple[str, Version]]:
    """The checkpoints, each with the label that tells it from the others."""
    if not folders:
        shipped = ModelStore(SHIPPED).champion()
        return [(shipped.name, shipped)]
    cards = [read_card(folder) for folder in folders]
    names = [card.version for card in cards]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise CheckpointError("a --checkpoint is given twice; give each once")
    return [
        (
            card.version if names.count(card.version) == 1 else str(folder),
            Version(card.version, folder, card.sha256),
        )
        for card, folder in zip(cards, folders, strict=True)
    ]


def chosen(pairs: Sequence[Pair], cards: Sequence[Card], options: argparse.Namespace) -> list[Pair]:
    """The frames of the cars that are asked for and that no training saw, or of all with --all.

    Raises :class:`DataError` where that leaves none, or a car that is asked for is not among them.
    """
    cars, unseen = {pair.car for pair in pairs}, unseen_cars(cards)
    names = ", ".join(card.version for card in cards)
    wanted = set(options.cars.split(",")) if options.cars else cars
    if strange := sorted(wanted - cars):
        raise DataError(f"{options.data} has no car {strange[0]!r}; --cars takes names of cars")
    if not options.all:
        if options.cars and (seen := sorted(wanted - unseen)):
            raise DataError(
                f"the car {seen[0]!r} is not on the holdout list of {names}: training may have "
                "seen it; --all measures it all the same"
            )
        wanted &= unseen
    if not wanted:
        raise DataError(
            f"no car of {options.data} is on the holdout list of {names}; "
            "--all measures every car, seen in training or not"
        )
    return [pair for pair in pairs if pair.car in wanted]


def warn_of_seen(pairs: Sequence[Pair], cards: Sequence[Card]) -> None:
    """Says how many frames flatter the figures."""
    seen = sum(pair.car not in unseen_cars(cards) for pair in pairs)
    if seen:
        console.print(
            f"--all: {seen} of {len(pairs)} frames are of cars that training may have seen; "
            "these figures flatter",
            style="yellow",
        )


def progress() -> Progress:
    """A bar on stderr, where somebody looks."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    )


def write_csv(path: Path, results: Sequence[Measured]) -> None:
    """A row for each frame and checkpoint; figures with five places, as in a card, and an empty
    field where a frame has nothing to be measured."""
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        table = csv.writer(file)
        table.writerow(["checkpoint", "frame", "car", "angle", *CSV_FIGURES])
        for result in results:
            for score in result.scores:
                values = [getattr(score, name) for name in CSV_FIGURES]
                figures = ["" if value is None else f"{value:.5f}" for value in values]
                frame = [score.pair.image.name, score.car, score.angle]
                table.writerow([result.label, *frame, *figures])


def print_tables(results: Sequence[Measured], groupings: Sequence[str]) -> None:
    """The figures side by side, the best of each row in bold; then by angle and car if asked."""
    labels = [Column(escape(printable(result.label)), overflow="fold") for result in results]
    table = Table("figure", *labels)
    summaries = [summary(result.scores) for result in results]
    for name in summaries[0]:
        values = [figures[name] for figures in summaries]
        first = best(name, values)
        table.add_row(name, *(f"[b]{v:g}[/b]" if v == first else f"{v:g}" for v in values))
    table.add_row("ms a photo, about", *(f"{result.milliseconds:g}" for result in results))
    lowest = [worst(result.scores, 5) for result in results]
    for row in zip(*lowest, strict=False):
        frames = (printable(f"{s.pair.image.name} {s.dice:.4f}") for s in row)
        table.add_row("worst", *map(escape, frames))
    out = Console()
    out.print(table)
    names = ("frames", "dice_mean", "dice_worst", "boundary_f_2px_mean", "hausdorff_95_px_mean")
    for grouping in groupings:
        for result in results:
            heads = (name.replace("_", " ") for name in names)  # so that narrow ones wrap
            table = Table(grouping, *heads, title=escape(f"{result.label} by {grouping}"))
            for key, figures in GROUPINGS[grouping](result.scores).items():
                table.add_row(escape(str(key)), *(f"{figures[name]:g}" for name in names))
            out.print(table)


if __name__ == "__main__":
    sys.exit(main())
