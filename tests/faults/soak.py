"""Random faults for as long as one likes: `scripts/soak --minutes 30 --workers 2`.

Every round drops a shoot, lets one fault strike in one stage, and waits until the shoot is
delivered. What is printed says how often each fault struck in each stage, what was lost, and how
long it took until the shoot was there. The same seed strikes in the same order.
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.faults.faults import FAULTS, Case, Fault
from tests.faults.losses import losses
from tests.faults.plant import Plant, make_plant, resident_mb
from tests.parts import drop_photos, tiny_models

PHOTOS = 4
PATIENCE_SECONDS = 180.0


@dataclass(frozen=True)
class Round:
    """One fault and what came of it."""

    fault: str
    stage: str
    seconds: float
    """From the fault until the shoot was there."""
    attempts: int
    lost: list[str]
    """A sentence for everything that was lost, broken or left over."""
    resident_mb: float
    """Of the largest worker."""


class Soak:
    """Rounds on one plant."""

    def __init__(self, plant: Plant, random: Random) -> None:
        self._plant, self._random, self._numbers = plant, random, count(1)

    def round(self, fault: Fault, stage: str) -> Round:
        """Lets one fault strike, and waits until all is well again."""
        plant, shoot = self._plant, self._plant.studio.inbox / f"shoot-{next(self._numbers)}"
        plant.tend()
        plant.traps.set(stage, fault.action)
        part = plant.studio.root / f"part-{shoot.name}"
        drop_photos(part, PHOTOS)
        part.rename(shoot)
        lost, name, manifest = [], shoot.name, None
        began = time.monotonic()
        try:
            plant.wait_for_trap(stage)
            began = time.monotonic()
            name = fault.strike(Case(plant, shoot, stage, self._random))
            if name:
                manifest = plant.wait_for_shoot(name, seconds=PATIENCE_SECONDS)
        except AssertionError as error:
            lost.append(f"{name} did not come: {error}")
        seconds = time.monotonic() - began
        lost += self._left_over()
        expected = {"crashed"} if fault.name == "photo that kills" else set()
        for row in manifest.failed() if manifest else []:
            if row.error and row.error.code not in expected:
                lost.append(f"{name}/{row.name} was not made: {row.error.message}")
        largest = max(resident_mb(plant.pid(worker)) for worker in plant.crew)
        self._take_away(name)
        attempts = manifest.attempts if manifest else 0
        return Round(fault.name, stage, round(seconds, 2), attempts, lost, round(largest, 1))

    def _left_over(self) -> list[str]:
        """What is not as it must be once the plant has come to rest."""
        plant, found = self._plant, ["never looked"]

        def rests() -> bool:
            nonlocal found
            found = losses(plant.studio, plant.redis()) if plant.answers() else ["no Redis"]
            return not found

        try:
            plant.wait_for(rests, seconds=60)
        except AssertionError:
            return found
        return []

    def _take_away(self, shoot: str) -> None:
        """As a studio does with what is delivered; the next rounds stay quick."""
        if shoot:
            shutil.rmtree(self._plant.studio.inbox / shoot, ignore_errors=True)
            shutil.rmtree(self._plant.studio.outbox / shoot, ignore_errors=True)


def order(random: Random) -> Iterator[tuple[Fault, str]]:
    """Every fault in every stage, shuffled, again and again."""
    while True:
        cases = [(fault, stage) for fault in FAULTS for stage in fault.stages]
        random.shuffle(cases)
        yield from cases


def summary(rounds: list[Round], **facts: Any) -> dict[str, Any]:
    """The record of a soak, as JSON has it."""
    cells: dict[tuple[str, str], list[Round]] = {}
    for each in rounds:
        cells.setdefault((each.fault, each.stage), []).append(each)
    memory = [each.resident_mb for each in rounds if each.resident_mb] or [0.0]
    return facts | {
        "faults": len(rounds),
        "shoots": len(rounds),
        "retries": sum(max(0, each.attempts - 1) for each in rounds),
        "lost": [f"{r.fault} at {r.stage}: {what}" for r in rounds for what in r.lost],
        "worker_resident_mb": {"first": memory[0], "most": max(memory), "last": memory[-1]},
        "matrix": [
            {
                "fault": fault,
                "stage": stage,
                "times": len(cell),
                "lost": sum(bool(each.lost) for each in cell),
                "median_seconds": median(each.seconds for each in cell),
                "most_seconds": max(each.seconds for each in cell),
            }
            for (fault, stage), cell in sorted(cells.items())
        ],
    }


def show(record: dict[str, Any], console: Console) -> None:
    """Prints the record for a person."""
    table = Table("fault", "stage", "times", "lost", "median s", "most s", box=None)
    for cell in record["matrix"]:
        table.add_row(*(f"{cell[key]:.1f}" if "seconds" in key else str(cell[key]) for key in cell))
    console.print(table)
    memory = record["worker_resident_mb"]
    console.print(
        f"seed {record['seed']}: {record['faults']} faults on {record['workers']} workers in "
        f"{record['minutes']} minutes, {record['retries']} retries, {len(record['lost'])} losses; "
        f"a worker held {memory['first']:.0f} MB at first, {memory['most']:.0f} at most, "
        f"{memory['last']:.0f} at last"
    )
    for line in record["lost"]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--json", action="store_true", help="print the record as JSON")
    options = parser.parse_args()
    console = Console(stderr=options.json)
    console.print(f"seed {options.seed}")
    random, rounds, began = Random(options.seed), list[Round](), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        models = tiny_models(Path(folder) / "models").folder
        plant = make_plant(Path(folder) / "studio", models, workers=options.workers)
        plant.start()
        soak = Soak(plant, random)
        try:
            for fault, stage in order(random):
                if time.monotonic() - began > options.minutes * 60:
                    break
                rounds.append(soak.round(fault, stage))
                last = rounds[-1]
                mark = "LOST" if last.lost else "ok"
                console.print(f"{len(rounds)} {last.fault}, {stage}: {last.seconds} s, {mark}")
        finally:
            plant.stop()
    minutes = round((time.monotonic() - began) / 60, 1)
    record = summary(rounds, seed=options.seed, minutes=minutes, workers=options.workers)
    show(record, console)
    if options.json:
        print(json.dumps(record, indent=1))
    return 1 if record["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
