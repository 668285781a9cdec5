"""How far the inbox is, and how a person gets to see it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from worker.intake.inbox import Inbox, View
from worker.intake.plan import Decision, Stage, missing
from worker.outbox.manifest import Manifest
from worker.queue.leases import Leases
from worker.shoots import counted, printable


@dataclass
class Tally:
    """Where the frames of the inbox stand."""

    frames: int = 0
    done: int = 0
    failed: int = 0
    finished: dict[str, str] = field(default_factory=dict)
    """What there is to say of the shoots that are done, by shoot."""


@dataclass(frozen=True, slots=True)
class _Finished:
    """What is kept of a manifest, as long as the decision on its shoot is the same."""

    decision: Decision
    failed: int
    sentence: str


class ProgressView:
    """Counts frames from manifests, and from the notes on shoots in work."""

    def __init__(self, inbox: Inbox, leases: Leases) -> None:
        self._inbox, self._leases = inbox, leases
        self._finished: dict[str, _Finished] = {}

    def tally(self, view: View) -> Tally:
        """The counts for what the last look found."""
        tally = Tally()
        known, self._finished = self._finished, {}
        for name, decision in view.decisions.items():
            frames = len(decision.shoot.frames)
            tally.frames += frames
            if finished := self._look(decision, known.get(name)):
                self._finished[name] = finished
                tally.done += frames
                tally.failed += finished.failed
                tally.finished[name] = finished.sentence
            elif decision.stage == Stage.READY and (note := self._leases.note(name)):
                tally.done += min(note.done, frames)
        return tally

    def _look(self, decision: Decision, known: _Finished | None) -> _Finished | None:
        """What is known of a shoot that is done, perhaps since the last look."""
        if known and known.decision is decision:
            return known
        manifest = self._inbox.manifest(decision.shoot.name)
        if manifest is None or missing(decision.shoot, manifest):
            return None
        return _Finished(decision, len(manifest.failed()), _sentence(manifest))


class Reporter:
    """A progress bar where a person looks; plain lines, a line an event, where not."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._known: set[str] | None = None
        self._problems: dict[str, str] = {}
        self._before: tuple[float, int] | None = None
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def show(self, tally: Tally, view: View) -> None:
        """Takes in how things stand now."""
        if self._known is None:
            self._known = set(tally.finished)
            if self._known:
                self._say(f"{counted(len(self._known), 'shoot')} done before")
        for name in sorted(tally.finished.keys() - self._known):
            self._known.add(name)
            self._say(tally.finished[name])
        for path, sentence in sorted(view.problems.items()):
            if self._problems.get(path) != sentence:
                self._say(printable(f"{path}: {sentence}"), style="yellow")
        self._problems = dict(view.problems)
        self._known &= tally.finished.keys()  # a shoot that gets new frames is told of again
        rate = self._rate(tally)
        if self._console.is_terminal:
            self._update_bar(tally, rate)

    def finish(self, tally: Tally, view: View) -> None:
        """The last word."""
        self.show(tally, view)
        if self._bar:
            self._bar.stop()
        rate = self._rate(tally)
        speed = f", {rate:.1f} frames/s" if rate else ""
        self._say(f"{tally.done} of {tally.frames} frames done, {tally.failed} failed{speed}")

    def _say(self, line: str, style: str = "") -> None:
        """Prints names and messages as they are: no markup in them, no wrapping."""
        self._console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)

    def _rate(self, tally: Tally) -> float:
        """Frames a second since the first frame was seen done; 0.0 while it cannot be told."""
        now = self._clock()
        if self._before is None or tally.done <= self._before[1]:
            self._before = (now, tally.done)  # the clock runs from the first finished frame on
        began, done = self._before
        return (tally.done - done) / (now - began) if now > began else 0.0

    def _update_bar(self, tally: Tally, rate: float) -> None:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("frames"),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task("", total=None, rate="")
            self._bar.start()
        self._bar.update(
            self._task,
            completed=tally.done,
            total=tally.frames or None,
            description=f"{counted(len(tally.finished), 'shoot')} done",
            rate=f"{rate:.1f}/s" if rate else "",
        )


def _sentence(manifest: Manifest) -> str:
    failed = manifest.failed()
    good = len(manifest.frames) - len(failed)
    line = f"{manifest.shoot} is {manifest.status}: {good} of {len(manifest.frames)} frames"
    rows = [f"{row.source.path}: {row.error.message}" for row in failed if row.error]
    return "\n  ".join(map(printable, [line, *rows]))
