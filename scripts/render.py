"""Renders labelled shoots for training, in the Carvana layout.

    scripts/render.py OUT [--cars N] [--width PX]

Every car has its own seed, paint, booth and number of angles. Cars that are there already are
not rendered again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from option_types import whole
from rich.progress import track

from unet_core.booth import Booth, write_truth


def main() -> int:
    """Exit code 0: all cars are there; 2: wrong usage, or the folder cannot be written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--cars", type=whole(1), default=40)
    parser.add_argument("--first-seed", type=whole(0, 2**31), default=1000)
    parser.add_argument(
        "--width", type=whole(48, 8192), default=960, help="pixels; the height is 2/3 of it"
    )
    options = parser.parse_args()
    size = {"width": options.width, "height": options.width * 2 // 3}
    for seed in track(range(options.first_seed, options.first_seed + options.cars), "rendering"):
        booth = Booth(seed=seed, angles=5 + seed % 4, **size)  # a few angles of many cars
        photos = options.out / "train"
        if len(list(photos.glob(f"booth-{seed}_*.jpg"))) < booth.angles:
            try:
                write_truth(booth, options.out)
            except OSError as error:
                print(f"error: {options.out} cannot be written ({error})", file=sys.stderr)
                return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
