"""What a person looks at first in a finished shoot: the contact sheet and the 360° spin page."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from PIL import Image, ImageDraw, ImageFont

from unet_core.images.profiles import to_srgb
from worker.outbox.lettering import Font, shorten, wrap
from worker.shoots import counted, printable

_TEMPLATE = Path(__file__).with_name("spin.html")

_PAPER, _PANEL, _CHECK = "#ffffff", "#f1f2f3", "#e4e6e8"
_INK, _GREY, _RED, _PINK = "#1b1d1f", "#6b7076", "#c4162a", "#fcf1f2"
_MAX_COLUMNS = 10
_MAX_HEIGHT = 30_000  # px; a JPEG ends at 65,535, and viewers struggle long before
_MAX_LINES = 3  # of notes below a tile


@dataclass(frozen=True)
class SheetFrame:
    """One frame as the contact sheet shows it."""

    name: str
    angle: int
    picture: Path | None
    """The composite on disk; None if the frame failed."""
    notes: tuple[str, ...] = ()
    """Flags or the error, in short sentences."""


def contact_sheet(
    frames: Sequence[SheetFrame], *, title: str, subtitle: str = "", width: int = 1600
) -> bytes:
    """A JPEG of all frames in a grid, ``width`` px wide (320 or more) and as high as it needs.

    A flagged frame has a red corner and its notes below; a failed or unreadable one is a tile
    that gives the reason. Raises ValueError where ``width`` is too small.
    """
    if width < 320:
        raise ValueError(f"a contact sheet of {width} px is too narrow: take 320 or more")
    layout = _Layout.of(frames, width)
    tiles = [_Tile.of(frame, layout) for frame in frames]
    rows = [tiles[i : i + layout.columns] for i in range(0, len(tiles), layout.columns)]
    heights = [layout.row_height(max(tile.lines_below for tile in row)) for row in rows]
    sheet = Image.new("RGB", (width, layout.header + sum(heights)), _PAPER)
    _draw_header(sheet, layout, (title, subtitle, _summary(tiles)))
    top = layout.header
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            left = layout.gap + column * (layout.tile[0] + layout.gap)
            _draw_tile(sheet, layout, tile, (left, top))
        top += height
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=88, subsampling=0)  # red text smears when subsampled
    return buffer.getvalue()


def spin_page(
    pictures: Sequence[str], *, title: str, size: tuple[int, int], digests: Sequence[str] = ()
) -> str:
    """An HTML page, complete in itself, on which the car turns under the finger.

    ``pictures`` are file names relative to the page, in order of angle; ``size`` is a picture's
    width and height in px. With the pictures' ``digests`` a browser that has seen the shoot before
    takes a picture that was made anew, and no other, once more. Written as UTF-8 next to the
    pictures, it works from disk without a network. Raises ValueError where there is no picture.
    """
    if not pictures:
        raise ValueError("a spin page needs one picture at least")
    # Percent-encoding leaves nothing that could end the attribute or the script it is put into;
    # surrogateescape gives a name that is not UTF-8 its bytes back.
    links = [quote(name, errors="surrogateescape") for name in pictures]
    if digests:
        links = [f"{link}?{d[:8]}" for link, d in zip(links, digests, strict=True)]
    template = _TEMPLATE.read_text("utf-8")
    values = {
        "policy": _policy(template),
        "title": html.escape(printable(title)),
        "first": links[0],
        "pictures": json.dumps(links),
        "width": str(size[0]),
        "height": str(size[1]),
    }
    # One pass, so that a title with braces in it stays a title.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)


def _policy(template: str) -> str:
    """The page's content security policy: its own style and script, its pictures, no more."""
    allowed = {}
    for tag in ("style", "script"):
        text = template.split(f"<{tag}>")[1].split(f"</{tag}>")[0]
        digest = hashlib.sha256(text.encode()).digest()
        allowed[tag] = f"'sha256-{base64.b64encode(digest).decode()}'"
    return (
        "default-src 'none'; img-src 'self' file: data:; base-uri 'none'; form-action 'none'; "
        f"style-src {allowed['style']}; script-src {allowed['script']}"
    )


