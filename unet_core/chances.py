"""What is drawn at random, from the one generator of a sample."""

from __future__ import annotations

import torch
from torch import Generator


def uniform(rng: Generator, low: float, high: float) -> float:
    """A number in [low, high)."""
    return low + (high - low) * float(torch.rand((), generator=rng))


def chance(rng: Generator, probability: float) -> bool:
    """True with the given probability."""
    return float(torch.rand((), generator=rng)) < probability
