"""What a shoot, a frame and an angle is. Pure: no disk, no clock.

A shoot is a sub-folder of the inbox, or loose files that share the name before ``_NN``; a loose
photo without a number is a shoot of one. Frames are in order of their angle, by number.
"""

from __future__ import annotations

import re
import sys
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

PRESET = "preset.toml"
"""A file of this name in a shoot's folder overrides the default preset."""
PLATE = "plate"
"""A folder of this name in the inbox is no shoot: it holds photos of the empty booth."""
IGNORED_NAMES = {"thumbs.db", "desktop.ini", "@eadir", "__macosx"}
IGNORED_SUFFIXES = (".part", ".tmp", ".filepart", ".crdownload", "~")

NO_UNICODE = "this name is not valid Unicode; rename the file"

_NUMBER = re.compile(r"(?P<number>\d+)$")
_LOOSE = re.compile(r"^(?P<shoot>.+)_(?P<number>\d{1,4})$")
_NAME_BYTES = 230
"""Of a name at most: a file system takes 255, and a mark and a suffix may follow."""


def one_name(name: str) -> str:
    """The name itself, if it is one plain visible name; raises ``ValueError`` if it leads away."""
    if not name or name.startswith(".") or any(mark in name for mark in "/\\\0"):
        raise ValueError("a name holds no path and does not begin with a dot")
    return name


def inner_path(path: str) -> str:
    """The path itself, if it is ``<name>`` or ``<folder>/<name>``; raises ``ValueError`` if it
    leads anywhere else."""
    parts = PurePosixPath(path).parts
    if not parts or len(parts) > 2 or path.startswith("/") or ".." in parts:
        raise ValueError("a path is <name> or <folder>/<name>, and leads nowhere else")
    if "\\" in path or "\0" in path:
        raise ValueError("a path holds no backslash and no null character")
    return path


@dataclass(frozen=True, slots=True)
class Source:
    """A photo in the inbox, and the state in which it was seen."""

    path: str
    """Relative to the inbox, with forward slashes."""
    size: int
    """Bytes."""
    mtime_ns: int

    @property
    def stem(self) -> str:
        return PurePosixPath(self.path).stem


@dataclass(frozen=True, slots=True)
class Frame:
    """One photo of a shoot."""

    name: str
    """Name of its outputs, unique within the shoot on any file system."""
    angle: int
    """Its number in the turn: from its name, else its place in order."""
    source: Source


@dataclass(frozen=True, slots=True)
class Shoot:
    """One subject from several angles."""

    name: str
    frames: tuple[Frame, ...]


def speakable(name: str) -> str:
    """``name`` as text that can be printed and stored; another one where it is no Unicode."""
    return name.encode("utf-8", "backslashreplace").decode()


def printable(text: str) -> str:
    """The text on one line, with a replacement sign for what is no character (lone surrogates
    from file names that are not UTF-8, control characters)."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))


def ignored(name: str) -> bool:
    """Whether a name belongs to the system or to a copy under way, and is passed over."""
    lower = name.lower()
    return lower.startswith(".") or lower in IGNORED_NAMES or lower.endswith(IGNORED_SUFFIXES)


def pictures_in(preset: str) -> list[PurePosixPath]:
    """The pictures that the text of a preset names; those of a shoot's own preset lie beside it and
    are no frames. What is no TOML names none: whoever reads it says what is wrong."""
    try:
        tables = tomllib.loads(preset)
    except ValueError:
        return []
    named = (tables.get(table) for table in ("backdrop", "overlay"))
    pictures = (table.get("picture") for table in named if isinstance(table, dict))
    paths = (PurePosixPath(picture) for picture in pictures if isinstance(picture, str))
    return [path for path in paths if path.parts]


def shoot_of(path: str) -> str:
    """The name of the shoot that a photo at ``path`` (relative to the inbox) belongs to."""
    folder, slash, _ = path.partition("/")
    if slash:
        return folder
    stem = PurePosixPath(path).stem
    match = _LOOSE.match(stem)
    return match["shoot"] if match else stem


def group(sources: Iterable[Source]) -> list[Shoot]:
    """The shoots that the photos make up, by name, each with its frames in order of angle."""
    return [Shoot(name, frames(some)) for name, some in sorted_by_shoot(sources)]


def sorted_by_shoot(sources: Iterable[Source]) -> list[tuple[str, list[Source]]]:
    """The photos of each shoot, in the order in which they came, by the shoot's name."""
    found: dict[str, list[Source]] = {}
    for source in sources:
        found.setdefault(shoot_of(source.path), []).append(source)
    return sorted(found.items())


