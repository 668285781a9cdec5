"""The scheduler: one retraining a night, in a process of its own, however many schedulers run.

It looks at the clock and at the model store, and needs nothing else: a night that was due while no
scheduler ran is made up once, when one is back.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from worker.crew import environment
from worker.errors import FolderError, SettingsError
from worker.queue.nights import last_due, parse_cron
from worker.queue.roster import worker_name
from worker.run import stop_on_signals
from worker.settings import Settings

log = logging.getLogger(__name__)

RETRAIN = (sys.executable, "-m", "worker.night.cli")
STOP_SECONDS = 20.0
LOOK_SECONDS = 10.0
NIGHTS, A_NIGHT = ".nights", "????-??-??T????"
"""Where in the model store nights are claimed, and what the claims are called."""


def run_schedule(settings: Settings, broker_url: str) -> None:
    """Keeps the schedule of the settings until told to stop.

    Raises :class:`SettingsError` when there is none.
    """
    if not settings.retrain_cron:
        raise SettingsError(
            "there is no schedule to keep",
            cure='Set CYCLORAMA_RETRAIN_CRON: "30 3 * * *" is at 3:30 every night',
        )
    parse_cron(settings.retrain_cron)
    nights, stop = Nights(settings, broker_url), stop_on_signals()
    try:
        while not stop.is_set():
            nights.look(datetime.now().astimezone())
            stop.wait(LOOK_SECONDS)
    finally:
        nights.stop()


class Nights:
    """Begins nights, each once on one model store."""

    def __init__(
        self, settings: Settings, broker_url: str, *, command: Sequence[str] = RETRAIN
    ) -> None:
        self._settings, self._url, self._command = settings, broker_url, command
        self._process: subprocess.Popen[bytes] | None = None
        self._latest: datetime | None = None
        """The night that was due when this scheduler last had a say."""

    def look(self, now: datetime) -> bool:
        """Begins the night that was last due at ``now``, unless somebody has, or it was due before
        there was a schedule; says whether it did. What hinders it is logged, and tried again."""
        due = last_due(self._settings.retrain_cron, now)
        if due is None or due == self._latest:
            return False
        try:
            begun = self._begin(due)
        except (FolderError, OSError) as error:
            log.error("the night of %s cannot begin yet: %s", due, error)
            return False
        self._latest = due
        return begun

    def _begin(self, due: datetime) -> bool:
        path = self._settings.state / "retraining.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as handle:
            is_first = not any((self._settings.model_store / NIGHTS).glob(A_NIGHT))
            if not claim(self._settings.model_store, due):
                log.info("the night of %s is taken already", due)
                return False
            if is_first:
                log.info("the schedule begins with the night after that of %s", due)
                return False
            if self._process and self._process.poll() is None:
                log.warning("the retraining of an earlier night still runs; this one is left out")
                return False
            self._process = subprocess.Popen(
                self._command,
                env=os.environ | environment(self._settings, self._url),
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
            )
        log.info("the night of %s has begun; see %s", due, path)
        return True

    def stop(self) -> None:
        """Ends a retraining that runs: the next one goes on where it was."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()


def claim(store: Path, due: datetime) -> bool:
    """Takes the night that was due at a time for this process: true for one caller only, on
    whatever machine, as long as they share the model store."""
    folder = store / NIGHTS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{due:%Y-%m-%dT%H%M}").open("x") as handle:
            handle.write(f"{worker_name()}\n")
    except FileExistsError:
        return False
    except OSError as error:
        raise FolderError(
            f"the model store {store} cannot be written ({error.strerror})",
            cure="Give the program the right to write there, or set CYCLORAMA_MODELS",
        ) from error
    return True
