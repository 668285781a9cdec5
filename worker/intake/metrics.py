"""The watcher's figures for Prometheus, and whether it still looks."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import Redis
from redis.exceptions import RedisError

from worker.booth.finding import KINDS
from worker.booth.history import BoothHistory
from worker.errors import FolderError
from worker.intake.inbox import View
from worker.intake.plan import Stage
from worker.metrics import new_registry
from worker.night.record import OUTCOMES, read_record
from worker.outbox.places import Places
from worker.queue.app import QUEUE
from worker.queue.roster import workers

PATIENCE_SECONDS = 300.0
"""A look at a large inbox on a slow share is given so long."""
BOOTH_SECONDS = 60.0
"""Between two looks at the booth; more where one takes long: all of the outbox is listed, which
takes a while on a slow share, and nothing is queued meanwhile."""
BOOTH_SHARE = 0.02
"""Of the watcher's time, at most."""


class WatcherMetrics(Collector):
    """What the last look found, and how queue and workers stand when it is asked."""

    def __init__(
        self,
        places: Places,
        redis: Redis,
        booth: BoothHistory,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.registry = new_registry("watcher")
        self.registry.register(self)
        self._held, self._redis, self._clock = places.outbox / ".held", redis, clock
        self._view = View()
        self._began, self._took = clock(), 0.0
        self._ready_since: dict[str, float] = {}
        self._booth, self._changed = booth, set[str]()
        self._booth_at, self._booth_every = -BOOTH_SECONDS, BOOTH_SECONDS

    def around(self, tick: Callable[[], View]) -> Callable[[], View]:
        """``tick``, noted each time it is called."""

        def noted() -> View:
            self._began = self._clock()
            view = tick()
            self._took = self._clock() - self._began
            self._look_at_booth()
            self._view = view
            self._ready_since = {
                decision.shoot.name: self._ready_since.get(decision.shoot.name, self._began)
                for decision in view.open
                if decision.stage == Stage.READY and decision.shoot.name not in view.given_up
            }
            return view

        return noted

    def complaint(self) -> str:
        """What is wrong with the watcher, or nothing. A look that fails is none of its faults: the
        folder or Redis is away, and the next look is tried."""
        silent_seconds = self._clock() - self._began
        if silent_seconds <= PATIENCE_SECONDS:
            return ""
        return (
            f"The inbox was not looked at for {silent_seconds:.0f} s. "
            "See whether its file system answers, and start the watcher again"
        )

    def collect(self) -> Iterator[Metric]:
        """Prometheus' own hook."""
        yield from self._inbox()
        yield from self._queue()
        yield self._booth_changes()
        yield _gauge(
            "cyclorama_last_look_timestamp_seconds", "When the last look began", self._began
        )
        yield _gauge("cyclorama_look_seconds", "How long the last look took", self._took)

    def _inbox(self) -> Iterator[Metric]:
        view, since = self._view, self._ready_since
        shoots: Counter[Stage] = Counter()
        frames: Counter[Stage] = Counter()
        for decision in view.decisions.values():
            shoots[decision.stage] += 1
            frames[decision.stage] += len(decision.shoot.frames)
        for name, what, counts in (
            ("cyclorama_inbox_shoots", "Shoots in the inbox", shoots),
            ("cyclorama_inbox_frames", "Frames of the shoots in the inbox", frames),
        ):
            gauge = GaugeMetricFamily(
                name, f"{what}; ready: to be made or in work", labels=["stage"]
            )
            for stage in Stage:
                gauge.add_metric([stage.value], counts[stage])
            yield gauge
        oldest = self._clock() - min(since.values()) if since else 0.0
        yield _gauge(
            "cyclorama_oldest_shoot_seconds",
            "How long the oldest shoot that is not done has been ready, as far as this watcher saw",
            oldest,
        )
        yield _gauge("cyclorama_held_shoots", "Shoots held for a person", _count(self._held))
        yield _gauge("cyclorama_given_up_shoots", "Shoots not tried any more", len(view.given_up))
        yield _gauge("cyclorama_problems", "Sentences in `cyclorama status`", len(view.problems))

    def _look_at_booth(self) -> None:
        now = self._clock()
        if abs(now - self._booth_at) >= self._booth_every:
            with contextlib.suppress(FolderError):  # the tick says that the outbox is away
                self._changed = {finding.kind for finding in self._booth.tell().findings}
            self._booth_at = self._clock()
            self._booth_every = max(BOOTH_SECONDS, (self._booth_at - now) / BOOTH_SHARE)

    def _booth_changes(self) -> Metric:
        gauge = GaugeMetricFamily(
            "cyclorama_booth_changed", "Whether the booth is no longer as it was", labels=["kind"]
        )
        for kind in KINDS:
            gauge.add_metric([kind], kind in self._changed)
        return gauge

    def _queue(self) -> Iterator[Metric]:
        try:
            length, crew = int(self._redis.llen(QUEUE)), len(workers(self._redis))
        except RedisError:
            yield _gauge("cyclorama_redis_up", "Whether Redis answers", 0)
            return
        yield _gauge("cyclorama_redis_up", "Whether Redis answers", 1)
        yield _gauge("cyclorama_queue_shoots", "Shoots that no worker has taken yet", length)
        yield _gauge("cyclorama_workers", "Workers that gave a sign of life lately", crew)


class NightMetrics(Collector):
    """The record for Prometheus; nothing before the first night."""

    def __init__(self, store: Path) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Prometheus' own hook."""
        record = read_record(self._store)
        if record is None:
            return
        yield GaugeMetricFamily(
            "cyclorama_night_timestamp_seconds", "When the last night ended", value=record.at
        )
        yield GaugeMetricFamily(
            "cyclorama_night_seconds", "How long the last night took", value=record.seconds
        )
        yield GaugeMetricFamily(
            "cyclorama_night_failures", "Nights in a row that failed", value=record.failures
        )
        outcome = GaugeMetricFamily(
            "cyclorama_night_outcome", "1 for how the last night ended", labels=["outcome"]
        )
        for name in OUTCOMES:
            outcome.add_metric([name], record.outcome == name)
        yield outcome
        dice = GaugeMetricFamily(
            "cyclorama_night_dice", "Mean Dice on the holdout in the last night", labels=["network"]
        )
        for name, value in record.dice.items():
            dice.add_metric([name], value)
        yield dice


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)


def _count(folder: Path) -> int:
    try:
        return sum(1 for each in folder.iterdir() if not each.name.startswith("."))
    except OSError:
        return 0
