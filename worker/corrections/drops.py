"""What lies in the corrections folder: ``<shoot>/<frame>.png``. Reads names and times only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from worker.errors import FolderError
from worker.outbox.manifest import Edition
from worker.outbox.places import Places
from worker.shoots import NO_UNICODE, Source, ignored, speakable

SUFFIX = ".png"


@dataclass
class Drops:
    """The corrections folder at one moment."""

    files: dict[str, Source] = field(default_factory=dict)
    """Corrected masks by their path relative to the folder."""
    problems: dict[str, str] = field(default_factory=dict)
    """What can be no correction by its name, by path, with a sentence that says what to do."""

    def of(self, shoot: str) -> dict[str, Source]:
        """The files for one shoot, by name of the frame."""
        found = {path: file for path, file in self.files.items() if path.startswith(f"{shoot}/")}
        return {frame_of(file): file for file in found.values()}

    @property
    def shoots(self) -> list[str]:
        """The shoots that there are files for, by name."""
        return sorted({path.partition("/")[0] for path in self.files})


def frame_of(file: Source) -> str:
    """The name of the frame that a file corrects."""
    return PurePosixPath(file.path).name.removesuffix(SUFFIX)


def prepare_folder(folder: Path, places: Places) -> None:
    """Creates the corrections folder, where that is allowed: then it can be found, and watched.

    Raises :class:`FolderError` when it lies in the inbox or the outbox.
    """
    for name, other in (("inbox", places.inbox), ("outbox", places.outbox)):
        if folder.resolve().is_relative_to(other.resolve()):
            raise FolderError(
                f"the corrections folder {folder} lies in the {name} {other}",
                cure="Set CYCLORAMA_CORRECTIONS to a folder of its own",
            )
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)


def look(folder: Path) -> Drops:
    """Reads the folder once; one that is not there holds nothing."""
    drops = Drops()
    for entry in _entries(folder):
        if (name := speakable(entry.name)) != entry.name:
            drops.problems[name] = NO_UNICODE
            continue
        if not entry.is_dir():
            drops.problems[entry.name] = (
                "a corrected mask lies in a folder of its shoot's name; move it to "
                f"<shoot>/{Path(entry.name).stem}{SUFFIX}"
            )
            continue
        for file in _entries(Path(entry.path)):
            _take(file, f"{entry.name}/{file.name}", drops)
    return drops


def look_at(folder: Path, shoot: str) -> dict[str, Source]:
    """The files for one shoot, by name of the frame; nothing else is read."""
    drops = Drops()
    for file in _entries(folder / shoot):
        _take(file, f"{shoot}/{file.name}", drops)
    return drops.of(shoot)


def _take(file: os.DirEntry[str], path: str, drops: Drops) -> None:
    if (name := speakable(path)) != path:
        drops.problems[name] = NO_UNICODE
        return
    if file.is_dir() or not file.name.endswith(SUFFIX):
        drops.problems[path] = f"this is no corrected mask; save it as <frame>{SUFFIX}"
        return
    try:
        stat = file.stat()
    except OSError:
        return  # it went away between listing and looking
    drops.files[path] = Source(path, stat.st_size, stat.st_mtime_ns)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        found = [entry for entry in os.scandir(folder) if not ignored(entry.name)]
    except OSError:
        return []
    return sorted(found, key=lambda entry: entry.name)


def unanswered(files: Mapping[str, Source], edition: Edition | None) -> dict[str, Source]:
    """Those of a shoot's files that no row of its edition was made from."""
    rows = edition.manifest.frames if edition else []
    answered = {row.name: row.correction.source() for row in rows if row.correction}
    return {name: file for name, file in files.items() if answered.get(name) != file}
