"""The line: a job in, a finished shoot in the outbox.

message ─ lease ─ what is done already? ─ frames, several at once ─ manifest ─ publish ─ release
"""

from __future__ import annotations

import dataclasses
import errno
import logging
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from redis.exceptions import RedisError

from worker.corrections.desk import Desk
from worker.errors import CycloramaError, FolderError, HandedBack, LeaseLost, PresetError
from worker.finish.plates import Plates
from worker.finish.presets import Preset, preset_of
from worker.line.batcher import Batcher
from worker.line.correct import corrected_edition
from worker.line.dress import Look, Wardrobe, dress_all, placements
from worker.line.earlier import done_already, editions
from worker.line.frame import Order, make_frame
from worker.line.model_slot import ModelSlot
from worker.line.notes import Notes
from worker.line.parallel import Cores, in_parallel
from worker.line.trial import Trial
from worker.line.vigil import Vigil
from worker.line.wanted import Wanted, is_missing
from worker.logs import about
from worker.outbox.edition import first_edition
from worker.outbox.manifest import (
    CheckpointRecord,
    Edition,
    FrameRow,
    Manifest,
    now,
)
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.queue.leases import Lease, Leases, kept
from worker.queue.messages import JobMessage, parse
from worker.shoots import PLATE, Frame

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LineOptions:
    """What the studio has chosen."""

    preset: str
    presets: Path
    corrections: Path
    """The folder of corrected masks."""
    frames_per_job: int
    """Frames of one job in memory at once."""
    max_pixels: int
    worker: str
    """Name under which this worker shows up."""
    frame_seconds: float = 300.0
    """A photo on trial that takes longer hangs."""
    at_work: int = 64
    """Frames, of all jobs together, that compute at once."""
    reads: int = 3
    """How often a photo is tried that cannot be read, before the shoot goes without it."""


class Listener(Protocol):
    """Whoever wants to hear what the line has done; called from the threads of the jobs."""

    def on_frame(self, row: FrameRow) -> None:
        """A frame is finished, well or not."""

    def on_shoot(self, manifest: Manifest, made: Collection[str]) -> None:
        """A shoot is published; the frames named ``made`` were made for it, others were kept."""


