"""Who knows which copies are needed: what a mirror asks, and the answer of one that keeps all."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from worker.shoots import Source


class Need(Enum):
    """What is to become of a shoot's copies."""

    FETCH = "fetch"
    """All of them are to be here."""
    KEEP = "keep"
    """Those that are here may stay."""
    GO = "go"
    """None of them is needed any more."""


class Keeper(Protocol):
    """Who knows what is needed of each shoot."""

    def need(self, shoot: str, listed: list[Source], *, here: bool) -> Need:
        """Of the shoot whose files in the bucket are ``listed``; ``here``: copies are there."""

    def prepare(self, shoot: str) -> None:
        """The shoot's copies are needed: before they come, and as long as they are."""

    def let_go(self, shoot: str) -> None:
        """The shoot's copies are going to be removed."""


class KeepAll:
    """Everything is needed, for ever."""

    def need(self, shoot: str, listed: list[Source], *, here: bool) -> Need:
        return Need.FETCH

    def prepare(self, shoot: str) -> None:
        pass

    def let_go(self, shoot: str) -> None:
        pass
