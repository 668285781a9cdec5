"""Renders labelled shoots for training, in the Carvana layout.

    scripts/render.py OUT [--cars N] [--width PX]

Every car has its own seed, paint, booth and number of angles. Cars that are there already are
not rendered again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.progress import track

from unet_core.booth import Booth, write_truth


def main() -> int:
    """Exit code 0 when all cars are there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--cars", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--width", type=int, default=960, help="pixels; the height is 2/3 of it")
    options = parser.parse_args()
    size = {"width": options.width, "height": options.width * 2 // 3}
    for seed in track(range(options.first_seed, options.first_seed + options.cars), "rendering"):
        booth = Booth(seed=seed, angles=5 + seed % 4, **size)  # a few angles of many cars
        photos = options.out / "train"
        if len(list(photos.glob(f"booth-{seed}_*.jpg"))) < booth.angles:
            write_truth(booth, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
