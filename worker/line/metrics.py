"""A worker's figures for Prometheus."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, get_args

import torch
from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from unet_core.images.errors import CODES
from worker.metrics import new_registry
from worker.outbox import quality, turn
from worker.outbox.manifest import FrameRow, Manifest, Status

if TYPE_CHECKING:
    from worker.line.batcher import Batcher
    from worker.line.model_slot import ModelSlot
    from worker.line.pipeline import Line

OUTCOMES = ("made", "internal", "crashed", "mask-size", *CODES)
"""Of a frame."""
FLAGS = (*quality.CODES, *get_args(turn.Code))
"""On a frame."""
_STAGE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class LineMetrics:
    """Counts what the line makes; a :class:`~worker.line.pipeline.Listener`."""

    def __init__(self) -> None:
        self.registry = registry = new_registry("worker")
        self._frames = Counter(
            "cyclorama_frames",
            "Frames finished, by outcome: made, or the code of the error",
            ["outcome"],
            registry=registry,
        )
        self._shoots = Counter(
            "cyclorama_shoots", "Shoots finished, by status", ["status"], registry=registry
        )
        self._flags = Counter(
            "cyclorama_flags", "Flags set on frames, by code", ["flag"], registry=registry
        )
        for counter, values in (
            (self._frames, OUTCOMES),
            (self._shoots, get_args(Status)),
            (self._flags, FLAGS),
        ):
            for value in values:
                counter.labels(value)  # at 0: what is not there before it happens has no rate
        self._stages = Histogram(
            "cyclorama_stage_seconds",
            "Seconds that a stage took for one frame; network includes the wait for a batch",
            ["stage"],
            buckets=_STAGE_BUCKETS,
            registry=registry,
        )

    def on_frame(self, row: FrameRow) -> None:
        """Counts a frame that is finished, well or not."""
        self._frames.labels(row.error.code if row.error else "made").inc()

    def on_shoot(self, manifest: Manifest, made: Collection[str]) -> None:
        """Counts a published shoot, and flags and seconds of the frames ``made`` for it."""
        self._shoots.labels(manifest.status).inc()
        for row in manifest.frames:
            if row.name not in made:
                continue
            for stage, seconds in row.seconds.items():
                self._stages.labels(stage).observe(seconds)
            for flag in row.flags:
                self._flags.labels(flag.code).inc()


class LineState(Collector):
    """How a worker stands at the moment when it is asked."""

    def __init__(self, line: Line, slot: ModelSlot, batcher: Batcher) -> None:
        self._line, self._slot, self._batcher = line, slot, batcher

    def collect(self) -> Iterator[Metric]:
        """Prometheus' own hook."""
        yield GaugeMetricFamily(
            "cyclorama_shoots_in_work", "Shoots in work", value=len(self._line.shoots)
        )
        if self._line.last_frame_at:
            yield GaugeMetricFamily(
                "cyclorama_last_frame_timestamp_seconds",
                "When the last frame was finished; not there before the first",
                value=self._line.last_frame_at,
            )
        batches = CounterMetricFamily(
            "cyclorama_batches", "Batches through the network, by size", labels=["size"]
        )
        for size, count in sorted(self._batcher.sizes.copy().items()):
            batches.add_metric([str(size)], count)
        yield batches
        yield self._checkpoint()
        if self._slot.current.device.type == "cuda":
            with contextlib.suppress(RuntimeError):  # the device is lost
                yield self._memory()

    def _checkpoint(self) -> Metric:
        current = self._slot.current
        info = GaugeMetricFamily(
            "cyclorama_checkpoint_info",
            "The checkpoint for shoots that begin now",
            labels=["version", "sha256", "device"],
        )
        info.add_metric([current.card.version, current.card.sha256 or "", current.place], 1)
        return info

    def _memory(self) -> Metric:
        device = self._slot.current.device
        free, total = torch.cuda.mem_get_info(device)
        memory = GaugeMetricFamily(
            "cyclorama_device_memory_bytes",
            "Memory of the GPU: used by all processes, held by this one, and in total",
            labels=["kind"],
        )
        memory.add_metric(["used"], total - free)
        memory.add_metric(["held"], torch.cuda.memory_reserved(device))
        memory.add_metric(["total"], total)
        return memory
