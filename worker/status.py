"""How the inbox stands, for a person or a program. Looks only; changes nothing."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Container
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from worker.booth.history import BoothHistory
from worker.corrections.drops import look as look_for_masks
from worker.courier.word import heard
from worker.errors import BrokerError, FolderError
from worker.intake.corrected import CorrectionsView
from worker.intake.inbox import Inbox
from worker.intake.plan import Decision, Rules, Stage
from worker.intake.scan import Rest, look
from worker.night.record import NightRecord, read_record
from worker.outbox.manifest import Manifest
from worker.outbox.places import Places
from worker.queue.app import QUEUE, connect, oldest_job
from worker.queue.broker import broker_of
from worker.queue.leases import Leases, gave_up
from worker.queue.roster import WorkerBeat, missing_workers, workers
from worker.settings import Settings
from worker.shoots import counted, printable


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
    queued: int = 0
    """Shoots in the queue that no worker has taken yet."""
    oldest_queued_at: float | None = None
    """Since when the first of them is there, in seconds since the epoch."""
    night: NightRecord | None = None
    """What came of the last retraining."""
    booth: list[str] = field(default_factory=list)
    """What changed in the booth, a sentence each."""

    @property
    def needs_a_person(self) -> bool:
        """Whether anything failed or cannot be taken up."""
        return (
            bool(self.problems)
            or bool(self.booth)
            or any(s.state in ("failed", "incomplete", "held") for s in self.shoots)
            or any(sign.trouble for sign in self.workers)
        )

    def as_json(self) -> dict[str, Any]:
        """The same for a program."""
        return asdict(self)


def gather(
    settings: Settings, inbox: Inbox | None = None, booth: BoothHistory | None = None
) -> Status:
    """Reads inbox, outbox and, where it runs, Redis. Whoever looks again and again passes the
    same ``inbox`` and ``booth``, which remember what they have read."""
    inbox = inbox or inbox_now(settings)
    booth = booth or BoothHistory(settings.outbox)
    view = inbox.view(time.monotonic())
    url = broker_of(settings)
    try:
        redis = connect(url)
    except BrokerError as error:
        broker = str(error) if settings.broker_url else "not running (start it: cyclorama run)"
        leases, crew, missing, queued, oldest = None, [], {}, 0, None
    else:
        broker = "running"
        leases = Leases(redis, seconds=settings.lease_seconds)
        crew, missing = workers(redis), missing_workers(redis)
        queued, oldest = int(redis.llen(QUEUE)), oldest_job(redis)
    asked = leases.asked() if leases else {}
    shoots = [
        _shoot(
            d,
            inbox.manifest(name),
            leases=leases,
            asked=asked,
            max_attempts=settings.max_attempts,
        )
        for name, d in view.decisions.items()
    ]
    return Status(
        shoots,
        view.problems | heard(settings),
        crew,
        broker,
        missing,
        queued,
        oldest,
        read_record(settings.model_store),
        _changes(booth),
    )


def _changes(booth: BoothHistory) -> list[str]:
    try:
        return [finding.sentence for finding in booth.look().findings]
    except FolderError as error:
        return [str(error)]


def inbox_now(settings: Settings) -> Inbox:
    """The inbox of the settings; a file that came long ago counts as settled."""
    rules = Rules(settings.settle_seconds, settings.quiet_seconds, max_frames=settings.max_frames)
    now, clock = time.monotonic(), time.time()
    folder = settings.corrections_folder
    drops = Rest.by_age(folder, look_for_masks(folder).files, now, clock)
    return Inbox(
        Places(settings.inbox, settings.outbox),
        preset=settings.preset,
        presets=settings.presets,
        rules=rules,
        rest=Rest.by_age(settings.inbox, look(settings.inbox).sources, now, clock),
        corrections=CorrectionsView(folder, rules, rest=drops),
    )


def _shoot(
    decision: Decision,
    manifest: Manifest | None,
    *,
    leases: Leases | None,
    asked: Container[str],
    max_attempts: int,
) -> ShootStatus:
    """``asked`` are the shoots that people asked for, also where an edition is there."""
    shoot, total = decision.shoot.name, len(decision.shoot.frames)
    open_ = decision.stage != Stage.DONE or shoot in asked
    note = leases.note(shoot) if leases and open_ else None
    if decision.stage == Stage.DONE and manifest and note is None:
        notes = [f"{r.source.path}: {r.error.message}" for r in manifest.frames if r.error]
        notes += manifest.remarks + _flags(manifest)
        return ShootStatus(shoot, manifest.status, total - len(manifest.failed()), total, notes)
    if note is None:
        return ShootStatus(shoot, decision.stage, 0, total, [decision.reason or "to be queued"])
    notes = [f"attempt {note.attempt}"] if note.attempt > 1 else []
    if note.state == "failed":
        notes.append(note.error)
    state = "queued" if note.state == "returned" else note.state
    if note.state == "working":
        if leases is not None and leases.held(shoot):
            notes.append(note.worker)
        elif note.deaths_so_far < max_attempts:
            notes.append(f"{note.worker} is gone; it will be queued again")
        else:
            state = "failed"
            notes.append(gave_up(shoot, max_attempts))
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
    console.print(_table(status.shoots) if status.shoots else "No shoots in the inbox.")
    for line in _lines(status):
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def follow(
    settings: Settings, console: Console, *, as_json: bool, every_seconds: float = 2.0
) -> None:
    """Shows the status anew until Ctrl-C: on a terminal in place and without the shoots that are
    complete, else one after the other; as JSON, an object a line."""
    from rich.live import Live

    inbox, booth = inbox_now(settings), BoothHistory(settings.outbox)
    in_place = console.is_terminal and not as_json
    live = Live(console=console, auto_refresh=False) if in_place else None
    with contextlib.suppress(KeyboardInterrupt), live or contextlib.nullcontext():
        while True:
            found = gather(settings, inbox, booth)
            if as_json:
                print(json.dumps(found.as_json(), ensure_ascii=False), flush=True)
            elif live:
                live.update(_at_a_glance(found), refresh=True)
            else:
                show(found, console)
            time.sleep(every_seconds)


def _at_a_glance(status: Status) -> RenderableType:
    shown = [shoot for shoot in status.shoots if shoot.state != "complete"]
    complete = f"complete: {counted(len(status.shoots) - len(shown), 'shoot')}"
    # What needs a person comes first: what does not fit is cut off at the bottom.
    lines = map(Text, map(printable, [*_lines(status), complete]))
    return Group(*lines, _table(shown, most_notes=3))


def _table(shoots: list[ShootStatus], *, most_notes: int | None = None) -> Table:
    heads = ("shoot", "state", "frames", "notes")
    columns = [Column(head, overflow="fold") for head in heads]  # a name that is cut tells nothing
    table = Table(*columns, box=None, pad_edge=False)
    for shoot in shoots:
        colour = COLOURS.get(shoot.state, "cyan")
        table.add_row(
            escape(printable(shoot.shoot)),
            f"[{colour}]{shoot.state}[/]",
            f"{shoot.done}/{shoot.frames}",
            escape("\n".join(_at_most(shoot.notes, most_notes))),
        )
    return table


def _at_most(notes: list[str], most: int | None) -> list[str]:
    shown = [printable(note) for note in notes[:most]]
    rest = len(notes) - len(shown)
    return shown + ([f"and {rest} more"] if rest else [])


def _lines(status: Status) -> list[str]:
    lines = [f"{path}: {sentence}" for path, sentence in sorted(status.problems.items())]
    lines += [f"booth: {sentence}" for sentence in status.booth]
    lines += [_worker(sign) for sign in status.workers]
    lines += [
        f"worker {name}: no sign of life for {seconds:.0f} s: it died, is frozen, or does not "
        "reach Redis"
        for name, seconds in status.missing.items()
    ]
    if night := status.night:
        lines.append(f"last night: {night.outcome}, {_ago(night.at)} ({night.reason})")
    waiting = f", {counted(status.queued, 'shoot')} in the queue" if status.queued else ""
    if status.oldest_queued_at:
        waiting += f", the first queued {_ago(status.oldest_queued_at)}"
    return [*lines, f"Redis: {status.broker}{waiting}"]


def _worker(sign: WorkerBeat) -> str:
    parts = [sign.device, sign.checkpoint, counted(sign.frames, "frame")]
    if sign.last_frame_at:
        parts.append(f"the last {_ago(sign.last_frame_at)}")
    if set(sign.batches) - {"1"}:
        sizes = sorted(sign.batches.items(), key=lambda each: int(each[0]))
        parts.append("batches " + ", ".join(f"{count} of {size}" for size, count in sizes))
    parts.append(f"working on {', '.join(sign.shoots) or 'nothing'}")
    trouble = f"; TROUBLE: {sign.trouble}" if sign.trouble else ""
    return f"worker {sign.name}: {', '.join(parts)}{trouble}"


def _ago(at: float) -> str:
    """How long ago something was, in the one unit that suits."""
    seconds = max(0.0, time.time() - at)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
