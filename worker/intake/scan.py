"""What lies in the inbox, and which of it has come to rest.

:func:`look` is the thin edge that reads folders; :class:`Rest` is pure and takes the clock's
reading from outside, in seconds.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unet_core.suffixes import PHOTO_SUFFIXES
from worker.errors import FolderError
from worker.shoots import NO_UNICODE, PLATE, PRESET, Source, ignored, pictures_in, speakable

READY = ".ready"
CHECK_SECONDS = 2.0
"""Reading new pictures to their end may take so long in one look; the next one goes on, so that
the first shoots of a large delivery need not wait for the last."""


@dataclass
class Snapshot:
    """The inbox at one moment."""

    sources: dict[str, Source] = field(default_factory=dict)
    """Photos by their path relative to the inbox."""
    ready: set[str] = field(default_factory=set)
    """Shoots with a ``.ready`` file."""
    presets: set[str] = field(default_factory=set)
    """Shoots with a ``preset.toml`` of their own."""
    problems: dict[str, str] = field(default_factory=dict)
    """What is not taken up, by path, with a sentence that says what to do."""


def look(inbox: Path, before: Mapping[str, Source] | None = None) -> Snapshot:
    """Reads the inbox and its sub-folders once. A photo that is as it was ``before`` is the same
    object: two looks at a large inbox take hardly more memory than one.

    Raises :class:`FolderError` if the inbox is not there.
    """
    snapshot = Snapshot()
    try:
        entries = sorted(os.scandir(inbox), key=lambda entry: entry.name)
    except OSError as error:
        raise FolderError(
            f"the inbox {inbox} cannot be read ({error.strerror})",
            cure="Create the folder or set CYCLORAMA_INBOX to the right one",
        ) from error
    root, before = inbox.resolve(), before or {}
    for entry in entries:
        if ignored(entry.name) or _refused(entry, root, entry.name, snapshot):
            continue
        if entry.is_dir():
            if entry.name != PLATE:
                _look_into(entry, root, snapshot, before)
        else:
            _take(entry, entry.name, snapshot, before)
    return snapshot


def _look_into(
    folder: os.DirEntry[str], root: Path, snapshot: Snapshot, before: Mapping[str, Source]
) -> None:
    count = len(snapshot.sources)
    try:
        entries = sorted(os.scandir(folder.path), key=lambda entry: entry.name)
    except OSError as error:
        snapshot.problems[folder.name] = f"this folder cannot be read ({error.strerror})"
        return
    for entry in entries:
        path = f"{folder.name}/{entry.name}"
        if entry.name == READY:
            snapshot.ready.add(folder.name)
        elif ignored(entry.name) or _refused(entry, root, path, snapshot):
            continue
        elif entry.is_dir():
            snapshot.problems[path] = (
                "a folder inside a shoot is not looked at; move its photos up, "
                "or move it into the inbox as a shoot of its own"
            )
        elif entry.name == PRESET:
            snapshot.presets.add(folder.name)
        else:
            _take(entry, path, snapshot, before)
    if folder.name in snapshot.presets:
        for picture in pictures_in(_text(Path(folder.path) / PRESET)):
            snapshot.sources.pop(f"{folder.name}/{picture}", None)
            snapshot.problems.pop(f"{folder.name}/{picture.parts[0]}", None)
    if len(snapshot.sources) == count and folder.name not in snapshot.problems:
        snapshot.problems[folder.name] = "this folder holds no photo (JPEG, PNG, TIFF, WebP, …)"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return ""


def _refused(entry: os.DirEntry[str], root: Path, path: str, snapshot: Snapshot) -> bool:
    if (name := speakable(path)) != path:
        snapshot.problems[name] = NO_UNICODE
        return True
    if "\\" in path:
        snapshot.problems[path] = "this name holds a backslash; rename it"
        return True
    if not entry.is_symlink():
        return False
    try:
        inside = Path(entry.path).resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # nothing is there, or the link leads round in a circle
        snapshot.problems[path] = "this link leads nowhere; copy the file itself"
        return True
    if not inside:
        snapshot.problems[path] = (
            "this link leads out of the inbox and is refused; copy the file itself"
        )
    return not inside


def _take(
    entry: os.DirEntry[str], path: str, snapshot: Snapshot, before: Mapping[str, Source]
) -> None:
    if Path(entry.name).suffix.lower() not in PHOTO_SUFFIXES or not entry.is_file():
        return
    try:
        stat = entry.stat()
    except OSError:
        return  # it went away between listing and looking
    source = before.get(path)
    if source is None or (source.size, source.mtime_ns) != (stat.st_size, stat.st_mtime_ns):
        source = Source(path, stat.st_size, stat.st_mtime_ns)
    snapshot.sources[source.path] = source


def changed_at(path: str) -> float:
    """When a file was last written, moved or given a date, in seconds since the epoch; now, as it
    were, for one that is gone."""
    try:
        return Path(path).stat().st_ctime
    except OSError:
        return math.inf


@dataclass
class Rest:
    """How long each photo has lain unchanged, as far as we saw. Pure."""

    _since: dict[Source, float] = field(default_factory=dict)

    def update(self, sources: Mapping[str, Source], now: float) -> None:
        """Takes in a new look at the inbox at ``now`` (seconds, monotonic)."""
        self._since = {source: self._since.get(source, now) for source in sources.values()}

    @classmethod
    def by_age(cls, folder: Path, sources: Mapping[str, Source], now: float, clock: float) -> Rest:
        """What a single look can tell: each photo in ``folder`` rests since it was written, or
        came there with the date that it had. ``clock`` is the time since the epoch that belongs
        to the monotonic ``now``."""
        at = {source: changed_at(f"{folder}/{path}") for path, source in sources.items()}
        return cls({source: now - max(0.0, clock - then) for source, then in at.items()})

    def seconds(self, source: Source, now: float) -> float:
        """For how long this state of the photo has been seen."""
        return now - self._since.get(source, now)
