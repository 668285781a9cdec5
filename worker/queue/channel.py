"""A channel to Redis that outlives what does not belong in the queue.

Kombu lets an item that is no message of its own end the whole worker, and everything that it has
in work.
"""

from __future__ import annotations

import logging
from typing import Any

from kombu.transport.redis import Channel, Transport

log = logging.getLogger(__name__)


class TolerantChannel(Channel):
    """Drops what is no message; it has been taken from the queue by then."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]  # unknown to its stubs
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.error("something that is no message lay in the queue and was dropped: %r", error)
            return True


def tolerate_garbage() -> None:
    """From now on this process's channels are of this kind."""
    Transport.Channel = TolerantChannel
