"""Log lines on standard error: for a person, or as JSON for a collector."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

_ABOUT: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039


@contextmanager
def about(**names: str) -> Iterator[None]:
    """Log lines of this thread are about these while the block runs: ``shoot``, ``frame``,
    ``job``. Programs find them as fields of their own in each JSON line."""
    token = _ABOUT.set(_ABOUT.get() | names)
    try:
        yield
    finally:
        _ABOUT.reset(token)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "thread": record.threadName,
            "message": record.getMessage(),
        } | _ABOUT.get()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logging(*, form: Literal["text", "json"], level: int) -> None:
    """Sends everything from ``level`` on to standard error."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else text)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("celery", "kombu", "PIL", "aiobotocore", "botocore", "fsspec", "s3fs"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
    # It calls it an error when a watch ends while an event is on its way.
    logging.getLogger("watchdog").setLevel(logging.CRITICAL)
