"""From staging to the outbox: a shoot is made in a hidden folder and appears whole.

    outbox/.staging/<shoot>/<key>/<frame>.jpg, masks/, …   finished files, each renamed into place
    outbox/.staging/<shoot>/<key>/.rows/                   a row for each finished frame
    outbox/<shoot>/                                        the same folder, after one rename

Rows outlive a crash: whoever takes the shoot up again does only the rest. The key is another one
in every attempt: one that was frozen and wakes up finds its folder gone, and can spoil nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import time
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from unet_core.files import sha256, sync, write_file
from worker.errors import FolderError, LeaseLost, ShootError
from worker.outbox.manifest import MANIFEST, FrameRow, Manifest, Output, read_manifest
from worker.outbox.places import Places
from worker.outbox.report import SheetFrame, contact_sheet, spin_page
from worker.shoots import Source, ignored, only_look_apart, shortened

log = logging.getLogger(__name__)

ROWS = ".rows"
SHEET, SPIN = "contact-sheet.jpg", "spin.html"
_KEY = re.compile("[0-9a-f]{32}")


class Staging:
    """One shoot in the making. To make one takes over what an earlier attempt left: from then on
    the earlier one's methods raise :class:`LeaseLost`."""

    def __init__(self, places: Places, shoot: str) -> None:
        self._places, self.shoot = places, shoot
        places.require_outbox()
        self.folder = _taken_over(places.staging(shoot))
        (self.folder / ROWS).mkdir(exist_ok=True)

    def rows(self) -> dict[Source, FrameRow]:
        """The frames that are finished, by the photo that they were made from."""
        staged = read_manifest(self.folder)
        found = {row.source.source(): row for row in staged.frames} if staged else {}
        for path in (self.folder / ROWS).glob("*.json"):
            with contextlib.suppress(OSError, ValidationError):
                row = FrameRow.model_validate_json(path.read_bytes())
                found[row.source.source()] = row
        return {source: row for source, row in found.items() if self._is_whole(row)}

    def write(self, path: str, data: bytes) -> Output:
        """Puts a finished file in place."""
        with self._ours():
            write_file(self._place(path), data)
        return Output(path=path, sha256=sha256(data), bytes=len(data))

    def add(self, row: FrameRow) -> None:
        """Notes that a frame is finished; its files are in place already."""
        path = self._row(row.name)
        with self._ours():
            write_file(path, row.model_dump_json().encode())
        path.with_suffix(".begun").unlink(missing_ok=True)

    def begin(self, frame: str) -> int:
        """Notes that a frame is begun; returns how often it was begun before and not finished."""
        return self._count(frame, ".begun")

    def unread(self, frame: str) -> int:
        """Notes that a frame's photo could not be read; returns how often by now."""
        return self._count(frame, ".unread") + 1

    def _count(self, frame: str, suffix: str) -> int:
        """Adds one to a count that outlives this process; returns what it was."""
        mark = self._row(frame).with_suffix(suffix)
        before = int(mark.read_text()) if mark.exists() else 0
        with self._ours():
            write_file(mark, str(before + 1).encode())
        return before

    def absolve(self, frame: str) -> None:
        """Takes back that a frame was begun: that it was not finished is not its fault."""
        with contextlib.suppress(OSError):
            self._row(frame).with_suffix(".begun").unlink(missing_ok=True)

    def adopt(self, row: FrameRow, edition: Path) -> bool:
        """Takes a frame over from an earlier edition of the shoot; says whether it could. A file
        that somebody changed since is not taken over."""
        for output in row.outputs.values():
            source = edition / output.path
            if not _is_intact(source, output):
                return False
            with self._ours():
                target = self._place(output.path)
            target.unlink(missing_ok=True)
            try:
                try:
                    os.link(source, target)
                except OSError:
                    shutil.copyfile(source, target)
            except OSError:
                return False
        self.add(row)
        return True

    def publish(self, manifest: Manifest) -> Path:
        """Adds sheet, spin page and manifest, and moves the folder to its place, whole.

        Returns where it is now: in the outbox, or among the held shoots.
        """
        places, shoot = self._places, self.shoot
        held = manifest.status == "held"
        target = places.held(shoot) if held else places.published(shoot)
        with self._ours():
            self._write_reports(manifest)
            write_file(self.folder / MANIFEST, manifest.model_dump_json(indent=1).encode())
            shutil.rmtree(self.folder / ROWS, ignore_errors=True)
            self._sweep(manifest)
            sync(self.folder)
            replace_folder(self.folder, target, places=places, shoot=shoot)
        if not held:  # an edition that was delivered stays while a newer one is held
            put_away(places.held(shoot), places, shoot)
        _drop_empty(self.folder.parent)
        return target

    def discard(self) -> None:
        """Drops all that was made: the shoot is not wanted any more."""
        shutil.rmtree(self.folder, ignore_errors=True)
        _drop_empty(self.folder.parent)

    def _place(self, path: str) -> Path:
        """Where a file of the shoot goes; never makes our own folder anew once it is gone."""
        place = self.folder / path
        if place.parent != self.folder:
            place.parent.mkdir(exist_ok=True)
        return place

    @contextlib.contextmanager
    def _ours(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if self.folder.is_dir() or not self.folder.parent.parent.is_dir():
                raise  # something else is missing: the whole outbox, perhaps
            raise LeaseLost(f"another worker has taken over {self.shoot!r}") from error

    def _write_reports(self, manifest: Manifest) -> None:
        self.write(SHEET, _sheet(manifest, self.folder))
        turning = [row for row in manifest.frames if "composite" in row.outputs]
        if turning:
            size = turning[0].picture_size or (turning[0].width or 3, turning[0].height or 2)
            made = [row.outputs["composite"] for row in turning]
            page = spin_page(
                [picture.path for picture in made],
                title=self.shoot,
                size=size,
                digests=[picture.sha256 for picture in made],
            )
            self.write(SPIN, page.encode())

    def _sweep(self, manifest: Manifest) -> None:
        """Removes what the manifest does not name: leftovers of an attempt with other settings."""
        named = {_spelt(o.path) for row in manifest.frames for o in row.outputs.values()}
        named |= {MANIFEST, SHEET} | ({SPIN} if named else set())
        for path in sorted(self.folder.rglob("*"), reverse=True):
            if path.is_dir():
                with contextlib.suppress(OSError):
                    path.rmdir()
            elif _spelt(path.relative_to(self.folder).as_posix()) not in named:
                path.unlink()

    def _row(self, frame: str) -> Path:
        return self.folder / ROWS / f"{sha256(frame.encode())[:24]}.json"

    def _is_whole(self, row: FrameRow) -> bool:
        return all(
            (self.folder / output.path).is_file()
            and (self.folder / output.path).stat().st_size == output.bytes
            for output in row.outputs.values()
        )


def replace_folder(new: Path, target: Path, *, places: Places, shoot: str) -> None:
    """Renames ``new`` to ``target``; an older edition goes aside first, then away. One that a
    person has changed or added to is kept, among the replaced ones.

    Raises :class:`FolderError` when what is there was not made by this program.
    """
    aside = places.retired(shoot)
    target.parent.mkdir(parents=True, exist_ok=True)
    new.stat()  # before anything is moved: it may have been taken over
    if target.exists() and not _is_ours(target):
        raise FolderError(
            f"{target} is there and holds no shoot of this program; it is left alone",
            cure="Move it away, or choose another outbox",
        )
    there = read_manifest(target)
    if there and only_look_apart(there.shoot, shoot):
        raise FolderError(
            f"{target} holds {there.shoot!r}, and its file system does not tell the two apart",
            cure="Rename one of them in the inbox",
        )
    put_away(aside, places, shoot)
    if target.exists():
        target.rename(aside)
    try:
        new.rename(target)
    except OSError:
        with contextlib.suppress(OSError):  # what was delivered stays
            aside.rename(target)
        raise
    sync(target.parent)
    put_away(aside, places, shoot)


def _taken_over(home: Path) -> Path:
    """A folder of a new name in ``home``, with what the latest attempt left there."""
    ours = home / uuid.uuid4().hex
    if home.is_symlink():  # nobody but us makes anything here, and we make no links
        home.unlink()
    home.mkdir(parents=True, exist_ok=True)
    left = sorted(home.iterdir(), key=lambda path: path.lstat().st_mtime_ns)
    whole = [p for p in left if _KEY.fullmatch(p.name) and p.is_dir() and not p.is_symlink()]
    for path in left:
        if path not in whole[-1:]:
            _remove(path)
    if whole:
        whole[-1].rename(ours)
    else:
        ours.mkdir()
    return ours


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _drop_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # somebody else's attempt lies there already
        folder.rmdir()


def put_away(old: Path, places: Places, shoot: str) -> None:
    """Removes an older edition of a shoot, or keeps it if a person has touched it."""
    if not old.exists():
        return
    if old.is_symlink():
        old.unlink()
        return
    if _touched_by_people(old):
        kept = places.replaced / f"{shortened(shoot)}-{time.time_ns()}"
        kept.parent.mkdir(exist_ok=True)
        old.rename(kept)
        log.warning("%s was changed by hand; that edition is kept in %s", shoot, kept)
    else:
        shutil.rmtree(old, ignore_errors=True)


def _touched_by_people(folder: Path) -> bool:
    """Whether an edition holds files that its manifest does not name, or changed ones; what file
    browsers leave does not count."""
    manifest = read_manifest(folder)
    outputs = [o for row in manifest.frames for o in row.outputs.values()] if manifest else []
    named = {_spelt(output.path): output for output in outputs}
    for path in folder.rglob("*"):
        inner = path.relative_to(folder)
        if path.is_dir() or any(map(ignored, inner.parts)):
            continue
        name = _spelt(inner.as_posix())
        if name in (MANIFEST, SHEET, SPIN):
            continue
        if name not in named or not _is_intact(path, named[name]):
            return True
    return False


def _spelt(path: str) -> str:
    """One spelling for accents: some disks of macOS give back another than they were given."""
    return unicodedata.normalize("NFC", path)


def _is_intact(path: Path, output: Output) -> bool:
    try:
        return path.stat().st_size == output.bytes and sha256(path.read_bytes()) == output.sha256
    except OSError:
        return False


def release(places: Places, shoot: str) -> Path:
    """Publishes a held shoot as it is. Raises :class:`ShootError` when it is not there, and
    :class:`FolderError` when it cannot be moved: then it is held as before."""
    folder = places.held(shoot)
    manifest = read_manifest(folder)
    if manifest is None:
        raise ShootError(f"no shoot {shoot!r} is held", cure="See: cyclorama status")
    status: Literal["complete", "incomplete"] = "incomplete" if manifest.failed() else "complete"
    freed = manifest.model_copy(update={"status": status})
    write_file(folder / SHEET, _sheet(freed, folder))
    write_file(folder / MANIFEST, freed.model_dump_json(indent=1).encode())
    try:
        replace_folder(folder, places.published(shoot), places=places, shoot=shoot)
    except (OSError, FolderError) as error:
        if not folder.is_dir():
            raise  # it is published, and its older edition cannot be put away yet
        write_file(folder / SHEET, _sheet(manifest, folder))
        write_file(folder / MANIFEST, manifest.model_dump_json(indent=1).encode())
        if isinstance(error, FolderError):
            raise
        raise FolderError(
            f"{folder} cannot be moved into the outbox ({error.strerror})",
            cure="Close its pictures, here and in the outbox, and release it again",
        ) from error
    return places.published(shoot)


def _is_ours(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    made = read_manifest(folder) is not None or (folder / SHEET).exists()
    return made or not any(folder.iterdir())


def _sheet(manifest: Manifest, folder: Path) -> bytes:
    frames = [_sheet_frame(row, folder) for row in manifest.frames]
    facts = [manifest.status, manifest.preset.name, manifest.checkpoint.version]
    subtitle = " · ".join(facts + manifest.remarks)
    return contact_sheet(frames, title=manifest.shoot, subtitle=subtitle)


def _sheet_frame(row: FrameRow, folder: Path) -> SheetFrame:
    composite = row.outputs.get("composite")
    notes: Iterable[str] = [row.error.message] if row.error else [f.sentence for f in row.flags]
    return SheetFrame(
        name=row.name,
        angle=row.angle,
        picture=folder / composite.path if composite else None,
        notes=tuple(notes),
    )
