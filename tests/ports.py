"""A port of this machine that nobody listens on."""

from __future__ import annotations

import socket


def free_port(count: int = 1) -> int:
    """The first of ``count`` free ports in a row."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                for more in range(1, count):
                    with socket.socket() as other:
                        other.bind(("127.0.0.1", port + more))
            except (OSError, OverflowError):
                continue
            return port
