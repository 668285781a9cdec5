"""The inbox held against the outbox: where each shoot stands. Reads folders only."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from worker.errors import PresetError
from worker.finish.presets import Preset, load_preset, read_preset
from worker.intake.corrected import CorrectionsView
from worker.intake.editions import Editions, State
from worker.intake.plan import Decision, Rules, Stage, decide, missing, withdrawn
from worker.intake.scan import CHECK_SECONDS, Rest, Snapshot, look
from worker.outbox.manifest import Edition, Manifest
from worker.outbox.places import Places
from worker.shoots import PRESET, Shoot, Source, frames, sorted_by_shoot


@dataclass
class View:
    """What one look found: where each shoot stands, and what is wrong."""

    decisions: dict[str, Decision] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)
    """Shoots that are not queued any more until a person asks for it."""

    @property
    def open(self) -> list[Decision]:
        """The decisions on shoots that are not done."""
        return [d for d in self.decisions.values() if d.stage != Stage.DONE]


@dataclass(frozen=True, slots=True)
class _Settled:
    """A shoot that was done, or ready, when it was looked at. That stays so, however long it rests,
    until something of this changes; of the manifest itself nothing need be kept."""

    sources: tuple[Source, ...]
    state: State | None
    expected: int
    marked_ready: bool
    decision: Decision

    def holds(
        self, sources: list[Source], state: State | None, expected: int, marked_ready: bool
    ) -> bool:
        """Whether photos, manifest and what is asked of the shoot are as they were."""
        return (self.state, self.expected, self.marked_ready) == (
            state,
            expected,
            marked_ready,
        ) and self.sources == tuple(sources)


class Inbox:
    """The inbox held against the outbox. Reads folders only: no queue, nothing written."""

    def __init__(
        self,
        places: Places,
        *,
        preset: str,
        presets: Path,
        rules: Rules,
        rest: Rest | None = None,
        corrections: CorrectionsView | None = None,
    ) -> None:
        self.places, self._rules, self._corrections = places, rules, corrections
        self._default = load_preset(preset, folders=[presets])
        self._rest = rest or Rest()
        self._whole: dict[Source, bool] = {}
        self._checked_seconds = 0.0
        """Spent in this look."""
        self._editions = Editions(places)
        self._seen: dict[str, Source] = {}
        """What the last look found."""
        self._settled: dict[str, _Settled] = {}
        self._open: dict[str, State | None] = {}
        """The editions that the last look found of the other shoots."""

    def view(self, now: float) -> View:
        """Looks at the inbox at ``now`` (seconds, monotonic)."""
        snapshot = look(self.places.inbox, self._seen)
        self._seen = snapshot.sources
        self._checked_seconds = 0.0
        self._rest.update(snapshot.sources, now)
        view = View(problems=dict(snapshot.problems))
        settled, self._settled, self._open = self._settled, {}, {}
        for name, sources in sorted_by_shoot(snapshot.sources.values()):
            if len(sources) > self._rules.max_frames:
                view.problems[name] = (
                    f"{len(sources)} photos are more than a shoot may have "
                    f"({self._rules.max_frames}); split it, or raise CYCLORAMA_MAX_FRAMES"
                )
                continue
            try:
                expected = self._preset(name, snapshot).frames
            except PresetError as error:
                view.problems[f"{name}/{PRESET}"] = str(error)
                continue
            before, ready = settled.get(name), name in snapshot.ready
            if before and before.holds(sources, self._editions.state(name), expected, ready):
                self._settled[name] = before
                view.decisions[name] = before.decision
            else:
                view.decisions[name] = self._decide(name, sources, expected, ready, now)
        self._whole = {s: w for s, w in self._whole.items() if s.path in snapshot.sources}
        if self._corrections:
            self._correct(view, self._corrections, now)
        return view

    def _decide(
        self, name: str, sources: list[Source], expected: int, marked_ready: bool, now: float
    ) -> Decision:
        """The decision on a shoot that has to be looked at; one that stands is remembered."""
        state, manifest = self._editions.state(name), self.manifest(name)
        shoot, told = Shoot(name, frames(sources)), state is None or manifest is not None
        if self._editions.is_out_of_reach(name):
            self._open[name] = state
            return Decision(shoot, Stage.ARRIVING, "its manifest in the outbox cannot be read now")
        decision = decide(
            shoot,
            missing=missing(shoot, manifest),
            withdrawn=withdrawn(shoot, manifest),
            expected=expected,
            marked_ready=marked_ready,
            rest=self._rest,
            whole=self._is_whole,
            rules=self._rules,
            now=now,
        )
        if decision.stage in (Stage.DONE, Stage.READY) and told:
            self._settled[name] = _Settled(tuple(sources), state, expected, marked_ready, decision)
            self._editions.forget(name)
        else:
            self._open[name] = state
        return decision

    def _correct(self, view: View, corrections: CorrectionsView, now: float) -> None:
        """Adds to ``view`` what the corrections folder asks of finished shoots."""
        found = corrections.look(view.decisions, self.edition, now)
        view.problems |= found.problems
        for name, stage in found.stages.items():
            decision = view.decisions[name]
            if decision.stage == Stage.DONE:
                view.decisions[name] = Decision(decision.shoot, stage, "a mask was corrected")

    def _preset(self, shoot: str, snapshot: Snapshot) -> Preset:
        if shoot in snapshot.presets:
            return read_preset(self.places.inbox / shoot / PRESET)
        return self._default

    def moved_on(self, shoot: str) -> bool:
        """Whether a shoot was published since the last look, which tells nothing of it any more."""
        settled = self._settled.get(shoot)
        return self._editions.state(shoot) != (settled.state if settled else self._open.get(shoot))

    def manifest(self, shoot: str) -> Manifest | None:
        """The manifest of a shoot's latest edition."""
        edition = self.edition(shoot)
        return edition.manifest if edition else None

    def edition(self, shoot: str) -> Edition | None:
        """The latest edition of a shoot."""
        return self._editions.latest(shoot)

    def _is_whole(self, source: Source) -> bool:
        if not self._whole.get(source):
            if self._checked_seconds > CHECK_SECONDS:
                return False
            from unet_core.images import check_complete  # only now: it reads pictures

            began = time.perf_counter()
            try:
                self._whole[source] = check_complete(
                    self.places.inbox / source.path, within=self.places.inbox
                )
            except OSError:
                return False  # it went away, or the disk failed: the next look tells
            finally:
                self._checked_seconds += time.perf_counter() - began
        return self._whole[source]
