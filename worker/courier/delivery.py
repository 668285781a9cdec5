"""Finished shoots carried to a bucket: all files first, the manifest last.

A bucket renames nothing, so the manifest is what a shoot appears by: where it lies, all that it
names is there. It is taken away before a file that it names is replaced.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import ValidationError

from unet_core.files import sha256
from worker.courier.bucket import Bucket
from worker.courier.mirror import AT_ONCE, MOST_IN_A_ROW
from worker.courier.records import Records
from worker.errors import BucketError, FolderError, ShootError
from worker.outbox.manifest import MANIFEST, Manifest, Output
from worker.outbox.places import Places
from worker.outbox.publish import SHEET, SPIN

log = logging.getLogger(__name__)


class Delivery:
    """Carries each edition of each published shoot into a bucket, once."""

    def __init__(self, places: Places, bucket: Bucket, records: Records) -> None:
        self._places, self._bucket, self._records = places, bucket, records
        self._done: dict[Path, tuple[int, int]] = {}

    def round(self, stop: threading.Event) -> dict[str, str]:
        """Carries what is not there yet, until ``stop`` is set. Returns what could not be carried,
        by shoot, with a sentence; raises :class:`BucketError` when the bucket is away."""
        problems: dict[str, str] = {}
        failed_in_a_row, refused = 0, list[BucketError]()
        for folder in self._published():
            if stop.is_set():
                break
            state = _state(folder)
            if state is None or self._done.get(folder) == state:
                continue
            try:
                if not is_delivered(folder, self._records):
                    self._deliver(folder)
                self._done[folder] = state
                failed_in_a_row = 0
            except BucketError as error:
                problems[folder.name] = str(error)
                refused.append(error)
                failed_in_a_row = failed_in_a_row + 1 if error.away else 0
                if failed_in_a_row >= MOST_IN_A_ROW:
                    raise
            except (ShootError, FolderError, OSError) as error:
                if _state(folder) == state:  # else it was published anew meanwhile
                    problems[folder.name] = str(error)
        if not self._done and len(refused) >= MOST_IN_A_ROW:
            raise refused[-1]  # nothing was ever carried there: a wrong key, not a wrong shoot
        return problems

    def _published(self) -> Iterator[Path]:
        with contextlib.suppress(OSError):
            for folder in sorted(self._places.outbox.iterdir()):
                if not folder.name.startswith(".") and (folder / MANIFEST).is_file():
                    yield folder

    def _deliver(self, folder: Path) -> None:
        shoot = folder.name
        raw = (folder / MANIFEST).read_bytes()
        try:
            manifest = Manifest.model_validate_json(raw)
        except ValidationError as error:
            raise ShootError(f"{folder / MANIFEST} is no manifest of this program") from error
        there = self._bucket.read(f"{shoot}/{MANIFEST}")
        files = set(_outputs(manifest)) | _reports(manifest)
        carried = set(self._records.of(shoot).get("files", [])) | set(_outputs(there))
        self._records.write(shoot, {"edition": "", "files": sorted(carried | files)})
        if there != raw:
            self._carry(folder, manifest, there)
            self._bucket.put(raw, f"{shoot}/{MANIFEST}")
            log.info("%s is carried to %s", shoot, self._bucket.url)
        for path in sorted(carried - files):
            self._bucket.remove(f"{shoot}/{path}")
        self._records.write(shoot, {"edition": sha256(raw), "files": sorted(files)})

    def _carry(self, folder: Path, manifest: Manifest, there: bytes | None) -> None:
        """Brings all files but the manifest into the bucket, and sees that they are there.
        ``there`` is the manifest that lies in the bucket."""
        shoot, wanted, before = folder.name, _outputs(manifest), _outputs(there)
        sizes = self._sizes(shoot)
        rest = {
            path: output
            for path, output in wanted.items()
            if before.get(path) != output or sizes.get(path) != output.bytes
        }
        reports = [path for path in sorted(_reports(manifest)) if _is_plain(folder / path)]
        for path, output in rest.items():  # before anything that lies there is touched
            _content(folder / path, output)
        if there is not None:
            self._bucket.remove(f"{shoot}/{MANIFEST}")

        def carry(path: str) -> tuple[str, int]:
            data = _content(folder / path, rest.get(path))
            self._bucket.put(data, f"{shoot}/{path}")
            return path, len(data)

        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="carry") as pool:
            carried = dict(pool.map(carry, [*sorted(rest), *reports]))
        sizes = self._sizes(shoot)
        for path, size in carried.items():
            self._require(f"{shoot}/{path}", size, seen=sizes.get(path))

    def _sizes(self, shoot: str) -> dict[str, int]:
        """Bytes of what lies in the bucket, by path from the shoot's folder."""
        listed = self._bucket.listing(shoot)
        return {path.removeprefix(f"{shoot}/"): i.source.size for path, i in listed.items()}

    def _require(self, path: str, size: int, *, seen: int | None) -> None:
        """Raises :class:`BucketError` unless an object is there as it was written."""
        if seen != size:  # a listing may be late
            item = self._bucket.look_at(path)
            if item is None or item.source.size != size:
                raise BucketError(f"{self._bucket.url}/{path} did not come to lie there whole")


def _state(folder: Path) -> tuple[int, int] | None:
    """Of the edition in a folder: another one has another; ``None`` where there is none."""
    try:
        stat = (folder / MANIFEST).stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def is_delivered(folder: Path, records: Records) -> bool:
    """Whether the edition in a folder of the outbox lies in the bucket. Raises ``OSError``."""
    noted = records.of(folder.name).get("edition")
    return bool(noted) and noted == sha256((folder / MANIFEST).read_bytes())


def _content(path: Path, output: Output | None) -> bytes:
    """What a file holds; raises :class:`ShootError` where it is not the one that was made. People
    can write to the outbox: a link there must not carry other files away."""
    data = path.read_bytes() if _is_plain(path) else b""
    if output is None or sha256(data) == output.sha256:
        return data
    raise ShootError(
        f"{path} is gone, or was changed since it was made",
        cure=f"Put it back, or move {path.parents[output.path.count('/')]} away to have the shoot "
        "made again",
    )


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _reports(manifest: Manifest) -> set[str]:
    """The program's own files that a manifest does not name."""
    turns = any("composite" in row.outputs for row in manifest.frames)
    return {SHEET, SPIN} if turns else {SHEET}


def _outputs(manifest: Manifest | bytes | None) -> dict[str, Output]:
    """The files that a manifest names; a content that is none names nothing."""
    if not isinstance(manifest, Manifest):
        try:
            manifest = Manifest.model_validate_json(manifest or b"")
        except ValidationError:
            return {}
    return {output.path: output for row in manifest.frames for output in row.outputs.values()}
