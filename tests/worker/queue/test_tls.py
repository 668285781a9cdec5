"""A Redis that is reached through TLS: watcher, workers and Celery take the same address."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis

from worker.errors import BrokerError
from worker.queue.app import JobQueue, connect
from worker.queue.broker import EmbeddedRedis
from worker.queue.messages import JobMessage
from worker.shoots import Source, group

SHOOT = group([Source("car/01.jpg", 10, 5)])[0]


class Front:
    """Takes TLS connections on a port and hands their bytes to a Redis."""

    def __init__(self, redis: EmbeddedRedis, certificate: Path, key: Path) -> None:
        self._redis = redis
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(plain,), daemon=True).start()

    def _join(self, plain: socket.socket) -> None:
        with suppress(OSError), plain, socket.socket(socket.AF_UNIX) as inner:
            inner.connect(str(self._redis.socket))
            with self._context.wrap_socket(plain, server_side=True) as outer:
                back = threading.Thread(target=_pump, args=(inner, outer), daemon=True)
                back.start()
                _pump(outer, inner)
                back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of its own for ``localhost``; its key lies beside it."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "ca.pem")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return tmp_path / "ca.pem"


@pytest.fixture
def front(redis_server: EmbeddedRedis, certificate: Path) -> Iterator[Front]:
    front = Front(redis_server, certificate, certificate.parent / "key.pem")
    yield front
    front.close()


def test_jobs_go_over_tls_with_an_address_alone(
    front: Front, certificate: Path, redis: Redis
) -> None:
    url = f"rediss://localhost:{front.port}/0?ssl_cert_reqs=required&ssl_ca_certs={certificate}"
    with connect(url) as client:
        JobQueue(url, client).send(JobMessage.of(SHOOT), at=0.0)
        assert JobQueue(url, client).length() == 1
    assert redis.llen("shoots") == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(front: Front) -> None:
    url = f"rediss://localhost:{front.port}/0?ssl_cert_reqs=required"
    with pytest.raises(BrokerError, match=r"localhost.*(?i:certificate)"):
        connect(url)
