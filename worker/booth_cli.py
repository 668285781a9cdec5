"""``cyclorama booth``: is the booth as it was?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli_options import Json, Outbox
from worker.errors import FolderError

if TYPE_CHECKING:
    from worker.booth.history import BoothHealth


def booth(
    outbox: Outbox = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="It was meant: the booth is right as it is now.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Camera, lamps, white balance, dirt: is the booth as it was (exit code 1: it is not)?"""
    from worker.booth.history import BoothHistory
    from worker.settings import read_settings

    settings = read_settings(outbox=outbox)
    if not settings.outbox.is_dir() and not settings.outbox_bucket:
        raise FolderError(
            f"the outbox {settings.outbox} is no folder",
            cure="Set CYCLORAMA_OUTBOX (--outbox) to the right one",
        )
    history = BoothHistory(settings.outbox)
    accepted = history.accept() if accept else None
    health = history.look()
    if as_json:
        print(json.dumps({"accepted": accepted} | asdict(health), indent=1, ensure_ascii=False))
    else:
        print("\n".join(_lines(health, accepted)))
    raise typer.Exit(1 if health.findings else 0)


def _lines(health: BoothHealth, accepted: str | None) -> list[str]:
    from worker.booth.history import NEEDED

    lines = [f"right as it is since {accepted}"] if accepted else []
    lines += [finding.sentence for finding in health.findings]
    if health.shoots < NEEDED:
        return [*lines, f"{health.shoots} of the {NEEDED} shoots that are needed to tell"]
    if not health.findings:
        lines.append(f"the booth is as it was ({health.shoots} shoots compared)")
    return lines
