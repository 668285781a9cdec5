"""A change of the booth, as a person and a program are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["camera-moved", "light-level", "white-balance", "lamp", "stain"]
LATEST, PAST = 3, 12
"""Shoots that must agree on a change, and that must lie before them to tell what is usual."""
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Finding:
    """A change that a person should look at."""

    kind: Kind
    value: float
    """Parts of the picture's width that the camera moved; else the share of the light that is
    gained or, below 0, lost."""
    sentence: str
    since: str
    """The first shoot of those looked at in which it is seen."""
