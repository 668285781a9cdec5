"""A folder of a bucket copied into a folder of this machine, as far as it is wanted there.

listing ─ what differs ─ fetch to .arriving/ ─ rename into place, a shoot at a time

A copy has the size and time that its object asks for, so that the two sides tell what is still to
be fetched: a late listing, a crash or an empty folder costs nothing but another look.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from unet_core.files import sha256
from unet_core.suffixes import PHOTO_SUFFIXES
from worker.courier.bucket import Bucket, Item
from worker.courier.keeper import KeepAll, Keeper, Need
from worker.courier.records import Records
from worker.errors import BucketError, FolderError
from worker.intake.scan import READY
from worker.shoots import PLATE, Source, ignored, inner_path, shoot_of

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Objects that are fetched side by side."""
MOST_IN_A_ROW = 4
"""After so many failures, and nothing between them that went well, a bucket is left alone."""
LONGEST_NAME_BYTES = 255


class Mirror:
    """Keeps a folder like a bucket's. What others have put into the folder is left alone."""

    def __init__(self, bucket: Bucket, folder: Path, keeper: Keeper | None = None) -> None:
        self._bucket, self._folder = bucket, folder
        self._keeper = keeper or KeepAll()
        self._arriving = folder / ".arriving"
        self._copies = Records(folder / ".copies")
        self._problems: dict[str, str] = {}
        self._failed_in_a_row = 0

    def round(self, stop: threading.Event) -> dict[str, str]:
        """Looks once and brings what is missing, until ``stop`` is set. Returns what could not be
        brought, by path, with a sentence.

        Raises :class:`BucketError` when the bucket is away, and :class:`FolderError` when the
        folder cannot be written.
        """
        self._problems, self._failed_in_a_row = {}, 0
        listed = self._usable(self._bucket.listing())
        here = self._here()
        shoots, copied = _by_shoot(listed), _by_shoot(here)
        for shoot in sorted(shoots, key=lambda name: (name != PLATE, name)):
            if stop.is_set():
                return self._problems
            items = [listed[path] for path in shoots[shoot]]
            copies = {path: here[path] for path in copied.get(shoot, [])}
            self._settle(shoot, items, copies)
        for shoot, paths in _by_shoot(here.keys() - listed.keys()).items():
            self._take_away(shoot, {path: here[path] for path in paths})
        self._sweep(listed.values())
        return self._problems

    def _settle(self, shoot: str, items: list[Item], copies: dict[str, Source]) -> None:
        sources = [item.source for item in items]
        need = Need.FETCH
        if shoot != PLATE:
            need = self._keeper.need(shoot, sources, here=bool(copies))
        if need == Need.GO and copies:
            log.info("%s is delivered; its copies in %s go", shoot, self._folder)
            self._keeper.let_go(shoot)
            self._remove(shoot, copies)
        if need != Need.FETCH:
            return
        self._keeper.prepare(shoot)
        missing = [item for item in items if copies.get(item.source.path) != item.source]
        if not missing:
            return
        failures = len(self._problems)
        arrived = self._fetch(missing)
        if arrived:
            self._land(shoot, arrived, copies, all_there=len(self._problems) == failures)

    def _usable(self, listed: dict[str, Item]) -> dict[str, Item]:
        """What the folder can hold, and the watcher would look at."""
        usable = {}
        for path, item in listed.items():
            *folders, name = path.split("/")
            if any(map(ignored, folders)) or (ignored(name) and not (folders and name == READY)):
                continue
            if len(folders) > 1:
                self._problems[path] = (
                    "a folder inside a shoot is not looked at; move its photos up"
                )
            elif not _is_name(path):
                self._problems[path] = "no file can be named like this; rename it"
            elif folders or PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES:
                usable[path] = item
        return usable

    def _here(self) -> dict[str, Source]:
        """The files of the folder, by path."""
        found = {}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for entry in os.scandir(self._folder):
                if ignored(entry.name):
                    continue
                is_folder = entry.is_dir(follow_symlinks=False)
                inner = os.scandir(entry.path) if is_folder else [entry]
                for file in inner:
                    if file.is_file() and (file.name == READY or not ignored(file.name)):
                        path = Path(file.path).relative_to(self._folder).as_posix()
                        found[path] = _state(path, Path(file.path))
        except FileNotFoundError:  # it went away between listing and looking: the next round tells
            pass
        except OSError as error:
            raise self._unusable(error) from error
        return found

    def _fetch(self, items: list[Item]) -> list[Item]:
        """Those of the items that came, whole, and lie among the arriving ones."""
        try:
            self._arriving.mkdir(exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch") as pool:
            failures = list(pool.map(self._fetch_one, items))
        for item, failure in zip(items, failures, strict=True):
            self._failed_in_a_row = self._failed_in_a_row + 1 if failure and failure.away else 0
            if failure:
                self._problems[item.source.path] = str(failure)
                if self._failed_in_a_row >= MOST_IN_A_ROW:
                    raise failure
        return [item for item in items if self._has_arrived(item)]

    def _fetch_one(self, item: Item) -> BucketError | None:
        if self._has_arrived(item):
            return None  # before a crash
        part = self._part(item)
        try:
            self._bucket.fetch(item, part)
        except BucketError as error:
            part.unlink(missing_ok=True)
            return error
        except FolderError:
            part.unlink(missing_ok=True)  # a disk that is full is not to stay it because of us
            raise
        return None

    def _has_arrived(self, item: Item) -> bool:
        part = self._part(item)
        return part.exists() and _state(item.source.path, part) == item.source

    def _land(
        self, shoot: str, items: list[Item], copies: dict[str, Source], *, all_there: bool
    ) -> None:
        """Moves what has arrived to its place: ``.ready`` last, and only behind all the others."""
        ours = self._copies.of(shoot)
        marks = {i.source.path: [*ours.get(i.source.path, [])[-1:], _mark(i.source)] for i in items}
        self._copies.write(shoot, ours | marks)  # the older one too: a crash may leave that copy
        for item in sorted(items, key=lambda item: item.source.path.endswith(f"/{READY}")):
            path = item.source.path
            place = self._folder / path
            if path.endswith(f"/{READY}") and not all_there:
                continue
            theirs = path in copies and _mark(copies[path]) not in ours.get(path, [])
            if theirs or (place.parent.is_symlink() and place.parent != self._folder):
                self._problems[path] = (
                    f"another file of this name lies in {self._folder}; move it away"
                )
                continue
            try:
                place.parent.mkdir(exist_ok=True)
                self._part(item).replace(place)
            except OSError as error:
                self._problems[path] = f"it cannot be put into {self._folder} ({error.strerror})"
                continue
            if _state(path, place) != item.source:
                raise FolderError(
                    f"the file system of {self._folder} does not keep times to the microsecond",
                    cure="Use a folder on another one",
                )
        log.info("%s: %d files came from %s", shoot, len(items), self._bucket.url)

    def _take_away(self, shoot: str, copies: dict[str, Source]) -> None:
        """Removes the copies whose objects are gone, which a listing alone does not tell."""
        ours = self._copies.of(shoot)
        gone = {
            path: source
            for path, source in copies.items()
            if _mark(source) in ours.get(path, []) and self._bucket.look_at(path) is None
        }
        if gone:
            log.info("%s: %d files are no longer in %s", shoot, len(gone), self._bucket.url)
            self._remove(shoot, gone)

    def _remove(self, shoot: str, copies: dict[str, Source]) -> None:
        ours = self._copies.of(shoot)
        try:
            for path, source in copies.items():
                if _mark(source) in ours.pop(path, []):
                    (self._folder / path).unlink(missing_ok=True)
                    with contextlib.suppress(OSError):  # others still lie there
                        if "/" in path:
                            (self._folder / path).parent.rmdir()
        except OSError as error:
            raise self._unusable(error) from error
        if ours:
            self._copies.write(shoot, ours)
        else:
            self._copies.drop(shoot)

    def _sweep(self, items: Iterable[Item]) -> None:
        """Removes what had begun to arrive and is not asked for any more."""
        parts = list(self._arriving.iterdir()) if self._arriving.is_dir() else []
        wanted = {self._part(item).name for item in items} if parts else set()
        for path in parts:
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def _part(self, item: Item) -> Path:
        state = f"{item.source.path}\0{_mark(item.source)}"
        return self._arriving / sha256(state.encode())[:32]

    def _unusable(self, error: OSError) -> FolderError:
        return FolderError(
            f"the folder {self._folder} cannot be read and written ({error.strerror})",
            cure="Look at the disk, or name another folder",
        )


def _by_shoot(paths: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted(paths):
        found.setdefault(_group(path), []).append(path)
    return found


def _group(path: str) -> str:
    return path.partition("/")[0] if "/" in path else shoot_of(path)


def _mark(source: Source) -> str:
    return f"{source.size}-{source.mtime_ns}"


def _state(path: str, file: Path) -> Source:
    stat = file.stat()
    return Source(path, stat.st_size, stat.st_mtime_ns)


def _is_name(path: str) -> bool:
    try:
        parts = inner_path(path).split("/")
    except ValueError:
        return False
    return all(0 < len(part.encode()) <= LONGEST_NAME_BYTES for part in parts)
