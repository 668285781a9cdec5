"""What ``scripts/train.py`` may be told."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from option_types import real, whole

from unet_core.augment import Augmentation
from unet_core.model import UNetConfig
from unet_core.training import OUR_LONG_SIDE_PX, OUR_NETWORK, Recipe

ANY_NUMBER = "scales", "far_scales", "rotation_degrees"
"""Of the augmentation's fields; the others are shares."""


def arguments(about: str, recipe: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line of our recipe."""
    parser = argparse.ArgumentParser(description=about, parents=[recipe])
    parser.add_argument("data", type=Path)
    parser.add_argument("--version", required=True, help="name of the new checkpoint")
    parser.add_argument("--rendered", type=Path, help="rendered shoots in the same layout")
    parser.add_argument("--out", type=Path, default=Path("runs/checkpoints"))
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument(
        "--holdout", type=Path, help="list of cars never trained on; default: RUNS/holdout.txt"
    )
    parser.add_argument("--init", type=Path, help="checkpoint folder to start from")
    parser.add_argument(
        "--network",
        type=network_of,
        default=OUR_NETWORK,
        metavar="FIELD=VALUE,…",
        help="another shape than ours, to compare: encoder=plain,width=32,depth=4,fold=4",
    )
    parser.add_argument(
        "--strict", action="store_true", help="end at any unusable picture instead of skipping it"
    )
    for name in ("steps", "batch", "measure_every"):
        _add(parser, name, whole(1))
    parser.add_argument(
        "--workers",
        type=whole(0),
        help=f"that load pictures; default: {Recipe.workers}, for a GPU all cores but one",
    )
    _add(parser, "seed", whole(0, 2**32 - 1))
    _add(parser, "learning_rate", real(0, above=True))
    for name in ("rendered_share", "half_size_share"):
        _add(parser, name, real(0, 1))
    for name in ("edge_weight", "dice_weight"):
        _add(parser, name, real(0))
    parser.add_argument(
        "--crop", type=whole(32), nargs=2, default=Augmentation.crop, metavar=("H", "W")
    )
    parser.add_argument(
        "--augment",
        type=augmentation_of,
        default=Augmentation(long_side_px=OUR_LONG_SIDE_PX),
        metavar="FIELD=VALUE,…",
        help="a wilder or calmer booth than ours: light=0.5,scales=0.9:1.1,blur=0",
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data-note", default="", help="what the data is, and on which terms")
    return parser.parse_args()


def network_of(text: str) -> UNetConfig:
    """Our network with the fields that ``text`` names changed: ``width=32,fold=2``."""
    try:
        given = dict(field.split("=", 1) for field in text.split(","))
        values: dict[str, Any] = {n: int(v) if v.isdecimal() else v for n, v in given.items()}
        return replace(OUR_NETWORK, **values)
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no network: {error}") from error


def augmentation_of(text: str) -> Augmentation:
    """Our augmentation with the fields that ``text`` names changed: ``scales=0.9:1.1,blur=0``."""
    ours = Augmentation(long_side_px=OUR_LONG_SIDE_PX)
    open_fields = {n: v for n, v in asdict(ours).items() if n not in ("crop", "long_side_px")}
    changed: dict[str, Any] = {}
    for field in text.split(","):
        name, _, value = field.partition("=")
        if name not in open_fields:
            fields = ", ".join(open_fields)
            raise argparse.ArgumentTypeError(f"{name!r} cannot be set; choose among {fields}")
        count = 2 if isinstance(open_fields[name], tuple) else 1
        try:
            numbers = tuple(float(part) for part in value.split(":"))
        except ValueError:
            numbers = ()
        if len(numbers) != count:
            form = "two numbers, LOW:HIGH" if count == 2 else "one number"
            raise argparse.ArgumentTypeError(f"{name} takes {form}, not {value!r}")
        changed[name] = numbers if count == 2 else numbers[0]
        if name not in ANY_NUMBER and not all(0 <= number <= 1 for number in numbers):
            raise argparse.ArgumentTypeError(f"{name} is a share, from 0 to 1, not {value!r}")
        if count == 2 and not 0 < numbers[0] <= numbers[1] < math.inf:
            raise argparse.ArgumentTypeError(f"{name} goes from LOW to HIGH, not {value!r}")
    return replace(ours, **changed)


def _add(parser: argparse.ArgumentParser, name: str, kind: Callable[[str], float]) -> None:
    default = getattr(Recipe, name)
    option = f"--{name.replace('_', '-')}"
    parser.add_argument(option, type=kind, default=default, help=f"default: {default}")
