"""Measures a checkpoint on labelled pictures at their own full size.

    scripts/evaluate.py DATA [--checkpoint FOLDER] [--all] [--json]

Without ``--all`` only the holdout of DATA counts: the cars that no training saw.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from unet_core.checkpoint import CheckpointError, read_card
from unet_core.data import DataError, find_pairs, split_by_car
from unet_core.evaluation import evaluate, summary
from unet_core.segment import DeviceError, Segmenter, choose_device
from unet_core.store import SHIPPED, ModelStore, Version

console = Console(stderr=True)


def main() -> int:
    """Exit code 0: measured; 2: wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="default: the one that comes along")
    parser.add_argument("--all", action="store_true", help="every picture, not only the holdout")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="print JSON for a program")
    options = parser.parse_args()
    try:
        version = ModelStore(SHIPPED).champion()
        if options.checkpoint:
            card = read_card(options.checkpoint)
            version = Version(card.version, options.checkpoint, card.sha256)
        segmenter = Segmenter.load(version, choose_device(options.device))
        pairs = find_pairs(options.data)
        chosen = pairs if options.all else split_by_car(pairs)[1]
        if not chosen:
            raise DataError(f"no car of {options.data} is in the holdout; use --all")
        scores = [evaluate(segmenter, [pair])[0] for pair in track(chosen, console=console)]
    except (CheckpointError, DataError, DeviceError) as error:
        console.print(str(error), style="red", markup=False)
        return 2
    figures = summary(scores)
    worst = sorted(scores, key=lambda score: score.dice)[:5]
    if options.json:
        frames = {score.pair.image.name: round(score.dice, 5) for score in scores}
        print(json.dumps({"version": version.name, **figures, "dice": frames}))
        return 0
    table = Table("figure", version.name)
    for name, value in figures.items():
        table.add_row(name, f"{value:g}")
    for score in worst:
        table.add_row(f"worst: {score.pair.image.name}", f"{score.dice:.4f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
