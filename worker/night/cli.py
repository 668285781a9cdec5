"""The command line of a night: ``python -m worker.night.cli``, or ``scripts/retrain.py``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from worker.errors import BrokerError, CycloramaError
from worker.logs import configure_logging
from worker.night.record import write_record
from worker.queue.app import JobQueue, connect
from worker.queue.broker import broker_of
from worker.queue.roster import workers
from worker.settings import Settings, read_settings

if TYPE_CHECKING:
    from worker.night.retrain import Night


def main(given: Sequence[str] | None = None) -> int:
    """Exit code 0: promoted, refused or nothing to do; 1: training failed; 2: wrong usage."""
    options = arguments(given)
    try:
        settings = read_settings(
            retrain_data=options.replay,
            retrain_minutes=options.minutes,
            retrain_corrections=options.at_least,
            device=options.device,
        )
        configure_logging(form=settings.log, level=logging.INFO)
        from worker.night.courtesy import Courtesy, lowest_priority
        from worker.night.material import NightOptions
        from worker.night.retrain import retrain

        lowest_priority()
        chosen = NightOptions(
            replay=options.pictures,
            booths=options.booths,
            steps=options.steps,
            batch=options.batch,
            crop=tuple(options.crop),
        )
        with recorded(settings.model_store) as record:
            night = retrain(settings, chosen, pause=Courtesy(shoots_wait(settings)))
            record(night)
    except CycloramaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        folder = str(night.folder) if night.folder else None
        print(json.dumps({"outcome": night.outcome, "reason": night.reason, "folder": folder}))
    else:
        print(f"{night.outcome}: {night.reason}")
        if night.folder:
            print(f"report: {night.folder / 'report.html'}")
    return 1 if night.outcome == "failed" else 0


@contextmanager
def recorded(store: Path) -> Iterator[Callable[[Night], None]]:
    """Leaves a record of the night in the model store; an error that comes out of the block is a
    failed night. One that found another at work leaves none."""
    began = time.monotonic()

    def record(night: Night) -> None:
        if night.outcome != "busy":
            seconds = time.monotonic() - began
            write_record(store, night.outcome, night.reason, seconds=seconds, dice=night.dice)

    try:
        yield record
    except Exception as error:
        seconds = time.monotonic() - began
        write_record(store, "failed", str(error), seconds=seconds, dice={})
        raise


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """The command line; what is not given is as the settings say."""
    parser = argparse.ArgumentParser(
        prog="retrain.py", description="One night's training on corrections."
    )
    add = parser.add_argument
    add("--replay", type=Path, metavar="DATA", help="labelled folder: holdout and old pictures")
    add("--minutes", type=float, help="of training; waiting for shoots does not count")
    add("--at-least", type=int, metavar="N", help="new corrections that are worth a night")
    add("--pictures", type=int, default=256, help="of DATA, to train on [default: 256]")
    add("--booths", type=int, default=4, help="rendered cars, to train on [default: 4]")
    add("--steps", type=int, help="instead of what fits into the minutes")
    add("--batch", type=int, default=4, help="[default: 4]")
    add("--crop", type=int, nargs=2, default=(384, 576), metavar=("H", "W"))
    add("--device", help="auto, cpu, cuda, cuda:N or mps")
    add("--json", action="store_true", help="print JSON for a program")
    return parser.parse_args(given)


def shoots_wait(settings: Settings) -> Callable[[], bool]:
    """What tells whether shoots are queued or in work; always no where no Redis answers."""
    url = broker_of(settings)
    try:
        redis = connect(url)
    except BrokerError:
        return lambda: False
    queue = JobQueue(url, redis)

    def wait() -> bool:
        try:
            return queue.length() > 0 or any(sign.shoots for sign in workers(redis))
        except RedisError:
            return False

    return wait


if __name__ == "__main__":
    sys.exit(main())
