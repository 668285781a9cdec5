"""Real parts that many tests share: a Redis server, folders of a studio, a tiny checkpoint."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from tests.buckets import Proxy, Shop, open_shop, serving_buckets
from tests.parts import tiny_models
from worker.outbox.places import Places
from worker.queue.app import connect
from worker.queue.broker import EmbeddedRedis
from worker.queue.leases import Leases

if TYPE_CHECKING:
    from unet_core.store import ModelStore


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """A server in a folder whose path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="cy"))
    server = EmbeddedRedis(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def redis(redis_server: EmbeddedRedis) -> Iterator[Redis]:
    """A client of an empty Redis."""
    client = connect(redis_server.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def leases(redis: Redis) -> Leases:
    return Leases(redis, seconds=5)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """An empty inbox and an empty outbox."""
    (tmp_path / "inbox").mkdir()
    places = Places(tmp_path / "inbox", tmp_path / "outbox")
    places.check()
    return places


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[Proxy]:
    """An S3 server behind a proxy."""
    with serving_buckets() as proxy:
        yield proxy


@pytest.fixture
def shop(bucket_server: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """An empty bucket, which this process reaches through the proxy."""
    shop = open_shop(bucket_server, f"shop-{uuid.uuid4().hex[:8]}")
    for name, value in shop.environment.items():
        monkeypatch.setenv(name, value)
    yield shop
    shop.mend()


@pytest.fixture
def dated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files came when their date says: a test can set no other."""
    monkeypatch.setattr("worker.intake.scan.changed_at", lambda path: Path(path).stat().st_mtime)


@pytest.fixture
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and no setting in the environment."""
    for name in os.environ:
        if name.startswith("CYCLORAMA_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """A model store with the checkpoints ``first`` (the champion) and ``second``; only to read."""
    return tiny_models(tmp_path_factory.mktemp("models"))
