"""Text made to fit: any Unicode, a font and a width in px in, lines that can be drawn out."""

from __future__ import annotations

import unicodedata

from PIL import ImageFont

from worker.shoots import printable

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_ELLIPSIS = "…"
_LONGEST = 1000  # characters; nobody reads more, and measuring text costs by its length
# What Pillow's bundled font lacks and Unicode cannot take apart.
_PLAIN = str.maketrans(
    {"–": "-", "—": "-", "×": "x", "−": "-", "ß": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe"}
    | {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i", "\ufffd": "?"}
)


def shorten(text: str, font: Font, width: float) -> str:
    """The text, with its middle left out where it is too long: names differ at their ends."""
    text = _drawable(text)
    if len(text) <= _LONGEST and font.getlength(text) <= width:
        return text
    fits, too_long = 0, min(len(text), _LONGEST)
    while too_long - fits > 1:
        kept = (fits + too_long) // 2
        if font.getlength(_ends(text, kept)) <= width:
            fits = kept
        else:
            too_long = kept
    return _ends(text, fits)


def wrap(text: str, font: Font, width: float, most: int) -> tuple[str, ...]:
    """The text in ``most`` lines or fewer; an ellipsis stands for the rest."""
    lines: list[list[str]] = []
    words = _drawable(text[:_LONGEST]).split()
    while words and len(lines) < most:
        take = 1
        while take < len(words) and font.getlength(" ".join(words[: take + 1])) <= width:
            take += 1
        lines.append(words[:take])
        words = words[take:]
    if words and lines:
        last = lines[-1]
        while len(last) > 1 and font.getlength(" ".join(last) + _ELLIPSIS) > width:
            last.pop()
        last[-1] += _ELLIPSIS
    return tuple(shorten(" ".join(line), font, width) for line in lines)


def _drawable(text: str) -> str:
    """The text with accents dropped: the bundled font is hardly more than ASCII, and "Skoda"
    reads better than an empty box. Other scripts stay as they are and get the box."""
    return "".join(map(_plain, printable(text).translate(_PLAIN)))


def _plain(character: str) -> str:
    parts = unicodedata.normalize("NFD", character)
    base = "".join(part for part in parts if not unicodedata.combining(part))
    return base if base.isascii() else character


def _ends(text: str, kept: int) -> str:
    head = kept - kept // 2
    return text[:head] + _ELLIPSIS + text[len(text) - kept // 2 :]
