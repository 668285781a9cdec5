"""A folder in a bucket: what lies there, and files carried to and fro. The edge to fsspec.

The library behind it tries each call again where the bucket is slow, overloaded (429, 503) or
broken (5xx). What is wrong after that is a :class:`BucketError`.
"""

from __future__ import annotations

import contextlib
import hashlib
import mimetypes
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from worker.errors import BucketError, FolderError, SettingsError
from worker.shoots import Source

_MD5 = re.compile("[0-9a-f]{32}")
_STAMPS = "LastModified", "last_modified", "updated", "mtime", "created"
"""Where the file systems of fsspec say when an object was last written."""


@dataclass(frozen=True)
class Item:
    """An object, and the state in which it was seen."""

    source: Source
    """As its copy is to look. The microseconds of its time are made of the ETag: another content
    has another time, on whatever machine it is copied."""
    etag: str


@dataclass(eq=False)
class _Call:
    """A call of the bucket that is under way."""

    heard_at: float
    """When the bucket last gave a sign, or was asked; monotonic."""

    def hear(self, *_: object, **__: object) -> None:
        """A part of what was asked for has come."""
        self.heard_at = time.monotonic()


class Bucket:
    """The folder that a URL names. Its methods may be called from several threads."""

    def __init__(self, url: str) -> None:
        """Asks the bucket nothing yet. Raises :class:`SettingsError` when nothing is installed
        that could."""
        self.url = url
        self._calls: set[_Call] = set()
        self._fs, self._root = _file_system(url)
        self._is_s3 = _is_s3(url)
        self._etags_are_digests = True

    @property
    def silent_seconds(self) -> float:
        """For how long a call that is under way has waited for a sign; 0 when there is none."""
        heard = [call.heard_at for call in list(self._calls)]
        return time.monotonic() - min(heard) if heard else 0.0

    def listing(self, under: str = "") -> dict[str, Item]:
        """What lies below a folder, by its path from ours; nothing where there is no such folder.
        An object may be missing that was written a moment ago, or that is removed yet listed."""
        place = self._place(under)
        with self._asked(f"list {place}"):
            self._fs.invalidate_cache()
            found = self._fs.find(place, withdirs=False, detail=True)
        infos = {self._path(name): info for name, info in found.items()}
        return {
            path: _item(path, info)
            for path, info in infos.items()
            if path and not path.endswith("/") and info["type"] == "file"
        }

    def look_at(self, path: str) -> Item | None:
        """One object, asked for by its name: sure where a listing is not. ``None`` if there is
        none."""
        with self._asked(f"look at {path}"):
            self._fs.invalidate_cache()
            try:
                info = self._fs.info(self._place(path))
            except FileNotFoundError:
                return None
        return _item(path, info) if info["type"] == "file" else None

    def fetch(self, item: Item, target: Path) -> None:
        """Copies an object. When this returns, ``target`` is whole, on the disk, and has the size
        and the time of ``item.source``.

        Raises :class:`BucketError` when what comes is not what was listed, and
        :class:`FolderError` when ``target`` cannot be written.
        """
        path, size = item.source.path, item.source.size
        digest = self._copy(path, target)
        if target.stat().st_size != size:
            raise BucketError(f"{path} came with {target.stat().st_size} bytes of {size}")
        if self._etags_are_digests and _MD5.fullmatch(item.etag) and digest != item.etag:
            if self.look_at(path) != item:
                raise BucketError(f"{path} was replaced while it was fetched")
            again = self._copy(path, target)
            if again not in (digest, item.etag):
                raise BucketError(f"{path} came differently each time")
            if again == digest:
                self._etags_are_digests = False  # as it is with some kinds of encryption
        os.utime(target, ns=(item.source.mtime_ns, item.source.mtime_ns))

    def read(self, path: str) -> bytes | None:
        """The content of an object; ``None`` if there is none."""
        with self._asked(f"read {path}"):
            try:
                return bytes(self._fs.cat_file(self._place(path)))
            except FileNotFoundError:
                return None

    def put(self, data: bytes, path: str) -> None:
        """Writes an object, which appears whole or not at all."""
        place, kind = self._place(path), mimetypes.guess_type(path)[0]
        options = {"ContentType": kind} if self._is_s3 and kind else {}
        with self._asked(f"write {path}"):
            if not self._is_s3:  # others may have real folders
                self._fs.makedirs(place.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(place, data, **options)

    def remove(self, path: str) -> None:
        """Takes an object away, if it is there."""
        with self._asked(f"remove {path}"), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._place(path))

    def _copy(self, path: str, target: Path) -> str:
        """Copies an object to the disk; returns the MD5 of what came."""
        from fsspec.callbacks import Callback

        with self._asked(f"fetch {path}") as call:
            parts = Callback(hooks={"part": call.hear})  # a large file on a slow line takes long
            self._fs.get_file(self._place(path), str(target), callback=parts)
        with target.open("rb+") as handle:
            digest = hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False))
            os.fsync(handle.fileno())
        return digest.hexdigest()

    def _place(self, path: str) -> str:
        return f"{self._root}/{path}".rstrip("/")

    def _path(self, name: str) -> str:
        return name.removeprefix("/").removeprefix(self._root.removeprefix("/")).removeprefix("/")

    @contextmanager
    def _asked(self, what: str) -> Iterator[_Call]:
        call = _Call(time.monotonic())
        self._calls.add(call)
        try:
            yield call
        except (BucketError, FolderError):
            raise
        except OSError as error:
            if error.filename:  # a file of ours: the bucket's errors have none
                raise FolderError(
                    f"{error.filename} cannot be read or written ({error.strerror})",
                    cure="Look at the disk",
                ) from error
            raise self._error(what, error) from error
        except Exception as error:  # whatever the library of that kind of bucket raises
            raise self._error(what, error) from error
        finally:
            self._calls.discard(call)

    def _error(self, what: str, error: Exception) -> BucketError:
        cure, away = "It is tried again by itself", True
        if isinstance(error, PermissionError) or "Credentials" in type(error).__name__:
            cure, away = "Look at the credentials, and at what they allow", False
        elif isinstance(error, FileNotFoundError):
            cure, away = "Create the bucket, or correct its name", False
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return BucketError(f"{self.url}: cannot {what} ({reason})", cure=cure, away=away)


