"""Types of command-line options that say what they want."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A whole number from ``least`` to ``most``."""

    def read(text: str) -> int:
        if text.removeprefix("-").isdecimal() and least <= int(text) <= (most or math.inf):
            return int(text)
        limits = f"of {least} or more" if most is None else f"from {least} to {most}"
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number {limits}")

    return read


def real(least: float, most: float = math.inf, *, above: bool = False) -> Callable[[str], float]:
    """A number from ``least``, or ``above`` it, to ``most``."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if least <= number <= most and number < math.inf and not (above and number == least):
            return number
        limits = f"more than {least:g}" if above else f"{least:g} or more"
        limits += "" if most == math.inf else f", {most:g} at most"
        raise argparse.ArgumentTypeError(f"{text!r} does not do; give a number, {limits}")

    return read
