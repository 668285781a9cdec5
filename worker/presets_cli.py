"""``cyclorama presets``: what there is to choose from, with a small picture of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.segment import Segment, Segments
from rich.style import Style
from rich.table import Column, Table
from rich.text import Text

from worker.errors import PresetError

if TYPE_CHECKING:
    from PIL import Image

    from worker.finish.presets import Preset

_SMALL = 30, 40
"""A picture in a terminal: columns, and half rows at most."""

out, err = Console(), Console(stderr=True)


def presets(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """The presets there are, with a small picture of each; exit code 1 if one cannot be used."""
    from worker.finish.presets import load_preset, preset_files
    from worker.settings import read_settings

    found: dict[str, tuple[Path, Preset]] = {}
    broken: dict[str, str] = {}
    folder = read_settings().presets
    for name, path in preset_files([folder]).items():
        try:
            found[name] = path, load_preset(name, folders=[folder])
        except PresetError as error:
            broken[name] = str(error)
    if as_json:
        rows = {
            n: {"file": str(p), **preset.model_dump(mode="json")}
            for n, (p, preset) in found.items()
        }
        print(json.dumps({"presets": rows, "broken": broken}, indent=1, ensure_ascii=False))
    else:
        _show(found, folder)
    for message in broken.values():
        err.print(f"error: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1 if broken else 0)


def _show(found: dict[str, tuple[Path, Preset]], folder: Path) -> None:
    from worker.finish.tryout import try_out

    columns = [Column(overflow="fold")]
    if out.is_terminal:
        columns.insert(0, Column(width=_SMALL[0], no_wrap=True))
    table = Table(*columns, box=None, padding=(0, 2, 1, 0), show_header=False)
    for name, (path, preset) in found.items():
        text = Text.assemble((name, "bold"), "\n", *(f"{line}\n" for line in _lines(preset)))
        text.append(str(path), "dim")
        if out.is_terminal:
            table.add_row(_blocks(try_out(preset, _SMALL)), text)
        else:
            table.add_row(text)
    out.print(Group(table, f"Copy one to {folder / 'NAME.toml'} and change it."))


def _lines(preset: Preset) -> list[str]:
    framing, output = preset.framing, preset.output
    size = (
        f" {framing.aspect or ''} {framing.width or ''}".rstrip() if framing.mode == "fit" else ""
    )
    return [
        f"backdrop {preset.backdrop.kind}, shadow {preset.shadow.kind}",
        f"framing {framing.mode}{size}, {output.format}"
        + (", cut-outs" if output.cutouts else "")
        + (", overlay" if preset.overlay else ""),
    ]


def _blocks(picture: Image.Image) -> Segments:
    """A picture as half blocks: two rows of pixels to a row of letters."""
    pixels = picture.load()
    segments = []
    for y in range(0, picture.height - 1, 2):
        for x in range(picture.width):
            above, below = pixels[x, y], pixels[x, y + 1]  # type: ignore[index]
            style = Style.parse("rgb({},{},{}) on rgb({},{},{})".format(*above, *below))  # type: ignore[misc]
            segments.append(Segment("▀", style))
        segments.append(Segment.line())
    return Segments(segments)
