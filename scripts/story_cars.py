"""Whose cars are whose in the story: the kind that the first champion never sees, and the rest."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unet_core.data import DataError, Pair, find_pairs, read_pair
from unet_core.evaluation import thinned
from unet_core.holdout import HOLDOUT_FILE, read_or_write_holdout
from unet_core.slices import slices_of

LOOKED_AT = 4
"""Frames of a car that tell its kind: the one that most of them show."""


@dataclass(frozen=True)
class Cast:
    """The cars of a labelled folder, told apart for the story."""

    kind: str
    """The slice that is left out, such as ``paint white``."""
    base: Path
    """A labelled folder of links to everything but that kind; the holdout may hold some of it."""
    holdout: list[str]
    """Cars that no training ever sees; ``kin`` are those of the kind among them."""
    kin: list[str]
    corrected: list[str]
    """Cars of the kind whose shoots come in, and of which some frames are corrected."""
    untouched: list[str]
    """Cars of the kind that nobody corrects."""
    pairs: dict[str, list[Pair]]
    """Every frame by its car."""

    def frames(self, cars: Sequence[str], most: int) -> list[Pair]:
        """At most ``most`` frames of each of the cars."""
        return thinned([pair for car in cars for pair in self.pairs[car]], most)


def cast(data: Path, work: Path, kind: str, *, corrected: int) -> Cast:
    """Tells the cars of ``data`` apart, and lays ``work/base`` out. Of the kind's cars outside of
    the holdout the first ``corrected`` are to be corrected.

    Raises :class:`DataError` when there are not enough cars of the kind, with what there is.
    """
    pairs = defaultdict(list)
    for pair in find_pairs(data):
        pairs[pair.car].append(pair)
    kinds = _known(pairs, work / "kinds.json")
    holdout = read_or_write_holdout(work / HOLDOUT_FILE, pairs)
    strangers = [car for car in sorted(pairs) if kind in kinds[car] and car not in holdout]
    if len(strangers) <= corrected:
        there = Counter(k for car, found in kinds.items() if car not in holdout for k in found)
        raise DataError(
            f"{data} has {len(strangers)} cars of the kind {kind!r} outside of the holdout, and "
            f"{corrected + 1} are needed; there are "
            + ", ".join(f"{count} of {name!r}" for name, count in there.most_common())
        )
    base = work / "base"
    for car in pairs.keys() - set(strangers):
        _link(pairs[car], base)
    return Cast(
        kind=kind,
        base=base,
        holdout=sorted(holdout),
        kin=sorted(car for car in holdout if kind in kinds.get(car, ())),
        corrected=strangers[:corrected],
        untouched=strangers[corrected:],
        pairs=dict(pairs),
    )


def _known(pairs: Mapping[str, list[Pair]], file: Path) -> dict[str, list[str]]:
    """The kinds of every car: told from its pictures once, and then kept in a file."""
    if not file.exists():
        found = {car: sorted(_kinds(frames)) for car, frames in pairs.items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found))
    known: dict[str, list[str]] = json.loads(file.read_text())
    return known


def _kinds(frames: list[Pair]) -> set[str]:
    """Paint and size of a car, as most of its frames show them: ``paint red``, ``size large``."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for pair in thinned(frames, LOOKED_AT):
        for name, value in slices_of(*read_pair(pair), angle=None).items():
            seen[name][value] += 1
    return {f"{name} {values.most_common(1)[0][0]}" for name, values in seen.items()}


def _link(frames: list[Pair], base: Path) -> None:
    for pair in frames:
        for file in (pair.image, pair.mask):
            link = base / file.parent.name / file.name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(file.resolve())
