"""Champions that change under load: `scripts/swaps [--photos FOLDER] [--json]`.

Workers have 500 frames before them while the champion changes 20 times, by promotions and
rollbacks; one that is promoted is damaged. What is printed says what was lost or mixed, which
versions made how many frames, and how long no frame was finished around the changes and otherwise.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console

from tests.faults.losses import losses
from tests.faults.plant import Plant, make_plant
from tests.parts import drop_photos
from unet_core.checkpoint import WEIGHTS, Card, load_checkpoint
from unet_core.model import UNet
from unet_core.store import CHAMPION, SHIPPED, ModelStore
from unet_core.suffixes import PHOTO_SUFFIXES
from worker.outbox.manifest import Manifest

FIRST, SECOND, THIRD, TORN = NAMES = ("first", "second", "third", "torn")
CHANGES = [step for _ in range(5) for step in (SECOND, THIRD, "rollback", "rollback")]
CHANGES[9] = TORN
PHOTOS = 4
PHOTO_PX = (240, 160)
CHECK_SECONDS = 0.05
LONGEST = 5
"""Gaps that are looked at."""
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Finished:
    """A frame, when it was finished (seconds since the epoch), by which process."""

    at: float
    process: int


@dataclass(frozen=True)
class Change:
    """One change of the champion: when it was made, and when each worker had taken it up or
    refused it; seconds since the epoch."""

    name: str
    made: float
    answered: dict[int, float]
    """By process; empty where the champion is the one that the workers have already."""


class Swaps:
    """A plant with work before it, and a champion that changes."""

    def __init__(self, plant: Plant, store: ModelStore) -> None:
        self.plant, self._store = plant, store
        self.changes: list[Change] = []

    def run(self, *, before: int, during: int) -> None:
        """Changes the champion at even steps of the work: after ``before`` shoots, while the
        ``during`` ones that follow are made. Returns when all are delivered."""
        in_use = FIRST
        for number, step in enumerate(CHANGES):
            due = before + number * during // len(CHANGES)
            self.plant.wait_for(lambda due=due: self.delivered() >= due, seconds=PATIENCE_SECONDS)
            made = time.time()
            champion = self._change(step)
            change = Change(step, made, {})
            if champion != in_use:
                self.plant.wait_for(lambda change=change: self._all_answered(change))
            self.changes.append(change)
            in_use = in_use if champion == TORN else champion
        total = before + during
        self.plant.wait_for(lambda: self.delivered() == total, seconds=PATIENCE_SECONDS)

    def _all_answered(self, change: Change) -> bool:
        for name in self.plant.crew:
            for at in _answers(self.plant.studio.root / f"{name}.log"):
                if at >= change.made - 0.001:  # the log has milliseconds
                    change.answered.setdefault(self.plant.pid(name), at)
        return len(change.answered) == self.plant.workers

    def delivered(self) -> int:
        """How many shoots are."""
        return len(list(self.plant.studio.outbox.glob("*/manifest.json")))

    def _change(self, step: str) -> str:
        """Makes a change; returns who is champion then."""
        if step == "rollback":
            return self._store.rollback(by="a test").name
        if step == TORN:
            # A damaged checkpoint is not promoted at all: this one rots once it is chosen.
            chosen = self._store.folder.parent / "chosen"
            shutil.copytree(self._store.folder, chosen)
            weights = self._store.folder / TORN / WEIGHTS
            data = bytearray(weights.read_bytes())
            data[-1] ^= 1
            weights.write_bytes(data)
            ModelStore(chosen).promote(TORN)
            (chosen / CHAMPION).replace(self._store.folder / CHAMPION)
            return TORN
        return self._store.promote(step, by="a test").name

    def manifests(self) -> list[Manifest]:
        """Of all shoots that are delivered."""
        studio = self.plant.studio
        found = (studio.manifest(folder.name) for folder in sorted(studio.inbox.iterdir()))
        return [manifest for manifest in found if manifest]

    def finished(self) -> list[Finished]:
        """All frames in the order in which they were finished, by the times of their files."""
        studio, by = self.plant.studio, self.plant.traps.openers()
        frames = [
            Finished(
                (studio.outbox / manifest.shoot / row.outputs["composite"].path).stat().st_mtime,
                by[row.source.path],
            )
            for manifest in self.manifests()
            for row in manifest.frames
            if not row.error
        ]
        return sorted(frames, key=lambda frame: frame.at)


def mixed(manifests: list[Manifest]) -> list[str]:
    """A sentence for every shoot that more than one checkpoint made, or another than it says, and
    for every frame that failed."""
    found = []
    for manifest in manifests:
        made_by = {row.checkpoint for row in manifest.frames}
        if made_by != {manifest.checkpoint.sha256}:
            found.append(f"{manifest.shoot} says {manifest.checkpoint} and was made by {made_by}")
        found += [f"{manifest.shoot}/{row.name} failed: {row.error}" for row in manifest.failed()]
    return found


def gaps(frames: list[Finished], changes: list[Change]) -> tuple[list[float], list[float]]:
    """How long, again and again, a worker finished no frame: around the changes, and otherwise;
    seconds, each longest first. Around is from the moment in which a change is made until the
    worker has answered it and finished another frame."""
    around, otherwise = [], []
    for process in {frame.process for frame in frames}:
        times = [frame.at for frame in frames if frame.process == process]
        spans = [(c.made, c.answered[process]) for c in changes if process in c.answered]
        for start, end in pairwise(times):
            touched = any(made < end and start < answered for made, answered in spans)
            (around if touched else otherwise).append(end - start)
    return sorted(around, reverse=True), sorted(otherwise, reverse=True)


def record(swaps: Swaps) -> dict[str, Any]:
    """All that was found, as JSON has it. Times in seconds; ``batch`` is a frame's way through the
    network. ``pause`` is how much longer the longest gaps around the changes are than the longest
    otherwise, by their medians: a hiccup of the disk comes once, a pause with every change."""
    manifests = swaps.manifests()
    around, otherwise = gaps(swaps.finished(), swaps.changes)
    waits = [row.seconds["network"] for m in manifests for row in m.frames if not row.error]
    took = [at - change.made for change in swaps.changes for at in change.answered.values()]
    pause = max(0.0, median(around[:LONGEST]) - median(otherwise[:LONGEST]))
    return {
        "frames": sum(len(manifest.frames) for manifest in manifests),
        "shoots": len(manifests),
        "changes": dict(Counter(change.name for change in swaps.changes)),
        "made_by": dict(Counter(manifest.checkpoint.version for manifest in manifests)),
        "lost": losses(swaps.plant.studio, swaps.plant.redis()) + mixed(manifests),
        "batch": {"median": round(median(waits), 4), "most": round(max(waits), 4)},
        "until_taken_up": {"median": round(median(took), 3), "most": round(max(took), 3)},
        "longest_gaps": {
            "around_changes": [round(gap, 3) for gap in around[:LONGEST]],
            "otherwise": [round(gap, 3) for gap in otherwise[:LONGEST]],
        },
        "pause": round(pause, 3),
    }


def tiny_versions(folder: Path) -> ModelStore:
    """A store of four tiny networks; ``first`` is the champion."""
    store = ModelStore(folder)
    for seed, name in enumerate(NAMES):
        torch.manual_seed(seed)
        network = UNet(width=8, depth=3, fold=2, norm="batch")
        store.publish(network, Card(version=name, long_side_px=PHOTO_PX[0]))
    store.promote(FIRST)
    return store


def shipped_versions(folder: Path) -> ModelStore:
    """A store of four networks that differ from the shipped one in a single number."""
    store = ModelStore(folder)
    for number, name in enumerate(NAMES):
        network, card = load_checkpoint(ModelStore(SHIPPED).champion().folder)
        with torch.no_grad():
            next(network.parameters()).view(-1)[0].add_(1e-3 * number)
        store.publish(network, card.model_copy(update={"version": name}))
    store.promote(FIRST)
    return store


def drop_all(plant: Plant, shoots: int, photos: list[Path]) -> None:
    """Drops so many shoots of four photos, in turn from ``photos``, all at once."""
    part = plant.studio.root / "part"
    for number in range(shoots):
        folder = part / f"shoot-{number:03}"
        folder.mkdir(parents=True)
        for angle in range(PHOTOS):
            photo = photos[(number * PHOTOS + angle) % len(photos)]
            shutil.copyfile(photo, folder / f"{angle + 1:02}{photo.suffix}")
    for folder in sorted(part.iterdir()):
        folder.rename(plant.studio.inbox / folder.name)


def make_swaps(root: Path, store: ModelStore, **settings: str) -> Swaps:
    """A plant of two workers on that store, which are ready to work."""
    checks = {"CYCLORAMA_MODEL_CHECK_SECONDS": str(CHECK_SECONDS)}
    plant = make_plant(root / "studio", store.folder, **checks | settings)
    plant.start()
    return Swaps(plant, store)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/swaps", description=__doc__)
    parser.add_argument(
        "--photos", type=Path, help="with the shipped network, instead of tiny ones"
    )
    parser.add_argument("--frames", type=int, default=500, help="that are in flight [default: 500]")
    parser.add_argument("--json", action="store_true", help="print the record as JSON")
    options = parser.parse_args()
    console = Console(stderr=options.json)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if options.photos:
            found = (p for p in options.photos.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
            photos = sorted(found)[:16]
            if not photos:
                parser.error(f"{options.photos} holds no photo (JPEG, PNG, TIFF, WebP)")
            store = shipped_versions(root / "models")
        else:
            photos = drop_photos(root / "photos", PHOTOS, size=PHOTO_PX)
            store = tiny_versions(root / "models")
        during = options.frames // PHOTOS
        before = max(4, during // 5)
        swaps = make_swaps(root, store)
        try:
            drop_all(swaps.plant, before + during, photos)
            swaps.run(before=before, during=during)
            found = record(swaps)
        finally:
            swaps.plant.stop()
    for name, value in found.items():
        console.print(name, value)
    if options.json:
        print(json.dumps(found, indent=1))
    return 1 if found["lost"] or found["pause"] > found["batch"]["most"] else 0


def _answers(log: Path) -> Iterator[float]:
    """When a worker took up or refused a champion, by its log: seconds since the epoch."""
    for line in log.read_text().splitlines():
        if "is in use from the next job on" in line or "the champion cannot be used" in line:
            moment, _, milliseconds = line[:23].partition(",")
            at = time.mktime(time.strptime(moment, "%Y-%m-%d %H:%M:%S"))
            yield at + int(milliseconds) / 1000


if __name__ == "__main__":
    sys.exit(main())
