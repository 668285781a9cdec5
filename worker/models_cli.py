"""``cyclorama models``: the checkpoints at hand, in and out, and which one is in use.

Whatever needs torch is imported where it is used, as in cli.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

models_app = typer.Typer(help="The checkpoints at hand; which one is in use.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
Name = Annotated[str, typer.Argument(help="Name of a checkpoint of the store.")]
Reason = Annotated[str, typer.Option(help="Why; goes into the history.")]


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: Json = False) -> None:
    """The checkpoints at hand; the champion is marked. More with: cyclorama models --help"""
    if context.invoked_subcommand is None:
        list_(as_json=as_json)


@models_app.command("list")
def list_(as_json: Json = False) -> None:
    """The checkpoints at hand; the champion is marked."""
    from worker.models import list_models

    rows = list_models(_store())
    lines = (
        f"{'*' if row['champion'] else ' '} {row['version']}  "
        f"Dice {'–' if row['dice_mean'] is None else row['dice_mean']}"
        for row in rows
    )
    _show(rows, "\n".join(lines), as_json=as_json)


@models_app.command()
def show(name: Name, as_json: Json = False) -> None:
    """All that is known of a checkpoint: card, figures, history, what it made, golden image."""
    from worker.dossier import dossier, lines
    from worker.settings import read_settings

    found = dossier(read_settings(), name)
    _show(found, "\n".join(lines(found)), as_json=as_json)


@models_app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="A .pth state dict, or a checkpoint's folder.")],
    name: Annotated[str | None, typer.Option(help="Default: the file's or the card's.")] = None,
    squash: Annotated[
        str | None,
        typer.Option(help="WIDTHxHEIGHT that a .pth was trained on (default: 512x512)."),
    ] = None,
    long_side: Annotated[
        int | None, typer.Option(min=64, help="Or: the long side, in pixels; the shape is kept.")
    ] = None,
    data_note: Annotated[
        str | None, typer.Option(help="What it was trained on, and on which terms.")
    ] = None,
    fold: Annotated[
        int | None, typer.Option(min=1, help="Space-to-depth, where the file leaves it open.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Take a checkpoint into the store; a .pth file is read without running its code."""
    from worker.models import Unsaid, import_model

    unsaid = Unsaid(squash=squash, long_side_px=long_side, data_note=data_note, fold=fold)
    row = import_model(_store(), source, name=name, unsaid=unsaid)
    height, width = row["squash_px"] or (None, None)
    sight = f"squashed to {width}x{height}" if width else f"at most {row['long_side_px']} px long"
    text = (
        f"{row['version']} is in the store; it sees pictures {sight}\n"
        f"Put it to use with: cyclorama models promote {row['version']}"
    )
    _show(row, text, as_json=as_json)


@models_app.command()
def export(
    name: Name,
    file: Annotated[Path, typer.Argument(help="The .onnx file to write.")],
    as_json: Json = False,
) -> None:
    """Write a checkpoint as an ONNX file: RGB in [0, 1] to the subject's probability."""
    from worker.models import export_model

    row = export_model(_store(), name, file)
    _show(row, f"{row['version']} is in {row['file']}", as_json=as_json)


@models_app.command()
def promote(
    name: Name,
    reason: Reason = "",
    force: Annotated[
        bool, typer.Option("--force", help="Even if it has lost the golden picture.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a checkpoint the champion, once all of it was checked; workers take it up."""
    from worker.models import promote_model

    row = promote_model(_store(), name, reason=reason, force=force)
    _show(row, f"{row['version']} is the champion", as_json=as_json)


@models_app.command()
def rollback(reason: Reason = "", as_json: Json = False) -> None:
    """Go back to the champion before; again, and it goes further back."""
    from worker.models import roll_back

    row = roll_back(_store(), reason=reason)
    _show(row, f"{row['version']} is the champion again", as_json=as_json)


@models_app.command()
def history(as_json: Json = False) -> None:
    """Every promotion and rollback, oldest first."""
    from worker.models import list_history

    rows = list_history(_store())
    lines = (
        f"{row['when']}  {row['event']}  {row['champion']['version']}"
        f" (before: {row['previous']['version'] if row['previous'] else '–'})"
        f"  {row['by']}  {row['reason']}".rstrip()
        for row in rows
    )
    _show(rows, "\n".join(lines) or "Nothing was promoted yet", as_json=as_json)


def _store() -> Path:
    from worker.settings import read_settings

    return read_settings().model_store


def _show(value: Any, text: str, *, as_json: bool) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False) if as_json else text)
