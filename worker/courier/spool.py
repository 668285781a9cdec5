"""What has to lie in the copies of inbox and outbox, and what may go.

A photo is needed until the manifest of its shoot answers for it. What is delivered stays for a
while; then copies of photos and pictures go, and the manifest alone remembers. It brings them back
when a photo is replaced or a mask corrected.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from unet_core.files import sha256, write_file
from unet_core.suffixes import PHOTO_SUFFIXES
from worker.corrections.drops import look_at, unanswered
from worker.courier.bucket import Bucket, Item
from worker.courier.delivery import is_delivered
from worker.courier.keeper import Need
from worker.courier.records import Records
from worker.courier.word import FOLDER
from worker.errors import BucketError
from worker.intake.editions import Editions
from worker.intake.plan import missing, withdrawn
from worker.outbox.manifest import MANIFEST, Edition, Manifest, Output
from worker.outbox.places import Places
from worker.outbox.publish import SHEET, SPIN
from worker.shoots import Shoot, Source, frames

log = logging.getLogger(__name__)


class Spool:
    """Tells what is needed of each shoot of a bucket's inbox."""

    def __init__(
        self,
        places: Places,
        corrections: Path,
        *,
        outbox: Bucket | None,
        delivered: Records,
        keep_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``outbox`` is the bucket that shoots are carried to, if there is one; ``keep_seconds``
        is for how long copies stay after delivery, 0 for ever."""
        self._places, self._corrections = places, corrections
        self._editions = Editions(places)
        self._outbox, self._delivered = outbox, delivered
        self._keep_seconds, self._clock = keep_seconds, clock

    def need(self, shoot: str, listed: list[Source], *, here: bool) -> Need:
        """Of the shoot whose files in the bucket are ``listed``; ``here``: copies are there."""
        photos = [s for s in listed if Path(s.path).suffix.lower() in PHOTO_SUFFIXES]
        edition = self._editions.latest(shoot)
        if edition is None and not here:
            try:
                edition = self._recall(shoot, photos)
            except BucketError as error:
                if error.away:
                    raise
                log.warning("whether %s was delivered is not known: %s", shoot, error)
        if edition is None:
            return Need.FETCH
        wanted = _wanted(shoot, photos, edition.manifest)
        if missing(wanted, edition.manifest):
            return Need.FETCH
        if withdrawn(wanted, edition.manifest):
            return Need.FETCH
        if unanswered(look_at(self._corrections, shoot), edition):
            return Need.FETCH
        return Need.GO if here and self._may_go(edition) else Need.KEEP

    def prepare(self, shoot: str) -> None:
        """Brings back the pictures of an edition that went, so that only what is new is made."""
        edition = self._editions.latest(shoot)
        if edition is None or self._outbox is None:
            return
        outputs = [o for row in edition.manifest.frames for o in row.outputs.values()]
        gone = [output for output in outputs if not (edition.folder / output.path).exists()]
        listed = self._outbox.listing(shoot) if gone else {}
        for output in gone:
            if item := listed.get(f"{shoot}/{output.path}"):
                self._bring_back(self._outbox, item, edition.folder / output.path, output)

    def let_go(self, shoot: str) -> None:
        """Drops the pictures of a delivered edition; its manifest stays."""
        edition = self._editions.latest(shoot)
        if edition is None or self._outbox is None:
            return
        paths = [o.path for row in edition.manifest.frames for o in row.outputs.values()]
        for path in [*paths, SHEET, SPIN]:
            if self._is_ours(edition.folder / path):
                (edition.folder / path).unlink(missing_ok=True)
        for folder in {(edition.folder / path).parent for path in paths} - {edition.folder}:
            with contextlib.suppress(OSError):  # people have put something there
                folder.rmdir()

    def _is_ours(self, file: Path) -> bool:
        """Whether a place lies in the outbox: people can put links there that lead elsewhere."""
        return file.parent.resolve().is_relative_to(self._places.outbox.resolve())

    def _may_go(self, edition: Edition) -> bool:
        """Whether an edition that answers for all photos is delivered, and for long enough. One
        that a person still has to look at stays."""
        shoot, folder = edition.manifest.shoot, edition.folder
        if not self._keep_seconds or edition.manifest.status != "complete":
            return False
        if self._places.held(shoot).exists() or self._places.staging(shoot).exists():
            return False
        if self._outbox is not None and not is_delivered(folder, self._delivered):
            return False
        try:
            written = (folder / MANIFEST).stat().st_mtime
        except OSError:
            return False  # a newer edition takes its place in this moment
        return self._clock() - written >= self._keep_seconds

    def _recall(self, shoot: str, photos: list[Source]) -> Edition | None:
        """The edition that lies in the bucket, if it answers for all photos: somebody made it
        before this folder was emptied. Its manifest is written down here."""
        raw = self._outbox.read(f"{shoot}/{MANIFEST}") if self._outbox else None
        try:
            manifest = Manifest.model_validate_json(raw or b"")
        except ValidationError:
            return None
        if manifest.shoot != shoot or missing(_wanted(shoot, photos, manifest), manifest):
            return None
        folder = self._places.published(shoot)
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / MANIFEST, raw or b"")
        log.info("%s is delivered already", shoot)
        return Edition(folder, manifest)

    def _bring_back(self, outbox: Bucket, item: Item, target: Path, output: Output) -> None:
        part = self._places.outbox / FOLDER / f"{sha256(item.source.path.encode())[:32]}.part"
        try:
            part.parent.mkdir(exist_ok=True)
            outbox.fetch(item, part)
            if sha256(part.read_bytes()) == output.sha256 and self._is_ours(target):
                target.parent.mkdir(exist_ok=True)
                part.replace(target)
        except BucketError as error:
            log.warning("%s is made again: %s", item.source.path, error)
        finally:
            part.unlink(missing_ok=True)


def _wanted(shoot: str, photos: list[Source], manifest: Manifest) -> Shoot:
    """The shoot of these photos, without the pictures of its own preset."""
    pictures = {f"{shoot}/{picture}" for picture in manifest.preset.pictures}
    return Shoot(shoot, frames(photo for photo in photos if photo.path not in pictures))
