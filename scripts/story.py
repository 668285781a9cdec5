"""A model that gets better, from beginning to end, on cars of a kind that it never saw.

    .venv/bin/python scripts/story.py DATA --without "paint white" --work FOLDER

DATA is in the Carvana layout. A champion is trained without the cars of one kind; a studio runs on
it, their shoots come in, a part of their frames is corrected; a night retrains; and the studio,
which was never restarted, makes the next shoot with the new checkpoint. What is printed is Dice
before and after, on frames that nobody corrected too; a line of JSON comes last. FOLDER keeps all
of it: the same command goes on where it was. True masks stand in for the person who corrects.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from story_cars import Cast, cast
from story_champion import FIRST, first_champion
from story_studio import RunningStudio
from train_options import network_of

from unet_core.checkpoint import CheckpointError
from unet_core.data import DataError, Pair
from unet_core.encoder import EncoderError
from unet_core.evaluation import measure
from unet_core.gate_page import REPORT
from unet_core.retraining import read_plan
from unet_core.segment import Segmenter
from unet_core.store import ModelStore, Version
from unet_core.training import OUR_LONG_SIDE_PX, OUR_NETWORK, Recipe, TrainingError
from worker.errors import CycloramaError
from worker.night.cli import shoots_wait
from worker.night.courtesy import Courtesy
from worker.night.material import NightOptions
from worker.night.retrain import Night, retrain
from worker.settings import Settings, read_settings

err = Console(stderr=True)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Group:
    """Frames that are measured together."""

    name: str
    pairs: list[Pair]


def main() -> int:
    """Exit code 0: told to the end, whatever the night decided; 1: something failed; 2: wrong
    usage."""
    options = arguments()
    try:
        settings = read_settings(
            inbox=options.work / "inbox",
            outbox=options.work / "outbox",
            corrections=options.work / "corrections",
            state=options.work / "state",
            retrain_data=options.work / "base",
            retrain_minutes=options.night_minutes,
            retrain_cron="",
            broker_url="",
            device="cpu",
        )
        parts = cast(options.data, options.work, options.without, corrected=options.cars)
    except (DataError, CycloramaError) as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        return 2
    try:
        report = told(parts, settings, options)
    except (CycloramaError, DataError, TrainingError, CheckpointError, EncoderError) as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    show(report)
    print(json.dumps(report))
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="story.py", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("data", type=Path)
    add("--work", type=Path, required=True, help="folder that keeps everything")
    add("--without", required=True, metavar="KIND", help="'paint white', 'size large', …")
    add("--cars", type=int, default=6, help="of the kind, to correct [default: 6]")
    add("--corrections", type=int, default=4, help="frames of each of them [default: 4]")
    add("--frames", type=int, default=4, help="of each other car, to measure on [default: 4]")
    add("--minutes", type=float, default=12, help="of the first training, about [default: 12]")
    add("--night-minutes", type=float, default=6, help="of the night's training [default: 6]")
    add("--network", type=network_of, default=OUR_NETWORK, metavar="FIELD=VALUE,…")
    add("--long-side", type=int, default=OUR_LONG_SIDE_PX, metavar="PX")
    add("--crop", type=int, nargs=2, default=NightOptions.crop, metavar=("H", "W"))
    add("--learning-rate", type=float, default=Recipe.learning_rate)
    add("--workers", type=int, default=Recipe.workers, help="that load pictures [default: 1]")
    add("--booths", type=int, default=NightOptions.booths, help="rendered cars of the night")
    return parser.parse_args()


def told(parts: Cast, settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
    """The whole story, as JSON has it."""
    store = ModelStore(settings.model_store)
    steps = first_champion(parts, store, options)
    corrected = {car: parts.frames([car], options.corrections) for car in parts.corrected}
    groups = groups_of(parts, corrected, options.frames)
    before = scores(store.find(FIRST), groups)
    with RunningStudio(settings) as studio:
        day = corrected_day(studio, parts, corrected)
        crew = set(studio.crew())
        night = last_night(settings, options)
        morning = next_morning(studio, parts, store)
        same = set(studio.crew()) == crew
    candidate = tried(store, night)
    after = scores(candidate, groups)
    return {
        "without": parts.kind,
        "cars": {"corrected": len(parts.corrected), "untouched": len(parts.untouched)},
        "steps": {"first": steps, "night": night_steps(night)},
        **day,
        "night": {"outcome": night.outcome, "reason": night.reason, "candidate": candidate.name},
        "dice": {g.name: both(before[g.name], after[g.name]) for g in groups},
        **morning,
        "worker_never_restarted": same,
    }


def corrected_day(
    studio: RunningStudio, parts: Cast, corrected: dict[str, list[Pair]]
) -> dict[str, Any]:
    """The shoots of the kind come in, and some of their frames are corrected: what became of the
    corrections, and how soon."""
    for car in parts.corrected:
        studio.drop(car, parts.pairs[car])
    studio.wait_for(
        lambda: all(map(studio.delivered, parts.corrected)), "the shoots are not delivered"
    )
    for car, frames in corrected.items():
        studio.correct(car, frames)
    seconds = studio.wait_for_corrections(sum(map(len, corrected.values())))
    states = studio.corrections()
    err.print(f"{states}, {seconds:.0f} s after they were dropped", markup=False)
    return {"corrections": states, "seconds_until_corrected": round(seconds, 1)}


def next_morning(studio: RunningStudio, parts: Cast, store: ModelStore) -> dict[str, Any]:
    """Another car of the kind comes in: how soon the workers had the champion, and who made it."""
    champion = store.champion().name
    taken_up = studio.wait_for(
        lambda: set(studio.crew().values()) == {champion}, f"{champion} is not taken up"
    )
    car = parts.untouched[-1]
    studio.drop(car, parts.pairs[car])
    studio.wait_for(lambda: studio.delivered(car) is not None, f"{car} is not delivered")
    manifest = studio.delivered(car)
    return {
        "seconds_until_taken_up": round(taken_up, 1),
        "next_shoot_made_by": manifest.checkpoint.version if manifest else None,
    }


def groups_of(parts: Cast, corrected: dict[str, list[Pair]], most: int) -> list[Group]:
    """What is measured: before anything is corrected, and after the night."""
    touched = [pair for frames in corrected.values() for pair in frames]
    others = [p for car in parts.corrected for p in parts.pairs[car] if p not in touched]
    rest = [car for car in parts.holdout if car not in parts.kin]
    groups = [
        Group("corrected frames", touched),
        Group("other frames of the corrected cars", others),
        Group("cars of the kind that nobody corrected", parts.frames(parts.untouched, most)),
        Group("holdout, cars of the kind", parts.frames(parts.kin, most)),
        Group("holdout, other cars", parts.frames(rest, most)),
    ]
    return [group for group in groups if group.pairs]


def scores(version: Version, groups: Sequence[Group]) -> dict[str, list[float]]:
    """Dice of every frame by group, as the line cuts it out."""
    segmenter = Segmenter.load(version, CPU)
    return {
        group.name: [
            measure(segmenter, pair).dice
            for pair in track(group.pairs, f"{version.name}: {group.name}", console=err)
        ]
        for group in groups
    }


def both(before: list[float], after: list[float]) -> dict[str, float]:
    """Mean and worst Dice of the same frames, before and after."""
    figures: dict[str, tuple[Callable[[list[float]], float], list[float]]] = {
        "mean_before": (fmean, before),
        "mean_after": (fmean, after),
        "worst_before": (min, before),
        "worst_after": (min, after),
    }
    return {"frames": len(before)} | {n: round(f(v), 5) for n, (f, v) in figures.items()}


def last_night(settings: Settings, options: argparse.Namespace) -> Night:
    """The night's retraining, beside the studio that runs; the one that was, if there was one."""
    for path in sorted(settings.state.glob(f"retraining/*/{REPORT}")):
        found = json.loads(path.read_bytes())
        return Night(found["outcome"], found["reason"], path.parent)
    chosen = NightOptions(booths=options.booths, crop=tuple(options.crop))
    night = retrain(settings, chosen, pause=Courtesy(shoots_wait(settings)))
    err.print(f"{night.outcome}: {night.reason}", markup=False)
    return night


def night_steps(night: Night) -> int:
    """How many steps the night has trained."""
    plan = read_plan(night.folder) if night.folder else None
    return plan.steps if plan else 0


def tried(store: ModelStore, night: Night) -> Version:
    """What the night has made, promoted or not; the champion if it made nothing."""
    candidate = night.folder / "candidate" if night.folder else None
    if candidate is None or not candidate.exists():
        return store.champion()
    return Version(candidate.parent.name, candidate, "")


def show(report: dict[str, Any]) -> None:
    """Prints the report for a person."""
    table = Table("Dice", "frames", "mean before", "after", "worst before", "after", box=None)
    for name, figures in report["dice"].items():
        count, *rest = figures.values()
        table.add_row(name, str(count), *(f"{value:.4f}" for value in rest))
    err.print(table)
    err.print(
        f"the night {report['night']['outcome']}: {report['night']['reason']}; the next shoot was "
        f"made by {report['next_shoot_made_by']}",
        markup=False,
    )


if __name__ == "__main__":
    sys.exit(main())
