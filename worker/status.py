"""How the inbox stands, for a person or a program. Looks only; changes nothing."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from worker.corrections.drops import look as look_for_masks
from worker.errors import BrokerError
from worker.intake.corrected import CorrectionsView
from worker.intake.plan import Decision, Rules, Stage
from worker.intake.scan import Rest, look
from worker.intake.watcher import Inbox
from worker.outbox.manifest import Manifest
from worker.outbox.places import Places
from worker.queue.app import connect
from worker.queue.broker import EmbeddedRedis
from worker.queue.leases import Leases
from worker.queue.roster import WorkerBeat, missing_workers, workers
from worker.settings import Settings


@dataclass
class ShootStatus:
    """One shoot: where it stands and what a person should know."""

    shoot: str
    state: str
    """arriving, waiting, ready, queued, working, failed, complete, incomplete or held."""
    done: int
    frames: int
    notes: list[str] = field(default_factory=list)


@dataclass
class Status:
    """The whole picture."""

    shoots: list[ShootStatus]
    problems: dict[str, str]
    workers: list[WorkerBeat]
    broker: str
    """``running``, ``not running`` or why it cannot be reached."""
    missing: dict[str, float] = field(default_factory=dict)
    """Workers that went without a word, and for how many seconds they are silent."""

    @property
    def needs_a_person(self) -> bool:
        """Whether anything failed or cannot be taken up."""
        return (
            bool(self.problems)
            or any(s.state in ("failed", "incomplete", "held") for s in self.shoots)
            or any(sign.trouble for sign in self.workers)
        )

    def as_json(self) -> dict[str, Any]:
        """The same for a program."""
        return asdict(self)


def gather(settings: Settings) -> Status:
    """Reads inbox, outbox and, where it runs, Redis."""
    rules = Rules(settings.settle_seconds, settings.quiet_seconds, max_frames=settings.max_frames)
    now, clock = time.monotonic(), time.time()
    inbox = inbox_now(settings, rules, now=now, clock=clock)
    view = inbox.view(now)
    url = settings.broker_url or EmbeddedRedis(settings.state).url
    try:
        redis = connect(url)
    except BrokerError as error:
        broker = str(error) if settings.broker_url else "not running (start it: cyclorama run)"
        leases, crew, missing = None, [], {}
    else:
        broker = "running"
        leases = Leases(redis, seconds=settings.lease_seconds)
        crew, missing = workers(redis), missing_workers(redis)
    shoots = [_shoot(d, inbox.manifest(name), leases) for name, d in view.decisions.items()]
    return Status(shoots, view.problems, crew, broker, missing)


def inbox_now(settings: Settings, rules: Rules, *, now: float, clock: float) -> Inbox:
    """The inbox for a single look: files rest since they were last written. ``clock`` is the time
    since the epoch that belongs to the monotonic ``now``, both in seconds."""
    folder = settings.corrections_folder
    drops = Rest.by_age(look_for_masks(folder).files, now, clock)
    return Inbox(
        Places(settings.inbox, settings.outbox),
        preset=settings.preset,
        presets=settings.presets,
        rules=rules,
        rest=Rest.by_age(look(settings.inbox).sources, now, clock),
        corrections=CorrectionsView(folder, rules, rest=drops),
    )


def _shoot(decision: Decision, manifest: Manifest | None, leases: Leases | None) -> ShootStatus:
    shoot, total = decision.shoot.name, len(decision.shoot.frames)
    if decision.stage == Stage.DONE and manifest:
        notes = [f"{r.source.path}: {r.error.message}" for r in manifest.frames if r.error]
        notes += manifest.remarks + _flags(manifest)
        return ShootStatus(shoot, manifest.status, total - len(manifest.failed()), total, notes)
    note = leases.note(shoot) if leases else None
    if note is None:
        return ShootStatus(shoot, decision.stage, 0, total, [decision.reason or "to be queued"])
    notes = [f"attempt {note.attempt}"] if note.attempt > 1 else []
    if note.state == "failed":
        notes.append(note.error)
    if note.state == "working":
        held = leases is not None and leases.held(shoot)
        notes.append(note.worker if held else f"{note.worker} is gone; it will be queued again")
    state = "queued" if note.state == "returned" else note.state
    return ShootStatus(shoot, state, note.done, total, notes)


def _flags(manifest: Manifest) -> list[str]:
    """A line for each sentence, with the frames that it is about."""
    frames: dict[str, list[str]] = {}
    for row in manifest.frames:
        for flag in row.flags:
            frames.setdefault(flag.sentence, []).append(row.name)
    lines = []
    for sentence, names in frames.items():
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        lines.append(f"{', '.join(names[:4])}{more}: {sentence}")
    return lines


COLOURS = {"complete": "green", "incomplete": "red", "held": "red", "failed": "red"}


def show(status: Status, console: Console) -> None:
    """Prints the status for a person."""
    table = Table("shoot", "state", "frames", "notes", box=None, pad_edge=False)
    for shoot in status.shoots:
        colour = COLOURS.get(shoot.state, "cyan")
        table.add_row(
            escape(shoot.shoot),
            f"[{colour}]{shoot.state}[/]",
            f"{shoot.done}/{shoot.frames}",
            escape("\n".join(shoot.notes)),
        )
    console.print(table if status.shoots else "No shoots in the inbox.")
    lines = [f"{path}: {sentence}" for path, sentence in sorted(status.problems.items())]
    lines += [
        f"worker {sign.name}: {sign.device}, {sign.checkpoint}, {sign.frames} frames, "
        f"working on {', '.join(sign.shoots) or 'nothing'}"
        + (f"; TROUBLE: {sign.trouble}" if sign.trouble else "")
        for sign in status.workers
    ]
    lines += [
        f"worker {name}: no sign of life for {seconds:.0f} s: it died, is frozen, or does not "
        "reach Redis"
        for name, seconds in status.missing.items()
    ]
    lines.append(f"Redis: {status.broker}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
