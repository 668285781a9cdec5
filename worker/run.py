"""All in one: Redis, worker and watcher, started together and stopped together.

The worker is a process of its own, so that one that dies is replaced and the watcher, which
needs no torch, shows progress from the first second.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from redis.exceptions import RedisError

from worker.booth.history import BoothHistory
from worker.corrections.drops import prepare_folder
from worker.courier.rounds import bring, deliver
from worker.courier.word import buckets, expect, heard
from worker.crew import Crew, WorkerRefused
from worker.intake.corrected import CorrectionsView
from worker.intake.inbox import Inbox, View
from worker.intake.metrics import NightMetrics, WatcherMetrics
from worker.intake.plan import Rules
from worker.intake.watcher import Watcher, watch
from worker.metrics import serving
from worker.outbox.places import Places
from worker.progress import ProgressView, Reporter
from worker.queue.app import JobQueue, connect
from worker.queue.broker import EmbeddedRedis, only_one
from worker.queue.leases import Leases
from worker.queue.roster import leave, worker_name
from worker.settings import Settings
from worker.webhook.herald import telling
from worker.webhook.metrics import HeraldMetrics

log = logging.getLogger(__name__)


def make_watcher(
    settings: Settings, broker_url: str, *, once: bool = False
) -> tuple[Watcher, Inbox]:
    """The watcher of the settings' inbox, on a broker that answers."""
    places = Places(settings.inbox, settings.outbox)
    places.check()
    prepare_folder(settings.corrections_folder, places)
    rules = Rules(
        settings.settle_seconds, settings.quiet_seconds, once, max_frames=settings.max_frames
    )
    inbox = Inbox(
        places,
        preset=settings.preset,
        presets=settings.presets,
        rules=rules,
        corrections=CorrectionsView(settings.corrections_folder, rules),
    )
    redis = connect(broker_url)
    leases = Leases(redis, seconds=settings.lease_seconds)
    queue = JobQueue(broker_url, redis)
    return Watcher(inbox, leases, queue, max_attempts=settings.max_attempts, once=once), inbox


def observed(settings: Settings) -> list[Path]:
    """The folders beside the inbox in which file events matter, as far as they are there."""
    return [folder for folder in (settings.corrections_folder,) if folder.is_dir()]


def make_metrics(settings: Settings, broker_url: str) -> WatcherMetrics:
    """The figures of a watcher on the settings' folders, and of the nights."""
    booth = BoothHistory(settings.outbox)
    metrics = WatcherMetrics(Places(settings.inbox, settings.outbox), connect(broker_url), booth)
    metrics.registry.register(NightMetrics(settings.model_store))
    return metrics


@contextmanager
def beside_the_watcher(
    settings: Settings, metrics: WatcherMetrics, *, last_word: bool = False
) -> Iterator[None]:
    """Figures and health of the watcher over HTTP, if the settings name a port, and the webhook,
    whose figures are among them."""
    with (
        telling(settings, last_word=last_word) as herald,
        serving(
            settings.metrics_host,
            settings.metrics_port,
            registry=metrics.registry,
            complaint=metrics.complaint,
        ),
    ):
        if herald:
            metrics.registry.register(HeraldMetrics(herald))
        yield


def run_all(settings: Settings, *, once: bool, workers: int, reporter: Reporter) -> int:
    """Runs everything until SIGINT or SIGTERM, or with ``once`` until the inbox is done.

    Returns 0 when all is well, 1 when ``once`` found something that has failed, or was stopped
    before all was done.
    Raises :class:`CycloramaError` when it cannot start with these settings.
    """
    Places(settings.inbox, settings.outbox).check()
    if settings.retrain_cron and not once:
        from worker.queue.nights import parse_cron  # loads Celery

        parse_cron(settings.retrain_cron)
    stuck = bring(settings) if once else {}
    with broker(settings) as (url, mend):
        watcher, inbox = make_watcher(settings, url, once=once)
        redis = connect(url)
        leases = Leases(redis, seconds=settings.lease_seconds)
        crew = Crew(url, settings, count=workers)
        metrics = make_metrics(settings, url)
        schedule = Crew(url, settings, count=1, command="schedule", gives_up=False)
        couriers = 1 if buckets(settings) and not once else 0
        courier = Crew(url, settings, count=couriers, command="courier")
        stop = stop_on_signals()
        view, refused = View(), ""

        def tick() -> View:
            nonlocal view, refused
            try:
                for pid in [*crew.tend(), *courier.tend()]:
                    with contextlib.suppress(RedisError):
                        leave(redis, worker_name(pid))
            except WorkerRefused as error:
                refused = str(error)
                stop.set()
            try:
                view = watcher.tick(time.monotonic(), time.time())
            except RedisError:
                mend()
                raise
            view.problems |= stuck if once else heard(settings)
            if view.open or not once:
                crew.start()
            if settings.retrain_cron and not once:
                schedule.start()
                schedule.tend()
            if once and all(d.shoot.name in view.given_up for d in view.open):
                stop.set()
            return view

        show = threading.Thread(
            target=_show, args=(ProgressView(inbox, leases), lambda: view, reporter, stop)
        )
        try:
            if couriers:
                expect(settings)
            courier.start()
            show.start()
            with beside_the_watcher(settings, metrics, last_word=once):
                watch(
                    metrics.around(tick),
                    settings.inbox,
                    stop,
                    rescan_seconds=settings.rescan_seconds,
                    polling=settings.polling,
                    also=observed(settings),
                )
        finally:
            stop.set()
            schedule.stop()
            crew.stop()
            courier.stop()
            if show.ident:
                show.join()
        if refused:
            raise WorkerRefused(refused)
        view.problems |= deliver(settings) if once else {}
        tally = ProgressView(inbox, leases).tally(view)
        reporter.finish(tally, view)
        return 1 if once and (tally.failed or view.problems or tally.done < tally.frames) else 0


def _show(
    progress: ProgressView, view: Callable[[], View], reporter: Reporter, stop: threading.Event
) -> None:
    while not stop.wait(0.5):
        try:
            reporter.show(progress.tally(view()), view())
        except RedisError as error:
            log.warning("no progress to show: %s", error)


@contextmanager
def broker(settings: Settings) -> Iterator[tuple[str, Callable[[], None]]]:
    """URL of the broker, and what brings it back: the shared one of the settings, whose
    operator does that, or one of our own that lives as long as this."""
    if settings.broker_url:
        yield settings.broker_url, lambda: None
        return
    with only_one(settings.state):
        redis = EmbeddedRedis(settings.state)
        redis.start()
        try:
            yield redis.url, redis.start
        finally:
            redis.stop()


def stop_on_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def watch_only(settings: Settings) -> None:
    """The watcher alone, on a shared broker, until it is told to stop."""
    watcher, _ = make_watcher(settings, settings.broker_url)
    metrics = make_metrics(settings, settings.broker_url)

    def tick() -> View:
        view = watcher.tick(time.monotonic(), time.time())
        view.problems |= heard(settings)
        return view

    with beside_the_watcher(settings, metrics):
        watch(
            metrics.around(tick),
            settings.inbox,
            stop_on_signals(),
            rescan_seconds=settings.rescan_seconds,
            polling=settings.polling,
            also=observed(settings),
        )