def _file_system(url: str) -> tuple[Any, str]:
    """The file system of fsspec for a URL, and the folder's place in it."""
    try:
        from fsspec.core import url_to_fs

        fs, root = url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        cure = f"Install what fsspec needs for {url.partition(':')[0]}"
        if _is_s3(url):
            cure = "Install the extra: pip install 'cyclorama[s3]'"
        raise SettingsError(f"{url} cannot be used: {error}", cure=cure) from error
    return fs, str(root).rstrip("/")


def _is_s3(url: str) -> bool:
    return url.startswith(("s3://", "s3a://"))


def _item(path: str, info: Mapping[str, Any]) -> Item:
    etag = str(info.get("ETag") or info.get("etag") or "").strip('"')
    written = next((_seconds(info[name]) for name in _STAMPS if info.get(name)), 0.0)
    mark = hashlib.sha256((etag or f"{written:.6f}").encode()).hexdigest()
    microseconds = int(mark[:12], 16) % 1_000_000
    # Whole seconds: a listing may know fractions that a look at the object does not.
    time_ns = int(written) * 10**9 + microseconds * 1000
    return Item(Source(path, int(info["size"]), time_ns), etag)


def _seconds(stamp: Any) -> float:
    """Since the epoch."""
    if isinstance(stamp, str):
        stamp = datetime.fromisoformat(stamp)
    return stamp.timestamp() if isinstance(stamp, datetime) else float(stamp)
