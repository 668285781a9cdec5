"""The booth's shoots as the outbox remembers them, and what is told of them.

Few manifests are read, however many there are: of the newest shoots every one, of those before a
sample, so that a change stays one for days and not only until the next shoots have it too.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from unet_core.files import sha256, write_file
from worker.booth.finding import LATEST, PAST, Finding
from worker.errors import FolderError
from worker.outbox.manifest import MANIFEST, Manifest, read_manifest

if TYPE_CHECKING:
    from worker.booth.view import ShootView

Record = TypeVar("Record", bound=BaseModel)

NEWEST, SAMPLED, OF = 8, 20, 200
"""Shoots of which every one counts, and how many are taken of how many before them."""
NEEDED = LATEST + PAST
"""Shoots without which nothing is said."""
ACCEPTED = ".booth.json"
"""In the outbox, which all machines of a studio share."""
TOLD = ".booth-told.json"
"""Beside it: what was found last, for whoever has no time to find it himself."""


class Acceptance(BaseModel):
    """What a person has said of the booth."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    since: str
    """The shoot from which on the booth is right as it is."""
    since_ns: int
    """When its photos were taken; shoots before are no measure any more."""
    published_ns: int = 0
    """When the first of the shoots that still are a measure was published; manifests before are
    not looked at."""


@dataclass(frozen=True)
class BoothHealth:
    """How the booth is, as far as its shoots tell."""

    shoots: int
    """That were compared; with fewer than ``NEEDED`` nothing is said."""
    findings: list[Finding] = field(default_factory=list)


class Told(BaseModel):
    """What was found, and of which shoots."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    of: str
    health: BoothHealth


class BoothHistory:
    """The booth by the shoots in one outbox. Whoever looks again and again keeps it: it remembers
    what it has read."""

    def __init__(self, outbox: Path) -> None:
        self._outbox, self._word = outbox, outbox / ACCEPTED
        self._views: dict[tuple[Path, int], ShootView | None] = {}
        self._told = outbox / TOLD
        self._judged: Told | None = None

    def look(self) -> BoothHealth:
        """The booth's health now. Reads ``NEWEST + SAMPLED`` manifests at most, and no picture; and
        none where somebody has told already what is found in them.

        Raises :class:`FolderError` when the outbox cannot be read.
        """
        word = _read(Acceptance, self._word)
        chosen = self._chosen(word)
        state = _digest(chosen, word)
        if self._judged is None or self._judged.of != state:
            told = _read(Told, self._told)
            if told is None or told.of != state:
                told = Told(of=state, health=self._judge(chosen, word))
            self._judged = told
        return self._judged.health

    def tell(self) -> BoothHealth:
        """Looks, and leaves what is found among enough shoots in the outbox, so that others need
        not find it; where that cannot be written, they do.

        Raises :class:`FolderError` when the outbox cannot be read.
        """
        health = self.look()
        if health.shoots >= NEEDED and _read(Told, self._told) != self._judged:
            assert self._judged is not None
            with contextlib.suppress(OSError):
                write_file(self._told, self._judged.model_dump_json(indent=1).encode())
        return health

    def accept(self) -> str:
        """Takes the booth as right from the first shoot of what is found on, or else as it is now;
        returns that shoot's name.

        Raises :class:`FolderError` when there is no shoot that tells of the booth, or the word
        cannot be left.
        """
        found = [finding.since for finding in self.look().findings]
        views = self._known(self._chosen(_read(Acceptance, self._word)))
        if not views:
            raise FolderError(
                f"no shoot in {self._outbox} tells of the booth", cure="Let some be made first"
            )
        first = next((view for view in views if view.shoot in found), views[-1])
        later = (
            time_ns
            for (_, time_ns), view in self._views.items()
            if view and view.taken_ns >= first.taken_ns
        )
        said = Acceptance(since=first.shoot, since_ns=first.taken_ns, published_ns=min(later))
        try:
            write_file(self._word, said.model_dump_json(indent=1).encode())
        except OSError as error:
            raise FolderError(
                f"{self._word} cannot be written ({error.strerror})",
                cure="Give the program the right to write there",
            ) from error
        return first.shoot

    def _judge(self, chosen: list[tuple[Path, int]], word: Acceptance | None) -> BoothHealth:
        if len(chosen) < NEEDED and not word:  # without OpenCV: this is asked by `status`
            return BoothHealth(sum(_telling(folder) is not None for folder, _ in chosen))
        views = [view for view in self._known(chosen) if not word or view.taken_ns >= word.since_ns]
        if len(views) < NEEDED:
            return BoothHealth(len(views))
        from worker.booth.health import judge  # loads OpenCV

        return BoothHealth(len(views), judge(views))

    def _known(self, chosen: list[tuple[Path, int]]) -> list[ShootView]:
        """What the chosen shoots show of the booth, in the order in which they were taken."""
        known, self._views = self._views, {}
        for key in chosen:
            self._views[key] = known[key] if key in known else _view(key[0])
        return sorted((view for view in self._views.values() if view), key=lambda v: v.taken_ns)

    def _chosen(self, word: Acceptance | None) -> list[tuple[Path, int]]:
        """The folders of the shoots to look at, each with the time of its manifest, newest
        first."""
        since_ns = word.published_ns if word else 0
        found = []
        try:
            for entry in os.scandir(self._outbox):
                if not entry.name.startswith("."):
                    with contextlib.suppress(OSError):  # no shoot, or just replaced
                        folder = Path(entry.path)
                        found.append(((folder / MANIFEST).stat().st_mtime_ns, folder))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise FolderError(
                f"the outbox {self._outbox} cannot be read ({error.strerror})",
                cure="Look at its rights and its disk",
            ) from error
        newest = sorted((each for each in found if each[0] >= since_ns), reverse=True)[:OF]
        before = newest[NEWEST:]
        step = max(1.0, len(before) / SAMPLED)
        sampled = [before[int(place * step)] for place in range(min(SAMPLED, len(before)))]
        return [(folder, time_ns) for time_ns, folder in newest[:NEWEST] + sampled]


def _digest(chosen: list[tuple[Path, int]], word: Acceptance | None) -> str:
    """Which shoots are judged, in which edition, and by which word of a person."""
    shoots = [[folder.name, time_ns] for folder, time_ns in chosen]
    return sha256(json.dumps([shoots, word.model_dump() if word else None]).encode())


def _read(kind: type[Record], path: Path) -> Record | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _telling(folder: Path) -> Manifest | None:
    """The manifest of a shoot that tells of the booth."""
    manifest = read_manifest(folder)
    return manifest if manifest and any(row.booth for row in manifest.frames) else None


def _view(folder: Path) -> ShootView | None:
    manifest = _telling(folder)
    if manifest is None:
        return None
    from worker.booth.view import shoot_view  # loads OpenCV

    return shoot_view(manifest)
