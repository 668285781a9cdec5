"""The latest edition of each shoot, read again only when it changed; few are kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from worker.outbox.manifest import MANIFEST, Edition, Manifest, load_manifest
from worker.outbox.places import Places

KEPT = 1000
"""Manifests in memory at most; one of 16 frames takes about 100 kB there."""
State = tuple[Path, int, int]
"""A manifest as it lies on disk: the folder, when it was written, and as which file."""


class Editions:
    """Held and published shoots of an outbox. May be asked from several threads."""

    def __init__(self, places: Places) -> None:
        self._places, self._one_at_a_time = places, threading.Lock()
        self._read: dict[Path, tuple[State, Manifest]] = {}
        self._out_of_reach: set[Path] = set()

    def state(self, shoot: str) -> State | None:
        """How the latest manifest lies there: another state means that it may say something else;
        ``None`` when there is none."""
        return next(self._states(shoot), None)

    def latest(self, shoot: str) -> Edition | None:
        """The latest edition of a shoot: the held one before the published one, because it is
        the newer."""
        for state in self._states(shoot):
            manifest = self._manifest(state)
            return Edition(state[0], manifest) if manifest else None
        return None

    def is_out_of_reach(self, shoot: str) -> bool:
        """Whether a manifest is there and could not be read: nobody knows what was delivered."""
        return any(folder in self._out_of_reach for folder in self._folders(shoot))

    def forget(self, shoot: str) -> None:
        """Lets the memory of its manifests go; they are read again when they are asked for."""
        with self._one_at_a_time:
            for folder in self._folders(shoot):
                self._read.pop(folder, None)

    def _states(self, shoot: str) -> Iterator[State]:
        for folder in self._folders(shoot):
            try:
                stat = (folder / MANIFEST).stat()
            except OSError:
                continue
            yield folder, stat.st_mtime_ns, stat.st_ino

    def _folders(self, shoot: str) -> tuple[Path, Path]:
        return self._places.held(shoot), self._places.published(shoot)

    def _manifest(self, state: State) -> Manifest | None:
        folder = state[0]
        with self._one_at_a_time:
            known = self._read.pop(folder, None)
            if known is None or known[0] != state:
                self._out_of_reach.discard(folder)
                try:
                    manifest = load_manifest(folder)
                except OSError:
                    self._out_of_reach.add(folder)
                    manifest = None
                if manifest is None:  # damaged, or the disk failed: the next look tries again
                    return None
                known = state, manifest.lean()
            self._read[folder] = known  # last in order: it was asked for last
            if len(self._read) > KEPT:
                del self._read[next(iter(self._read))]
        return known[1]
