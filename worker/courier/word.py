"""What the courier says of itself, for `cyclorama status` and the watcher to tell. Needs nothing of
the buckets, so that whoever asks need not wait for them."""

from __future__ import annotations

import time
from pathlib import Path

from worker.courier.records import Records
from worker.errors import FolderError
from worker.settings import Settings

FOLDER = ".courier"
"""The courier's folder in the outbox."""
SILENT_SECONDS = 30.0
"""A courier that runs says something every few seconds, whatever its buckets do."""


def buckets(settings: Settings) -> dict[str, str]:
    """The buckets of the settings: inbox, outbox, corrections."""
    named = {
        "inbox": settings.inbox_bucket,
        "outbox": settings.outbox_bucket,
        "corrections": settings.corrections_bucket,
    }
    return {name: url for name, url in named.items() if url}


def prepare_copies(settings: Settings) -> None:
    """Creates the folder that a bucket's inbox is copied into, as whoever watches it expects.

    Raises :class:`FolderError`.
    """
    if not settings.inbox_bucket:
        return
    try:
        settings.inbox.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(
            f"the copy {settings.inbox} of {settings.inbox_bucket} cannot be created "
            f"({error.strerror})",
            cure="Set CYCLORAMA_INBOX (or CYCLORAMA_STATE, if that is not set) to a folder that "
            "can be written",
        ) from error


def say(outbox: Path, route: str, problems: dict[str, str]) -> None:
    """Leaves word of a route: what is wrong on it now, by path or URL."""
    Records(outbox / FOLDER / "word").write(route, {"at": time.time(), "problems": problems})


def expect(settings: Settings) -> None:
    """A courier is about to start: until it has had time to say something, all is well."""
    for route in buckets(settings):
        say(settings.outbox, route, {})


def heard(settings: Settings) -> dict[str, str]:
    """What a person should know, by path or URL; empty when all is carried as it should."""
    found: dict[str, str] = {}
    word = Records(settings.outbox / FOLDER / "word")
    for route, url in buckets(settings).items():
        note = word.of(route)
        silent = time.time() - float(note.get("at", 0.0))
        if abs(silent) > SILENT_SECONDS:
            found[url] = (
                "nobody carries files between it and this machine; see that `cyclorama run` or "
                "`cyclorama courier` runs"
            )
        found |= {str(path): str(why) for path, why in note.get("problems", {}).items()}
    return found
