"""Sweeps staging: what crashes left there and nobody will take up again.

A shoot that is wanted is taken up by its next attempt, which uses what it finds. But a crash just
after publication leaves the older edition, and a shoot that was taken out of the inbox leaves all.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Container
from pathlib import Path

from worker.outbox.manifest import read_manifest
from worker.outbox.places import Places
from worker.outbox.publish import put_away

log = logging.getLogger(__name__)


class Sweep:
    """Remembers what lies about, and takes away what nobody has touched for ``rest_seconds``."""

    def __init__(self, places: Places, *, rest_seconds: float) -> None:
        self._places, self._rest_seconds = places, rest_seconds
        self._since: dict[tuple[Path, int], float] = {}

    def tick(self, now: float, *, wanted: Container[str], in_work: Callable[[str], bool]) -> None:
        """Looks at ``now`` (seconds, monotonic). ``wanted`` are shoots that are still to be made,
        ``in_work`` asks whether somebody works on one now. Raises ``OSError`` when staging cannot
        be read."""
        staging = self._places.staging("")
        found = {(path, path.lstat().st_mtime_ns): path for path in staging.iterdir()}
        self._since = {key: self._since.get(key, now) for key in found}
        for key, path in found.items():
            if now - self._since[key] < self._rest_seconds:
                continue
            if path.name.startswith(".old-"):
                try:
                    self._retired(path, in_work)
                except OSError as error:
                    log.warning("%s cannot be put away yet: %s", path, error)
                    self._since[key] = now  # it is tried again, after as long a rest
            elif path.name.startswith(".probe-"):
                path.unlink(missing_ok=True)
            elif path.name not in wanted and not in_work(path.name):
                log.info("%s is not wanted any more; what was made of it is removed", path.name)
                shutil.rmtree(path, ignore_errors=True)

    def _retired(self, old: Path, in_work: Callable[[str], bool]) -> None:
        """An older edition, set aside by a publication that did not come to its end."""
        manifest = read_manifest(old)
        shoot = manifest.shoot if manifest else ""
        if not shoot or self._places.retired(shoot) != old:
            return  # nobody can tell whose it was; the next publication of that shoot knows
        if in_work(shoot):
            return
        target = self._places.published(shoot)
        if target.exists() or self._places.held(shoot).exists():
            put_away(old, self._places, shoot)
        else:
            log.warning("%s is put back: its newer edition was never finished", target)
            old.rename(target)
