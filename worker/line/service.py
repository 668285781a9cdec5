"""A worker as a whole: model, batcher, line and signs of life around Celery."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import torch
from redis import Redis
from redis.exceptions import RedisError

from unet_core.cores import usable_cores
from unet_core.devices import DeviceError, choose_device, is_lost
from unet_core.store import ModelStore
from worker.errors import ModelError, SettingsError
from worker.finish.presets import load_preset
from worker.line.batcher import Batcher
from worker.line.memory import keep_memory
from worker.line.metrics import LineMetrics, LineState
from worker.line.model_slot import ModelSlot
from worker.line.pipeline import Line, LineOptions
from worker.line.pulse import Ending, Limits, Pulse
from worker.line.shape import line_shape, share_cores
from worker.line.tasks import serve
from worker.metrics import serving
from worker.outbox.places import Places
from worker.queue.app import connect, make_app
from worker.queue.health import REPLACE_ME, HealthFile, resident_bytes
from worker.queue.leases import Leases
from worker.queue.roster import BEAT_SECONDS, WorkerBeat, leave, worker_name
from worker.settings import Settings

log = logging.getLogger(__name__)


def run_worker(settings: Settings, broker_url: str) -> int:
    """Serves the queue until told to stop; returns the exit code, which is 75 if a fresh worker
    should take the place of this one.

    Raises :class:`CycloramaError` when it cannot start.
    """
    keep_memory()
    Places(settings.inbox, settings.outbox).check()
    load_preset(settings.preset, folders=[settings.presets])
    redis = connect(broker_url)
    line, slot, batcher = make_line(settings, redis)
    file = HealthFile(settings.state, worker_name())
    pulse = Pulse(
        redis, line, lambda: _sign(line, slot, batcher), file=file, limits=_limits(settings)
    )
    worn = threading.Event()
    try:
        with _metrics(settings, line, slot, batcher, pulse), _beside(settings, slot, pulse, worn):
            current = slot.current
            version = current.card.version
            log.info("worker %s: %s, checkpoint %s", worker_name(), current.place, version)
            return serve(
                make_app(broker_url),
                line,
                jobs=settings.jobs,
                name=worker_name(),
                code=lambda: REPLACE_ME if worn.is_set() else 0,
            )
    finally:
        batcher.close()
        file.remove()
        with contextlib.suppress(RedisError):
            leave(redis, worker_name())


@contextlib.contextmanager
def _beside(
    settings: Settings, slot: ModelSlot, pulse: Pulse, worn: threading.Event
) -> Iterator[None]:
    """What goes on beside the line while the block runs: its pulse, and the look for a new
    champion."""
    stop = threading.Event()
    beats = threading.Thread(target=_beat, args=(pulse.tick, stop, worn), daemon=True)
    every_seconds = settings.model_check_seconds
    follow = threading.Thread(
        target=slot.follow, args=(stop,), kwargs={"every_seconds": every_seconds}
    )
    for thread in (beats, follow):
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in (beats, follow):
            thread.join()


def _metrics(
    settings: Settings, line: Line, slot: ModelSlot, batcher: Batcher, pulse: Pulse
) -> contextlib.AbstractContextManager[None]:
    """Figures and health over HTTP, if the settings name a port."""
    metrics = LineMetrics()
    metrics.registry.register(LineState(line, slot, batcher))
    line.listeners.append(metrics)
    return serving(
        settings.metrics_host,
        settings.metrics_port,
        registry=metrics.registry,
        complaint=pulse.complaint,
    )


def make_line(settings: Settings, redis: Redis) -> tuple[Line, ModelSlot, Batcher]:
    """The line with the champion on the chosen device; raises :class:`ModelError`."""
    slot = load_slot(settings)
    device = slot.current.device
    share_cores(device)
    shape = line_shape(settings, device, cores=usable_cores())
    batcher = Batcher(size=shape.batch, lanes=shape.lanes, is_lost=lambda: is_lost(device))
    line = Line(
        Places(settings.inbox, settings.outbox),
        Leases(redis, seconds=settings.lease_seconds),
        slot,
        batcher,
        LineOptions(
            preset=settings.preset,
            presets=settings.presets,
            corrections=settings.corrections_folder,
            frames_per_job=shape.frames_per_job(settings.jobs),
            at_work=shape.at_work,
            max_pixels=int(settings.max_megapixels * 1e6),
            worker=worker_name(),
            frame_seconds=settings.frame_seconds,
            reads=min(LineOptions.reads, settings.max_attempts),
        ),
    )
    return line, slot, batcher


def load_slot(settings: Settings) -> ModelSlot:
    """The champion on the chosen device; raises :class:`ModelError` with the cure."""
    store = ModelStore(settings.model_store)
    return ModelSlot(store, load_device(settings), settings.runtime)


def load_device(settings: Settings) -> torch.device:
    """The device of the settings; raises :class:`ModelError` when it is not there, or not the
    runtime that is to use it."""
    try:
        return choose_device(settings.device, settings.runtime)
    except DeviceError as error:
        raise ModelError(str(error)) from error


def _limits(settings: Settings) -> Limits:
    limits = Limits(settings.jobs, settings.frame_seconds, settings.memory_mb << 20)
    if limits.memory_bytes and (held := resident_bytes()) > limits.memory_bytes:
        raise SettingsError(
            f"memory_mb (CYCLORAMA_MEMORY_MB) is {settings.memory_mb}, and the program holds "
            f"{held >> 20} MB before its first photo",
            cure=f"Set it to {2 * (held >> 20)} at least, or to 0 for no limit",
        )
    return limits


def _sign(line: Line, slot: ModelSlot, batcher: Batcher) -> WorkerBeat:
    return WorkerBeat(
        name=worker_name(),
        device=slot.current.place,
        checkpoint=slot.current.card.version,
        frames=line.frames,
        last_frame_at=line.last_frame_at,
        shoots=sorted(line.shoots),
        batches={str(size): count for size, count in sorted(batcher.sizes.items())},
        shared_batches=batcher.shared,
    )


def _beat(
    tick: Callable[[float], Ending | None], stop: threading.Event, worn: threading.Event
) -> None:
    """Ticks until ``stop`` is set. A worker that has to be replaced sets ``worn`` and ends, once
    what it has in work is given back; or on the spot, if that can never be."""
    last = time.monotonic()
    while True:
        now = time.monotonic()
        # A process that was frozen, or had no processor, has not worked in that time either.
        try:
            ending = tick(min(now - last, 2 * BEAT_SECONDS))
        except Exception:  # without these signs of life nobody would look after this worker
            log.exception("this worker could not be looked after, and is again in a moment")
            ending = None
        last = now
        if ending and ending.at_once:
            log.critical("this worker ends, to be replaced: %s", ending.reason)
            os._exit(REPLACE_ME)
        if ending and not worn.is_set():
            log.error("this worker finishes and ends, to be replaced: %s", ending.reason)
            worn.set()
            os.kill(os.getpid(), signal.SIGTERM)
        if stop.wait(BEAT_SECONDS):
            return
