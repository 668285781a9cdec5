"""A worker as a whole: model, batcher, line and signs of life around Celery."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import AbstractContextManager

import torch
from redis import Redis
from redis.exceptions import RedisError

from unet_core.cores import usable_cores
from unet_core.segment import DeviceError, choose_device
from unet_core.store import ModelStore
from worker.errors import ModelError
from worker.finish.presets import load_preset
from worker.line.batcher import Batcher
from worker.line.memory import keep_memory
from worker.line.metrics import LineMetrics, LineState
from worker.line.model_slot import ModelSlot
from worker.line.pipeline import Line, LineOptions
from worker.line.pulse import Pulse
from worker.line.shape import line_shape, share_cores
from worker.line.tasks import serve
from worker.metrics import serving
from worker.outbox.places import Places
from worker.queue.app import QUEUE, connect, make_app
from worker.queue.leases import Leases
from worker.queue.roster import BEAT_SECONDS, WorkerBeat, beat, leave, worker_name
from worker.settings import Settings

log = logging.getLogger(__name__)


def run_worker(settings: Settings, broker_url: str) -> int:
    """Serves the queue until told to stop; returns the exit code.

    Raises :class:`CycloramaError` when it cannot start.
    """
    keep_memory()
    Places(settings.inbox, settings.outbox).check()
    load_preset(settings.preset, folders=[settings.presets])
    redis = connect(broker_url)
    line, slot, batcher = make_line(settings, redis)
    with _metrics(settings, redis, line, slot, batcher):  # before any thread is started
        stop = threading.Event()
        signs = threading.Thread(target=_beat, args=(redis, line, slot, batcher, stop), daemon=True)
        signs.start()
        follow = threading.Thread(
            target=slot.follow, args=(stop,), kwargs={"every_seconds": settings.model_check_seconds}
        )
        follow.start()
        current = slot.current
        version = current.card.version
        log.info("worker %s: %s, checkpoint %s", worker_name(), current.device, version)
        try:
            return serve(make_app(broker_url), line, jobs=settings.jobs, name=worker_name())
        finally:
            stop.set()
            follow.join()
            signs.join()
            batcher.close()


def make_line(settings: Settings, redis: Redis) -> tuple[Line, ModelSlot, Batcher]:
    """The line with the champion on the chosen device; raises :class:`ModelError`."""
    slot = load_slot(settings)
    device = slot.current.device
    share_cores(device)
    shape = line_shape(settings, device, cores=usable_cores())
    batcher = Batcher(size=shape.batch, lanes=shape.lanes)
    line = Line(
        Places(settings.inbox, settings.outbox),
        Leases(redis, seconds=settings.lease_seconds),
        slot,
        batcher,
        LineOptions(
            preset=settings.preset,
            presets=settings.presets,
            frames_per_job=max(1, shape.in_flight // settings.jobs),
            max_pixels=int(settings.max_megapixels * 1e6),
            worker=worker_name(),
        ),
    )
    return line, slot, batcher


def load_slot(settings: Settings) -> ModelSlot:
    """The champion on the chosen device; raises :class:`ModelError` with the cure."""
    return ModelSlot(ModelStore(settings.model_store), load_device(settings))


def load_device(settings: Settings) -> torch.device:
    """The device of the settings; raises :class:`ModelError` when it is not there."""
    try:
        return choose_device(settings.device)
    except DeviceError as error:
        raise ModelError(str(error)) from error


def _metrics(
    settings: Settings, redis: Redis, line: Line, slot: ModelSlot, batcher: Batcher
) -> AbstractContextManager[None]:
    """Figures and health over HTTP, if the settings name a port."""
    metrics = LineMetrics()
    metrics.registry.register(LineState(line, slot, batcher))
    line.listeners.append(metrics)
    pulse = Pulse(time.time())

    def complaint() -> str:
        try:
            has_work = bool(line.shoots) or bool(redis.llen(QUEUE))
        except RedisError:
            return ""  # a worker that starts again reaches Redis no better
        return pulse.complaint(
            has_work=has_work, last_frame_at=line.last_frame_at, clock=time.time()
        )

    return serving(
        settings.metrics_host,
        settings.metrics_port,
        registry=metrics.registry,
        complaint=complaint,
    )


def _beat(
    redis: Redis, line: Line, slot: ModelSlot, batcher: Batcher, stop: threading.Event
) -> None:
    while True:
        sign = WorkerBeat(
            name=worker_name(),
            device=str(slot.current.device),
            checkpoint=slot.current.card.version,
            frames=line.frames,
            last_frame_at=line.last_frame_at,
            shoots=sorted(line.shoots),
            batches={str(size): count for size, count in sorted(batcher.sizes.items())},
            shared_batches=len(line.shared_batches),
        )
        try:
            beat(redis, sign)
            if stop.wait(BEAT_SECONDS):
                leave(redis, sign.name)
                return
        except RedisError as error:
            log.warning("no sign of life could be left: %s", error)
            if stop.wait(BEAT_SECONDS):
                return
