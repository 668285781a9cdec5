"""Figures for Prometheus, and whether a process is well, over HTTP.

/metrics   figures in Prometheus' text form
/health    200 ``well``, or 503 and a sentence: what is wrong, what to do
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Info, ProcessCollector, make_wsgi_app

from worker.errors import SettingsError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)


def new_registry(role: str) -> CollectorRegistry:
    """A registry that holds what every process tells: memory, processor time, version.

    ``role`` is ``watcher`` or ``worker``.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    info = Info("cyclorama_program", "The program that runs here", registry=registry)
    info.info({"version": version("cyclorama"), "role": role})
    return registry


@contextmanager
def serving(
    host: str, port: int, *, registry: CollectorRegistry, complaint: Callable[[], str]
) -> Iterator[None]:
    """Answers on ``host``:``port`` while the block runs; with port 0 does nothing.

    ``complaint`` says what is wrong with the process, or nothing. Raises :class:`SettingsError`
    when the port cannot be had.
    """
    if not port:
        yield
        return
    try:
        server = make_server(
            host,
            port,
            _application(registry, complaint),
            server_class=_Server,
            handler_class=_Handler,
        )
    except OSError as error:
        raise SettingsError(
            f"metrics cannot be served on {host}:{port} ({error.strerror or error})",
            cure="Set CYCLORAMA_METRICS_PORT to a free port, or to 0 for no metrics",
        ) from error
    thread = threading.Thread(target=server.serve_forever, args=(0.2,), name="metrics", daemon=True)
    thread.start()
    log.info("metrics on http://%s:%d/metrics", host, port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _application(
    registry: CollectorRegistry, complaint: Callable[[], str]
) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    metrics = make_wsgi_app(registry)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            found: Iterable[bytes] = metrics(environ, start_response)
            return found
        if path == "/health":
            wrong = complaint()
            status = "503 Service Unavailable" if wrong else "200 OK"
            text = wrong or "well"
        else:
            status, text = "404 Not Found", "There are /metrics and /health"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text}\n".encode()]

    return answer


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a request: a slow reader holds up nobody."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    """Says nothing of each request, and leaves a silent peer after a while."""

    timeout = 10

    def log_message(self, format: str, *args: object) -> None:
        """A scrape every few seconds is no news."""
