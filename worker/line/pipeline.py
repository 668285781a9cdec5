"""The line: a job in, a finished shoot in the outbox.

message ─ lease ─ what is done already? ─ frames, several at once ─ manifest ─ publish ─ release
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from redis.exceptions import RedisError

from unet_core.segment import Segmenter
from worker.errors import CycloramaError, LeaseLost
from worker.finish.plates import Plates
from worker.finish.presets import Preset, preset_of
from worker.line.batcher import Batcher
from worker.line.dress import Look, Wardrobe, dress_all, placements
from worker.line.frame import Order, make_frame
from worker.line.model_slot import ModelSlot
from worker.line.parallel import in_parallel
from worker.line.wanted import Wanted
from worker.logs import about
from worker.outbox.manifest import (
    CheckpointRecord,
    FrameRow,
    Manifest,
    PresetRecord,
    now,
    read_manifest,
    status_of,
)
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.outbox.turn import with_turn_flags
from worker.queue.leases import Lease, Leases, Note, kept
from worker.queue.messages import JobMessage, parse
from worker.shoots import PLATE, Frame, odd_angles

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LineOptions:
    """What the studio has chosen."""

    preset: str
    presets: Path
    frames_per_job: int
    """Frames of one job in memory at once."""
    max_pixels: int
    worker: str
    """Name under which this worker shows up."""


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
        self.shared_batches: set[int] = set()
        """Numbers of the batches that held frames of more than one job."""
        self.last_frame_at = 0.0
        self._alone = threading.Lock()
        """Held by a job whose earlier attempt died, so that no two such jobs blame each other."""
        self.shoots: set[str] = set()
        """Shoots in work now."""
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
        with about(shoot=message.shoot, job=message.job):
            self._handle(message, lease)

    def _handle(self, message: JobMessage, lease: Lease | None) -> None:
        if lease is None:
            log.info("%s is in work elsewhere", message.shoot)
            return
        self.shoots.add(message.shoot)
        try:
            with kept(lease, self._leases.seconds / 3):
                self._work(message, lease)
            self._forget(message.shoot)
        except LeaseLost as error:
            log.warning("%s", error)
        except CycloramaError as error:
            log.error("%s failed in attempt %d: %s", message.shoot, message.attempt, error)
            self._note(message, "failed", error=str(error))
        except Exception as error:
            log.exception("%s failed in attempt %d", message.shoot, message.attempt)
            self._note(message, "failed", error=f"{type(error).__name__}: {error}")
        finally:
            self.shoots.discard(message.shoot)
            self._release(lease)

    def _work(self, message: JobMessage, lease: Lease) -> None:
        started = now()
        shoot, frames = message.shoot, message.to_frames()
        segmenter = self._slot.current
        options = self._options
        preset = preset_of(self._places.inbox / shoot, options.preset, folders=[options.presets])
        wanted = Wanted.of(message, preset.digest, segmenter.card.sha256)
        if any(wanted.is_met(edition) for _, edition in self._editions(shoot)[:1]):
            log.info("%s is done already", shoot)
            return
        staging = Staging(self._places, shoot)
        done = self._done_already(staging, wanted)
        rest = [frame for frame in frames if frame.name not in done]
        self._note(message, "working", done=len(frames) - len(rest))
        look = Look(preset, Plates(self._places.inbox / PLATE))
        order = Order(
            job=message.job,
            look=look,
            dresses=preset.framing.mode == "keep",
            segmenter=segmenter,
            batcher=self._batcher,
            staging=staging,
            inbox=self._places.inbox,
            max_pixels=self._options.max_pixels,
            careful=message.attempt > 1,
        )
        with self._alone if order.careful else nullcontext():
            for row in self._make(rest, order):
                lease.check()
                done[row.name] = row
                self._count(row)
                self._progress(shoot, len(done))
        if preset.framing.mode == "fit":
            for row in self._fit(done, look, staging):
                lease.check()
                done[row.name] = row
        manifest = self._manifest(message, started, done, preset, segmenter)
        lease.renew()  # asks Redis: nobody else may publish this shoot now
        folder = staging.publish(manifest)
        for listener in self.listeners:
            listener.on_shoot(manifest, {frame.name for frame in rest})
        log.info("%s is %s: %d frames in %s", shoot, manifest.status, len(done), folder)

    def _make(self, frames: list[Frame], order: Order) -> Iterator[FrameRow]:
        """The rows of the frames, in the order in which they are finished."""
        at_once = 1 if order.careful else self._options.frames_per_job
        yield from in_parallel(lambda frame: make_frame(frame, order), frames, at_once=at_once)

    def _fit(self, done: dict[str, FrameRow], look: Look, staging: Staging) -> Iterator[FrameRow]:
        """The rows with their pictures, now that all masks of the turn are known."""
        placed = dataclasses.replace(look, placements=placements(done.values(), look.preset))
        wardrobe = Wardrobe(
            placed, self._places.inbox, staging.folder, staging, self._options.max_pixels
        )
        yield from dress_all(done.values(), wardrobe, at_once=self._options.frames_per_job)

    def _done_already(self, staging: Staging, wanted: Wanted) -> dict[str, FrameRow]:
        """Rows by name that need no work: finished before a crash, or in an earlier edition with
        the same preset and checkpoint, or of photos that are no longer in the inbox."""
        done = {row.name: row for row in staging.rows().values() if wanted.asks_for(row)}
        for folder, edition in self._editions(staging.shoot):
            for row in edition.frames:
                usable = wanted.asks_for(row) or wanted.outlived_by(row)
                if usable and row.name not in done and staging.adopt(row, folder):
                    done[row.name] = row
        return done

    def _editions(self, shoot: str) -> list[tuple[Path, Manifest]]:
        """What is held or delivered of a shoot, newest first; else what a crash between two
        renames left."""
        places = self._places
        found = [
            (folder, manifest)
            for folder in (places.held(shoot), places.published(shoot), places.retired(shoot))
            if (manifest := read_manifest(folder))
        ]
        retired = places.retired(shoot)
        return [each for each in found if each[0] != retired] or found

    def _manifest(
        self,
        message: JobMessage,
        started: str,
        done: dict[str, FrameRow],
        preset: Preset,
        segmenter: Segmenter,
    ) -> Manifest:
        rows = sorted(done.values(), key=lambda row: (row.angle, row.name))
        rows = with_turn_flags(rows, full_turn=preset.frames)
        return Manifest(
            shoot=message.shoot,
            status=status_of(rows, preset.on_failed_frame),
            preset=PresetRecord(name=preset.name, digest=preset.digest),
            checkpoint=CheckpointRecord(
                version=segmenter.card.version, sha256=segmenter.card.sha256
            ),
            program=version("cyclorama"),
            started=started,
            finished=now(),
            attempts=message.attempt,
            remarks=odd_angles(message.to_frames(), preset.frames),
            frames=rows,
        )

    def _note(self, message: JobMessage, state: str, *, done: int = 0, error: str = "") -> None:
        note = Note(
            state=state,  # type: ignore[arg-type]
            job=message.job,
            attempt=message.attempt,
            at=time.time(),
            done=done,
            total=len(message.frames),
            worker=self._options.worker,
            error=error,
            photos=message.photos,
        )
        try:
            self._leases.write(message.shoot, note)
        except RedisError as cause:
            log.warning("no note on %s: %s", message.shoot, cause)

    def _progress(self, shoot: str, done: int) -> None:
        try:
            self._leases.progress(shoot, done)
        except RedisError as cause:
            log.warning("no progress on %s: %s", shoot, cause)

    def _forget(self, shoot: str) -> None:
        try:
            self._leases.forget(shoot)
        except RedisError as cause:
            log.warning("the note on %s stays: %s", shoot, cause)

    def _count(self, row: FrameRow) -> None:
        self.frames += 1
        self.last_frame_at = time.time()
        if row.batch and row.batch.jobs > 1:
            self.shared_batches.add(row.batch.number)
        for listener in self.listeners:
            listener.on_frame(row)

    def _release(self, lease: Lease) -> None:
        try:
            lease.release()
        except RedisError as error:
            log.warning("the lease on %s lapses by itself: %s", lease.shoot, error)
