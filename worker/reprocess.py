"""New pictures from stored masks and originals: another preset without the network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from redis.exceptions import RedisError

from unet_core.cores import usable_cores
from worker.errors import BrokerError, ShootError
from worker.finish.plates import Plates
from worker.finish.presets import is_path, load_preset, preset_of
from worker.line.dress import Look, Wardrobe, dress_all, placements
from worker.outbox.edition import next_edition
from worker.outbox.manifest import FrameRow, Manifest, now, read_manifest
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.queue.app import connect
from worker.queue.broker import broker_of
from worker.queue.leases import Leases, kept
from worker.settings import Settings
from worker.shoots import PLATE

log = logging.getLogger(__name__)


def reprocess(
    settings: Settings,
    shoot: str,
    preset: str | None = None,
    *,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Publishes a finished shoot anew with ``preset`` (a name, with which later editions are made
    too, or a ``.toml`` file; None: the one that the inbox asks for), from the masks of the edition
    that is in the outbox, also where a person has corrected them. Returns where it lies.

    Raises :class:`ShootError` when the shoot is not in the outbox, is in work, or a photo has
    changed or gone; :class:`PresetError` when it cannot be dressed.
    """
    places = Places(settings.inbox, settings.outbox)
    _edition(places, shoot)  # a name that is not there is told before anything else
    chosen = preset if preset and not is_path(preset) else None
    worn = (
        load_preset(preset, folders=[settings.presets])
        if preset
        else preset_of(settings.inbox / shoot, settings.preset, folders=[settings.presets])
    )
    with alone(settings, shoot):
        started = now()
        folder, edition = _edition(places, shoot)
        rows = [row for row in edition.frames if not row.error]
        _require_photos(rows, places.inbox)
        staging = Staging(places, shoot)
        look = Look(worn, Plates(places.inbox / PLATE), placements(rows, worn))
        wardrobe = Wardrobe(look, places.inbox, folder, staging, int(settings.max_megapixels * 1e6))
        made = {row.name: row for row in edition.frames}
        for done, row in enumerate(dress_all(rows, wardrobe, at_once=usable_cores()), start=1):
            if row.error and row.error.code == "too-large":
                raise ShootError(row.error.message)  # of the preset, and no photo's fault
            made[row.name] = _without_network(row)
            on_frame(done, len(rows))
        again = next_edition(edition, made.values(), worn, chosen=chosen, started=started)
        return staging.publish(again)


def _without_network(row: FrameRow) -> FrameRow:
    seconds = {stage: s for stage, s in row.seconds.items() if stage not in ("network", "refine")}
    return row.model_copy(update={"masked_by": "stored", "seconds": seconds, "batch": None})


def shoots_in(places: Places) -> list[str]:
    """The shoots that have been finished, by name."""
    folders = [places.published(""), places.held("")]
    found = {path.parent.name for folder in folders for path in folder.glob("*/manifest.json")}
    return sorted(found)


def finished(places: Places, named: Sequence[str]) -> list[str]:
    """The finished shoots that are named, or all there are. Raises :class:`ShootError` for a name
    that is not there, and where there is none at all."""
    there = shoots_in(places)
    if unknown := [name for name in named if name not in there]:
        raise _unknown(places, unknown[0])
    if not there:
        raise ShootError(f"the outbox {places.outbox} has no finished shoot")
    return list(named) or there


def _unknown(places: Places, shoot: str) -> ShootError:
    known = ", ".join(shoots_in(places)[:10]) or "none"
    return ShootError(
        f"the outbox {places.outbox} has no finished shoot {shoot!r}", cure=f"It has: {known}"
    )


def _edition(places: Places, shoot: str) -> tuple[Path, Manifest]:
    for folder in (places.held(shoot), places.published(shoot)):  # a held one is the newer
        if edition := read_manifest(folder):
            return folder, edition
    raise _unknown(places, shoot)


def _require_photos(rows: Sequence[FrameRow], inbox: Path) -> None:
    for row in rows:
        try:
            stat = (inbox / row.source.path).stat()
        except OSError as error:
            raise ShootError(
                f"the photo {inbox / row.source.path} is gone ({error.strerror})",
                cure="Put it back: pictures are made from the original",
            ) from error
        if (stat.st_size, stat.st_mtime_ns) != (row.source.size, row.source.mtime_ns):
            raise ShootError(
                f"the photo {inbox / row.source.path} has changed since its mask was made",
                cure="Let the line make the shoot again: cyclorama run, or retry",
            )


@contextmanager
def alone(settings: Settings, shoot: str) -> Iterator[None]:
    """No worker takes the shoot meanwhile; raises :class:`ShootError` while one has it. Without
    a broker of its own a studio has no worker that runs without our embedded Redis."""
    try:
        redis = connect(broker_of(settings))
    except BrokerError:
        if settings.broker_url:
            raise
        yield
        return
    leases = Leases(redis, seconds=settings.lease_seconds)
    if (lease := leases.acquire(shoot)) is None:
        raise ShootError(f"{shoot} is in work", cure="Wait until it is done; see: cyclorama status")
    try:
        with kept(lease, leases.seconds / 3):
            yield
    finally:
        try:
            lease.release()
        except RedisError as error:  # what was done is done
            log.warning("the lease on %s lapses by itself: %s", shoot, error)
