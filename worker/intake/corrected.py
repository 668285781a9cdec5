"""What the corrections folder asks for: which finished shoots are to be made with other masks, and
what is wrong with the files that are not taken up. Reads only."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from worker.corrections.drops import look, unanswered
from worker.errors import CycloramaError, FolderError
from worker.intake.plan import Decision, Rules, Stage
from worker.intake.scan import CHECK_SECONDS, Rest
from worker.outbox.manifest import Edition
from worker.shoots import Source

if TYPE_CHECKING:
    from worker.corrections.desk import Desk


@dataclass
class Asked:
    """What one look at the corrections folder found."""

    stages: dict[str, Stage] = field(default_factory=dict)
    """Where each shoot with a new correction stands: arriving or ready."""
    problems: dict[str, str] = field(default_factory=dict)
    """What is refused, by ``corrections/<shoot>/<frame>.png``, with a sentence that says what to
    do."""


class CorrectionsView:
    """The corrections folder held against the latest editions."""

    def __init__(self, folder: Path, rules: Rules, *, rest: Rest | None = None) -> None:
        self._folder, self._rules = folder, rules
        self._rest = rest or Rest()
        self._verdicts: dict[tuple[Source, str], str] = {}
        """What was wrong with a file beside an edition; empty: nothing."""
        self._judging_seconds = 0.0
        """What this look has spent on files that no earlier one had judged."""

    def look(
        self,
        decisions: Mapping[str, Decision],
        edition_of: Callable[[str], Edition | None],
        now: float,
    ) -> Asked:
        """What is asked of the shoots in the inbox, of which ``decisions`` tell by name, at ``now``
        (seconds, monotonic)."""
        drops = look(self._folder)
        self._judging_seconds = 0.0
        self._rest.update(drops.files, now)
        asked = Asked(problems={self._shown(path): why for path, why in drops.problems.items()})
        known = self._verdicts
        self._verdicts = {}
        for shoot in drops.shoots:
            edition = edition_of(shoot)
            waiting = unanswered(drops.of(shoot), edition)
            if shoot not in decisions:
                for file in waiting.values():
                    asked.problems[self._shown(file.path)] = self._stranger(shoot, edition)
            elif edition is not None:
                photos = {frame.source.path for frame in decisions[shoot].shoot.frames}
                for name in _without_photo(edition, photos) & waiting.keys():
                    asked.problems[self._shown(waiting.pop(name).path)] = (
                        f"the photo of {name} is no longer in the inbox; put it back, or take "
                        "this away"
                    )
                self._judge(shoot, edition, waiting, known, asked, now)
        return asked

    def _judge(
        self,
        shoot: str,
        edition: Edition,
        waiting: dict[str, Source],
        known: dict[tuple[Source, str], str],
        asked: Asked,
        now: float,
    ) -> None:
        from worker.corrections.desk import Desk  # only now: it reads pictures

        desk = Desk(self._folder, shoot, edition)
        for file in waiting.values():
            if self._rest.seconds(file, now) < self._rules.settle_seconds:
                asked.stages[shoot] = Stage.ARRIVING
                continue
            key = file, edition.manifest.finished
            if key in known:
                verdict, passes = known[key], False
            elif self._judging_seconds > CHECK_SECONDS:
                asked.stages[shoot] = Stage.ARRIVING
                continue
            else:
                began = time.perf_counter()
                verdict, passes = _verdict(desk, file)
                self._judging_seconds += time.perf_counter() - began
            if not passes:
                self._verdicts[key] = verdict
            if verdict:
                asked.problems[self._shown(file.path)] = verdict
            else:
                asked.stages.setdefault(shoot, Stage.READY)

    def _stranger(self, shoot: str, edition: Edition | None) -> str:
        if edition:
            return (
                f"the photos of {shoot} are no longer in the inbox; put them back, or take it away"
            )
        return f"there is no shoot {shoot!r}; name the folder like the shoot in the outbox"

    def _shown(self, path: str) -> str:
        return f"{self._folder.name}/{path}"


def _without_photo(edition: Edition, photos: Collection[str]) -> set[str]:
    """The frames of an edition whose photos are not among these, by path."""
    return {row.name for row in edition.manifest.frames if row.source.path not in photos}


def _verdict(desk: Desk, file: Source) -> tuple[str, bool]:
    """What is wrong with a file, or nothing; and whether that may pass while the file stays as it
    is: a disk, or rights, keep it from being read."""
    try:
        desk.examine(file)
    except (CycloramaError, OSError) as error:
        cause: BaseException | None = error
        while cause and not isinstance(cause, OSError | FolderError):
            cause = cause.__cause__
        return str(error), cause is not None
    return "", False