def frames(sources: Iterable[Source]) -> tuple[Frame, ...]:
    """Photos of one shoot as frames, in order of angle, with names that never collide."""
    ordered = sorted(sources, key=_order)
    names = output_names(source.path for source in ordered)
    return tuple(
        Frame(names[source.path], _angle(source, place), source)
        for place, source in enumerate(ordered, start=1)
    )


def odd_angles(frames: Iterable[Frame], expected: int) -> list[str]:
    """What is wrong with the numbers of a turn of ``expected`` angles, in words: which are missing
    and which are there twice. Photos whose names count something else (a camera's counter, no
    number at all) are only held against each other."""
    by_angle: dict[int, list[str]] = {}
    for frame in frames:
        if not _NUMBER.search(frame.source.stem):
            continue
        by_angle.setdefault(frame.angle, []).append(PurePosixPath(frame.source.path).name)
    turns = range(1, expected + 1), range(expected)
    counted = range(min(by_angle, default=0), max(by_angle, default=-1) + 1)
    turn = next((t for t in turns if all(angle in t for angle in by_angle)), counted)
    twice = [
        f"angle {angle} is there {len(names)} times ({', '.join(names)})"
        for angle, names in sorted(by_angle.items())
        if len(names) > 1
    ]
    most = 2 * len(by_angle)
    if turn.stop - turn.start > most:  # still arriving: what follows may be yet to come
        turn = counted
    if turn.stop - turn.start > most:  # no turn at all: dates, counters
        return twice
    missing = [angle for angle in turn if angle not in by_angle]
    return twice + ([f"missing: {_listed(missing)}"] if missing else [])


def turn_remarks(frames: Sequence[Frame], expected: int) -> list[str]:
    """What is to be said of a finished turn of ``expected`` angles: how many frames there are if
    they are fewer, and its odd angles."""
    fewer = [f"{len(frames)} of {expected} frames"] if len(frames) < expected else []
    return fewer + odd_angles(frames, expected)


def _listed(angles: list[int]) -> str:
    word = "angle" if len(angles) == 1 else "angles"
    return f"{word} {', '.join(map(str, angles))}"


def counted(number: int, noun: str) -> str:
    """How many there are, in words: ``1 shoot``, ``2 shoots``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def output_names(paths: Iterable[str]) -> Mapping[str, str]:
    """A file name without suffix for each path, different even where case and Unicode form are
    ignored: ``a.jpg`` and ``a.png`` become ``a`` and ``a-png``."""
    taken = {"contact-sheet"}  # its picture lies beside the frames
    names = {}
    for path in paths:
        pure = PurePosixPath(path)
        name = stem = sys.intern(shortened(pure.stem))  # most shoots have the same names
        if _folded(name) in taken:
            name = f"{stem}-{pure.suffix.removeprefix('.').lower()}"
        base, count = name, 2
        while _folded(name) in taken:
            name, count = f"{base}-{count}", count + 1
        taken.add(_folded(name))
        names[path] = name
    return names


def _order(source: Source) -> tuple[int, str, str]:
    match = _NUMBER.search(source.stem)
    return (int(match["number"]) if match else 10**6, source.stem, source.path)


def _angle(source: Source, place: int) -> int:
    match = _NUMBER.search(source.stem)
    return int(match["number"]) if match else place


def only_look_apart(one: str, other: str) -> bool:
    """Whether two names are one and the same where capitals are not told apart, or accents are
    written in one way: on disks of Windows and macOS, and most shares."""
    return one != other and _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def shortened(name: str) -> str:
    """``name``, cut so that a file system takes it with a mark and a suffix behind it."""
    return name.encode()[:_NAME_BYTES].decode(errors="ignore")
