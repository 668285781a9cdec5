"""A channel to Redis that outlives what does not belong in the queue.

Kombu lets an item that is no message of its own end the whole worker, and everything that it has
in work.
"""

from __future__ import annotations

import logging
from typing import Any

from kombu.transport.redis import Channel, Transport
from redis.exceptions import DataError

log = logging.getLogger(__name__)

NO_MESSAGE = ValueError, KeyError, TypeError, AttributeError, RecursionError, DataError
"""What Kombu raises of an item that it cannot read, or cannot note as in work."""


class TolerantChannel(Channel):
    """Drops what is no message; it has been taken from the queue by then."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]  # unknown to its stubs
        except NO_MESSAGE as error:
            log.error("something that is no message lay in the queue and was dropped: %r", error)
            return True


def tolerate_garbage() -> None:
    """From now on this process's channels are of this kind."""
    Transport.Channel = TolerantChannel
