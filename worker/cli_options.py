"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

Inbox = Annotated[str | None, typer.Option(help="Folder, or bucket, that is watched.")]
Outbox = Annotated[
    str | None, typer.Option(help="Folder, or bucket, in which finished shoots appear.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
