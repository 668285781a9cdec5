"""The tutorial's pictures: squashed to a square, and split at random or by car.

The tutorial splits by picture: frames of one car lie on both sides, and the test then asks for
cars that training has seen. Its figures flatter; :func:`split_by_cars` gives those that count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.utils.data import Dataset, random_split
from torchvision.transforms import v2

from unet_core.data import DataError, Pair, read_pair

FEWEST_PICTURES = 10
"""With fewer, a tenth of them is no picture at all."""


class TutorialPictures(Dataset[tuple[Tensor, Tensor]]):
    """Pair *i*, squashed: float32 (3, S, S) sRGB and (1, S, S), both in [0, 1].

    The mask is resized like the picture, so that its edges are soft.
    """

    def __init__(self, pairs: Sequence[Pair], image_size: int) -> None:
        self.pairs = list(pairs)
        self._squash = v2.Compose(
            [
                v2.ToImage(),
                v2.Resize((image_size, image_size), antialias=True),
                v2.ToDtype(torch.float32, scale=True),
                v2.ToPureTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        pixels, mask = read_pair(self.pairs[index])
        return self._squash(pixels), self._squash(mask[..., None])


@dataclass(frozen=True)
class Split:
    """The pictures of a run."""

    training: list[Pair]
    validation: list[Pair]
    """Measured after each epoch; may be empty."""
    test: list[Pair]


def split_at_random(pairs: Sequence[Pair], *, seed: int = 25) -> Split:
    """80 % training, 10 % test, 10 % validation, by picture, drawn in the tutorial's two steps.

    Frames of one car lie on both sides. Raises :class:`DataError` for less than ten pictures.
    """
    if len(pairs) < FEWEST_PICTURES:
        raise DataError(
            f"{len(pairs)} pictures are too few for training, validation and test; "
            f"at least {FEWEST_PICTURES} are needed (raise the limit, or add pictures)"
        )
    rng = torch.Generator().manual_seed(seed)
    training, rest = random_split(cast("Dataset[Pair]", pairs), [0.8, 0.2], rng)
    test, validation = random_split(rest, [0.5, 0.5], rng)
    return Split(*([part[i] for i in range(len(part))] for part in (training, validation, test)))


def split_by_cars(training: Sequence[Pair], holdout: Sequence[Pair]) -> Split:
    """Trains on exactly ``training`` and tests on ``holdout``, once, when training is over.

    Raises :class:`DataError` when one is empty or a car is in both.
    """
    if not training or not holdout:
        raise DataError(
            f"{len(training)} pictures to train on and {len(holdout)} of other cars to test on; "
            "both are needed: add cars, or raise the limit"
        )
    if both := sorted({pair.car for pair in training} & {pair.car for pair in holdout}):
        raise DataError(f"{both[0]} and {len(both) - 1} more cars are in training and in holdout")
    return Split(list(training), [], list(holdout))