class Line:
    """One worker's line. :meth:`handle` may be called from several threads, a shoot each."""

    def __init__(
        self,
        places: Places,
        leases: Leases,
        slot: ModelSlot,
        batcher: Batcher,
        options: LineOptions,
    ) -> None:
        self._places, self._leases, self._slot = places, leases, slot
        self._batcher, self._options = batcher, options
        self.frames = 0
        """Frames finished since the start."""
        self.last_frame_at = 0.0
        self._notes = Notes(leases, options.worker)
        self._cores = Cores(options.at_work)
        self._alone = threading.Lock()
        """Held by a job whose earlier attempt died, so that no two such jobs blame each other."""
        self.shoots: dict[str, JobMessage] = {}
        """Shoots in work now."""
        self.steps = 0
        """Grows with everything that shows that the line goes on."""
        self.vigil = Vigil()
        self._ending = threading.Event()
        self.listeners: list[Listener] = []

    def handle(self, payload: object) -> None:
        """Does one message. Never raises: what went wrong is logged and noted in Redis, and the
        watcher queues the shoot again."""
        try:
            message = parse(payload)
            lease = self._leases.acquire(message.shoot)
        except (CycloramaError, RedisError) as error:
            log.error("a message was dropped: %s", error)
            return
        self.steps += 1
        with about(shoot=message.shoot, job=message.job):
            self._handle(message, lease)

    def _handle(self, message: JobMessage, lease: Lease | None) -> None:
        if lease is None:
            log.info("%s is in work elsewhere", message.shoot)
            return
        if self._notes.is_overtaken(message):
            log.info("%s has a newer job than this message's", message.shoot)
            self._notes.release(lease)
            return
        self.shoots[message.shoot] = message
        try:
            with kept(lease, self._leases.seconds / 3):
                self._work(message, lease)
            self._notes.forget(message)
        except LeaseLost as error:
            log.warning("%s", error)
        except HandedBack as error:
            log.info("%s", error)
            self._notes.note(message, "returned")
        except (CycloramaError, OSError) as error:
            self._failed(message, lease, _studio_error(error, self._places), error)
        except Exception as error:
            log.exception("%s failed in attempt %d", message.shoot, message.attempt)
            self._failed(message, lease, f"{type(error).__name__}: {error}", error)
        finally:
            self.steps += 1
            self.shoots.pop(message.shoot, None)
            self._notes.release(lease)

    @property
    def device_lost(self) -> bool:
        """Whether nothing can be computed any more in this process."""
        return self._batcher.device_lost

    def hand_back(self) -> None:
        """From now on no frame is begun: frames in work are finished, and shoots given back."""
        self._ending.set()

    def leave(self) -> None:
        """Notes that what is in work is given back as it is: this process ends now, and its shoots
        are not to blame."""
        for message in list(self.shoots.values()):
            self._notes.note(message, "returned")

    def _failed(self, message: JobMessage, lease: Lease, reason: str, cause: Exception) -> None:
        log.error("%s failed in attempt %d: %s", message.shoot, message.attempt, reason)
        if isinstance(cause, MemoryError):  # nearly a death: the next attempt is as careful
            message = message.model_copy(update={"deaths": message.deaths + 1})
        if not lease.lost:  # the note is another worker's by now
            self._notes.note(message, "failed", error=reason)

    def _check(self, lease: Lease) -> None:
        lease.check()
        if self._ending.is_set() or self.device_lost:
            raise HandedBack(f"{lease.shoot} is given back unfinished: this worker is to stop")

    def _work(self, message: JobMessage, lease: Lease) -> None:
        started = now()
        shoot, frames = message.shoot, message.to_frames()
        segmenter = self._slot.current
        options = self._options
        forgotten = self._notes.is_forgotten(message)
        self._notes.note(message, "working")
        self._check(lease)
        # Only now, because Redis can keep us waiting, and another worker makes the shoot meanwhile.
        latest = next(iter(editions(self._places, shoot)), None)
        chosen = latest.manifest.preset.chosen if latest else None
        preset = self._preset(shoot, chosen)
        desk = Desk(options.corrections, shoot, latest)
        wanted = Wanted.of(message, preset.digest, segmenter.card.sha256, desk.waiting)
        if latest and (
            wanted.is_met(latest.manifest) or (forgotten and wanted.is_answered_by(latest.manifest))
        ):
            log.info("%s is done already", shoot)
            return
        staging = Staging(self._places, shoot)
        if latest and self._correct(latest, wanted, desk, staging, preset, lease):
            return
        done = done_already(self._places, staging, wanted)
        rest = [frame for frame in frames if frame.name not in done]
        look = Look(preset, Plates(self._places.inbox / PLATE))
        order = Order(
            job=message.job,
            look=look,
            dresses=preset.framing.mode == "keep",
            segmenter=segmenter,
            batcher=self._batcher,
            staging=staging,
            desk=desk,
            inbox=self._places.inbox,
            max_pixels=self._options.max_pixels,
            vigil=self.vigil,
            cores=self._cores,
            reads=options.reads,
        )
        with self._on_trial(message, order) if message.deaths else nullcontext(order) as order:
            self._notes.note(message, "working", done=len(frames) - len(rest))
            self._check(lease)
            for row in self._make(rest, order):
                if row.name in order.postponed:
                    continue
                done[row.name] = row
                self._count(row)
                self._notes.progress(shoot, len(done))
                self._check(lease)
            for error in order.postponed.values():
                raise error
        for name in wanted.renamed(done.values()):
            del done[name]
        if preset.framing.mode == "fit":
            for row in self._fit(done, look, staging):
                done[row.name] = row
                self.steps += 1
                self._check(lease)
        if not self._still_there(frames, done):
            log.info("%s went away from the inbox: nothing is published", shoot)
            staging.discard()
            return
        card = segmenter.card
        manifest = first_edition(
            shoot,
            done.values(),
            preset,
            chosen=chosen,
            pictures=preset.pictures_in(self._places.inbox / shoot),
            checkpoint=CheckpointRecord(version=card.version, sha256=card.sha256),
            started=started,
            attempts=message.attempt,
        )
        self._publish(manifest, staging, {frame.name for frame in rest}, lease)

    def _publish(
        self, manifest: Manifest, staging: Staging, made: Collection[str], lease: Lease
    ) -> None:
        """Publishes a shoot and tells it; the frames named ``made`` are new in it."""
        self._notes.renew(lease)
        folder = staging.publish(manifest)
        for listener in self.listeners:
            listener.on_shoot(manifest, made)
        frames = len(manifest.frames)
        log.info("%s is %s: %d frames in %s", manifest.shoot, manifest.status, frames, folder)

    def _preset(self, shoot: str, chosen: str | None) -> Preset:
        """What a shoot is dressed by; ``chosen`` is what ``reprocess`` gave it."""
        options, folder = self._options, self._places.inbox / shoot
        try:
            return preset_of(folder, options.preset, chosen=chosen, folders=[options.presets])
        except PresetError as error:
            if chosen is None:
                raise
            raise PresetError(
                f"{shoot} keeps the preset that reprocess gave it. {error}",
                cure=f"Another one: cyclorama reprocess {shoot} --preset NAME",
            ) from error

    @contextmanager
    def _on_trial(self, message: JobMessage, order: Order) -> Iterator[Order]:
        """The order for a shoot on which a worker died: one frame at a time, each on trial."""
        options = self._options
        self._notes.note(
            message, "returned"
        )  # should we die before it is its turn, it was another's fault
        trial = Trial(order.inbox, max_pixels=options.max_pixels, seconds=options.frame_seconds)
        with self._alone, closing(trial):
            yield dataclasses.replace(order, trial=trial)

    def _still_there(self, frames: list[Frame], done: dict[str, FrameRow]) -> bool:
        """Whether any photo of the job is in the inbox yet. Those that went away before their
        picture was made leave no row: whoever took them out does not want them.

        Raises :class:`FolderError` where it is more likely that a share was away for a while.
        """
        inbox = self._places.inbox
        there = {f.name for f in frames if (inbox / f.source.path).exists()}
        if not there and not any(inbox.iterdir()):
            raise FolderError(
                f"the inbox {inbox} is empty on this machine",
                cure="Mount the share, if it lies on one",
            )
        for row in list(done.values()):
            if row.name in there:
                if is_missing(row):
                    raise FolderError(f"the photo {inbox / row.source.path} was away for a while")
            elif is_missing(row) or not (row.error or "composite" in row.outputs):
                del done[row.name]
        return bool(there)

    def _correct(
        self,
        latest: Edition,
        wanted: Wanted,
        desk: Desk,
        staging: Staging,
        preset: Preset,
        lease: Lease,
    ) -> bool:
        """Publishes a shoot of which nothing is wanted but corrected masks; says whether it did:
        not so where no mask could be used, or photos are new."""
        if not wanted.corrections or not wanted.is_answered_by(latest.manifest):
            return False
        inbox, options = self._places.inbox, self._options
        look = Look(preset, Plates(inbox / PLATE))
        wardrobe = Wardrobe(look, inbox, latest.folder, staging, options.max_pixels, self._cores)
        at_once = options.frames_per_job
        again = corrected_edition(latest.manifest, desk, wardrobe, at_once=at_once)
        if again is None:
            return False
        self._publish(again, staging, set(wanted.corrections), lease)
        return True

    def _make(self, frames: list[Frame], order: Order) -> Iterator[FrameRow]:
        """The rows of the frames, in the order in which they are finished."""
        at_once = 1 if order.trial else self._options.frames_per_job
        yield from in_parallel(lambda frame: make_frame(frame, order), frames, at_once=at_once)

    def _fit(self, done: dict[str, FrameRow], look: Look, staging: Staging) -> Iterator[FrameRow]:
        """The rows with their pictures, now that all masks of the turn are known."""
        placed = dataclasses.replace(look, placements=placements(done.values(), look.preset))
        inbox, options = self._places.inbox, self._options
        wardrobe = Wardrobe(
            placed,
            inbox,
            staging.folder,
            staging,
            options.max_pixels,
            self._cores,
            reads=options.reads,
        )
        yield from dress_all(done.values(), wardrobe, at_once=options.frames_per_job)

    def _count(self, row: FrameRow) -> None:
        self.frames += 1
        self.steps += 1
        self.last_frame_at = time.time()
        for listener in self.listeners:
            listener.on_frame(row)


def _studio_error(error: Exception, places: Places) -> str:
    """What to tell of an error that is no photo's fault."""
    if not isinstance(error, OSError):
        return str(error)
    reason = error.strerror or str(error)
    cure = "Free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Look at the disk"
    return str(
        FolderError(
            f"the outbox {places.outbox} cannot be written ({reason})",
            cure=f"{cure}; the shoot is tried again by itself",
        )
    )
