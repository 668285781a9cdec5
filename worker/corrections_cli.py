"""``cyclorama corrections``: every corrected mask, and what became of it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from worker.cli_options import Inbox as InboxOption
from worker.cli_options import Json, Outbox
from worker.shoots import printable

if TYPE_CHECKING:
    from worker.corrections.shelf import Entry
    from worker.intake.inbox import Inbox
    from worker.settings import Settings


@dataclass(frozen=True)
class Row:
    """One corrected mask."""

    shoot: str
    frame: str
    state: str
    """``in force``; ``kept`` (no longer in the outbox: for training only); ``waiting`` to be taken
    up; ``refused``."""
    note: str = ""
    date: str = ""
    """When it was taken up, ISO 8601, UTC."""
    sha256: str = ""
    """Of the file that was dropped."""


def corrections(inbox: InboxOption = None, outbox: Outbox = None, as_json: Json = False) -> None:
    """Corrected masks, and what became of them (exit code 1: some are refused)."""
    from worker.settings import read_settings

    rows = list_corrections(read_settings(inbox=inbox, outbox=outbox))
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False))
    else:
        _show(rows)
    raise typer.Exit(1 if any(row.state == "refused" for row in rows) else 0)


def list_corrections(settings: Settings) -> list[Row]:
    """A row for each corrected mask: first those that were taken up, oldest first."""
    from worker.corrections.shelf import FOLDER, Shelf
    from worker.status import inbox_now

    now, inbox = time.monotonic(), inbox_now(settings)
    entries = Shelf(settings.corrections_folder / FOLDER).entries()
    return [_taken_up(entry, inbox) for entry in entries] + _others(settings, inbox, now)


def _taken_up(entry: Entry, inbox: Inbox) -> Row:
    manifest = inbox.manifest(entry.shoot)
    rows = manifest.frames if manifest else []
    hashes = {row.correction.sha256 for row in rows if row.correction}
    state = "in force" if entry.source.sha256 in hashes else "kept"
    note = f"replaces {entry.replaces[:12]}" if entry.replaces else ""
    return Row(entry.shoot, entry.frame, state, note, entry.date, entry.source.sha256 or "")


def _others(settings: Settings, inbox: Inbox, now: float) -> list[Row]:
    from worker.corrections.drops import look, unanswered

    folder, rows = settings.corrections_folder, []
    problems = inbox.view(now).problems
    drops = look(folder)
    for shoot in drops.shoots:
        for frame, file in unanswered(drops.of(shoot), inbox.edition(shoot)).items():
            problem = problems.get(f"{folder.name}/{file.path}")
            rows.append(Row(shoot, frame, "refused" if problem else "waiting", problem or ""))
    for path, problem in drops.problems.items():
        shoot, _, frame = path.rpartition("/")
        rows.append(Row(shoot, frame, "refused", problem))
    return rows


def _show(rows: list[Row]) -> None:
    out = Console()
    if not rows:
        out.print("No mask was corrected yet")
        return
    heads = ("shoot", "frame", "state", "taken up", "notes")
    columns = [Column(head, overflow="fold") for head in heads]
    table = Table(*columns, box=None, pad_edge=False)
    colours = {"in force": "green", "refused": "red"}
    for row in rows:
        state = f"[{colours.get(row.state, 'cyan')}]{row.state}[/]"
        shoot, frame, note = (escape(printable(t)) for t in (row.shoot, row.frame, row.note))
        table.add_row(shoot, frame, state, row.date[:10], note)
    out.print(table)