@dataclass(frozen=True)
class _Layout:
    """Where things are on the sheet, all in px."""

    width: int
    columns: int
    gap: int
    tile: tuple[int, int]
    text: float

    @classmethod
    def of(cls, frames: Sequence[SheetFrame], width: int) -> _Layout:
        """Four columns for a shoot of 16; more and smaller tiles for a longer one."""
        shape, count = _usual_shape(frames), max(1, len(frames))
        columns = min(max(math.ceil(math.sqrt(count)), min(count, 4)), _MAX_COLUMNS)
        layout = cls._with(columns, width, shape)
        while math.ceil(count / columns) * layout.row_height(_MAX_LINES) > _MAX_HEIGHT:
            columns += 1
            layout = cls._with(columns, width, shape)
        return layout

    @classmethod
    def _with(cls, columns: int, width: int, shape: float) -> _Layout:
        gap = round(width / 12 / (columns + 1))
        across = max(1, (width - gap * (columns + 1)) // columns)
        text = min(max(across / 20, 10), width / 90)
        return cls(width, columns, gap, (across, max(1, round(across / shape))), text)

    @cached_property
    def font(self) -> Font:
        return ImageFont.load_default(self.text)

    @cached_property
    def heading(self) -> Font:
        return ImageFont.load_default(self.text * 1.4)

    @property
    def header(self) -> int:
        return round(self.width * 0.08)

    @property
    def line(self) -> int:
        return math.ceil(self.text * 1.4)

    def row_height(self, lines: int) -> int:
        """Height of a row whose tiles have up to ``lines`` lines of notes below their names."""
        return self.tile[1] + self.line * (1 + lines) + self.gap


@dataclass(frozen=True)
class _Tile:
    """A frame, ready to be put on the sheet."""

    frame: SheetFrame
    picture: Image.Image | None
    """RGB, letterboxed to the tile's size; None if there is nothing to show."""
    lines: tuple[str, ...]
    """The notes, which go below; where there is no picture, the reason, which takes its place."""

    @classmethod
    def of(cls, frame: SheetFrame, layout: _Layout) -> _Tile:
        notes = " ".join(frame.notes)
        if frame.picture is None:
            return cls._failed(frame, layout, notes or "No reason was given.")
        try:
            picture = _letterboxed(frame.picture, layout.tile)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            return cls._failed(frame, layout, f"The picture cannot be shown: {error}. {notes}")
        return cls(frame, picture, wrap(notes, layout.font, layout.tile[0], _MAX_LINES))

    @classmethod
    def _failed(cls, frame: SheetFrame, layout: _Layout, reason: str) -> _Tile:
        room = layout.tile[1] // layout.line - 2
        return cls(frame, None, wrap(reason, layout.font, layout.tile[0] * 0.88, room))

    @property
    def lines_below(self) -> int:
        return len(self.lines) if self.picture else 0


def _usual_shape(frames: Sequence[SheetFrame]) -> float:
    """Width over height of the middle picture, so that few need bars; 3:2 if there is none."""
    shapes = []
    for frame in frames:
        try:
            if frame.picture is not None:
                with Image.open(frame.picture) as picture:
                    shapes.append(picture.width / picture.height)
        except (OSError, Image.DecompressionBombError):
            continue  # its tile will say so
    return min(max(statistics.median(shapes or [1.5]), 0.75), 2.0)


def _letterboxed(path: Path, size: tuple[int, int]) -> Image.Image:
    """The picture in sRGB, in the middle of a tile; transparency on a light checker."""
    with Image.open(path) as picture:
        # A JPEG is decoded at a fraction of its size here: 24 megapixels cost a few milliseconds.
        picture.thumbnail(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        small = _in_srgb(picture).convert("RGBA")
    tile = Image.new("RGB", size, _PANEL)
    box = ((size[0] - small.width) // 2, (size[1] - small.height) // 2)
    if small.getchannel("A").getextrema() != (255, 255):
        tile.paste(_checker(small.size), box)
    tile.paste(small, box, small)
    return tile


def _in_srgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "RGBA"):
        return picture
    turned = to_srgb(picture.convert("RGB"), profile)
    if picture.mode == "RGBA":
        turned.putalpha(picture.getchannel("A"))
    return turned


def _checker(size: tuple[int, int], cell: int = 8) -> Image.Image:
    checker = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(checker)
    for row, top in enumerate(range(0, size[1], cell)):
        for left in range(row % 2 * cell, size[0], 2 * cell):
            draw.rectangle((left, top, left + cell - 1, top + cell - 1), _CHECK)
    return checker


def _summary(tiles: Sequence[_Tile]) -> str:
    failed = sum(tile.picture is None for tile in tiles)
    flagged = sum(tile.picture is not None and bool(tile.lines) for tile in tiles)
    parts = [counted(len(tiles), "frame")]
    parts += [
        f"{count} {word}" for count, word in ((flagged, "flagged"), (failed, "failed")) if count
    ]
    return " · ".join(parts)


def _draw_header(sheet: Image.Image, layout: _Layout, texts: tuple[str, str, str]) -> None:
    title, subtitle, summary = texts
    draw, width = ImageDraw.Draw(sheet), layout.width
    big, small = ImageFont.load_default(width / 45), ImageFont.load_default(width / 85)
    room = width - 2 * layout.gap
    beside = room - small.getlength(summary) - layout.line
    first, second = layout.header * 0.36, layout.header * 0.7
    draw.text((layout.gap, first), shorten(title, big, room), _INK, big, anchor="lm")
    draw.text((layout.gap, second), shorten(subtitle, small, beside), _GREY, small, anchor="lm")
    draw.text((width - layout.gap, second), summary, _GREY, small, anchor="rm")


def _draw_tile(sheet: Image.Image, layout: _Layout, tile: _Tile, corner: tuple[int, int]) -> None:
    draw, font, frame = ImageDraw.Draw(sheet), layout.font, tile.frame
    left, top = corner
    right, bottom = left + layout.tile[0], top + layout.tile[1]
    if tile.picture is None:
        _draw_failure(draw, layout, tile, corner)
    else:
        sheet.paste(tile.picture, corner)
        if tile.lines:
            side = layout.tile[0] // 9
            draw.polygon(((right - side, top), (right, top), (right, top + side)), _RED)
    middle = bottom + layout.line * 0.7
    angle = str(frame.angle)
    name = shorten(frame.name, font, layout.tile[0] - font.getlength(angle) - layout.text)
    draw.text((left, middle), name, _INK, font, anchor="lm")
    draw.text((right, middle), angle, _GREY, font, anchor="rm")
    for number, line in enumerate(tile.lines[: tile.lines_below], start=1):
        draw.text((left, middle + number * layout.line), line, _RED, font, anchor="lm")


def _draw_failure(
    draw: ImageDraw.ImageDraw, layout: _Layout, tile: _Tile, corner: tuple[int, int]
) -> None:
    (left, top), (across, high) = corner, layout.tile
    edge = max(1, across // 200)
    draw.rectangle((left, top, left + across - 1, top + high - 1), _PINK, _RED, edge)
    centre = left + across / 2
    middle = top + (high - layout.line * len(tile.lines)) / 2
    draw.text((centre, middle), "failed", _RED, layout.heading, anchor="mm")
    for number, line in enumerate(tile.lines, start=1):
        place = (centre, middle + (number + 0.15) * layout.line)
        draw.text(place, line, _INK, layout.font, anchor="mm")
