from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.errors import BrokerError, FolderError
from worker.queue.app import JobQueue, connect
from worker.queue.broker import MAX_SOCKET_PATH, EmbeddedRedis, only_one, socket_path
from worker.queue.messages import JobMessage


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder with a short path; what runs on it is stopped."""
    folder = Path(tempfile.mkdtemp(prefix="cy"))
    yield folder
    EmbeddedRedis(folder).stop()
    shutil.rmtree(folder)


def process_of(server: EmbeddedRedis) -> int:
    with connect(server.url) as client:
        return int(client.info("server")["process_id"])  # type: ignore[index]


def test_the_server_starts_listens_on_a_private_socket_only_and_stops(state: Path) -> None:
    server = EmbeddedRedis(state)
    server.start()
    with connect(server.url) as client:
        assert client.ping()
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700
    server.stop()
    with pytest.raises(BrokerError, match="cannot be reached"):
        connect(server.url)


def test_start_and_stop_take_no_time_that_a_person_would_notice(state: Path) -> None:
    server, began = EmbeddedRedis(state), time.monotonic()
    server.start()
    server.stop()
    assert time.monotonic() - began < 6


def test_a_second_start_adopts_the_server_that_runs(state: Path) -> None:
    first, second = EmbeddedRedis(state), EmbeddedRedis(state)
    first.start()
    before = process_of(first)
    second.start()
    assert process_of(second) == before
    second.stop()
    first.stop()


def test_what_was_queued_survives_a_stop_and_a_start(state: Path) -> None:
    server = EmbeddedRedis(state)
    server.start()
    with connect(server.url) as client:
        client.rpush("shoots", "a job")
    server.stop()
    server.start()
    with connect(server.url) as client:
        assert client.lrange("shoots", 0, -1) == [b"a job"]
    server.stop()


def test_what_was_queued_survives_the_death_of_the_server(state: Path) -> None:
    server = EmbeddedRedis(state)
    server.start()
    with connect(server.url) as client:
        client.rpush("shoots", "a job")
    os.kill(process_of(server), signal.SIGKILL)
    assert server._process
    server._process.wait(5)
    assert server.socket.exists(), "the dead server's socket is in the way, as it would be"
    server.start()
    with connect(server.url) as client:
        assert client.lrange("shoots", 0, -1) == [b"a job"]
    server.stop()


def test_a_long_state_path_has_a_short_private_socket(tmp_path: Path) -> None:
    state = tmp_path / ("long" * 30)
    server = EmbeddedRedis(state)
    assert len(os.fsencode(server.socket)) <= MAX_SOCKET_PATH
    server.start()
    try:
        assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
        with connect(server.url) as client:
            assert client.ping()
        assert (state / "redis" / "appendonlydir").exists() or list((state / "redis").glob("*.aof"))
    finally:
        server.stop()
        shutil.rmtree(server.socket.parent)


@pytest.mark.parametrize("trap", ["open", "link"])
def test_a_socket_folder_that_others_can_write_to_or_lead_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    server = EmbeddedRedis(tmp_path / ("long" * 30))
    folder = server.socket.parent
    if trap == "open":
        folder.mkdir()
        folder.chmod(0o770)
    else:
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FolderError, match="belongs to another user or can be written"):
        server.start()
    assert server._process is None


def test_a_server_that_runs_and_does_not_answer_is_ended_before_another_starts(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = EmbeddedRedis(state)
    server.start()
    before, answers = process_of(server), server._answers
    silent = iter([False])
    monkeypatch.setattr(server, "_answers", lambda: next(silent, True) and answers())
    server.start()
    assert process_of(server) != before
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)
    server.stop()


def test_two_long_state_paths_have_two_sockets(tmp_path: Path) -> None:
    a, b = (socket_path(tmp_path / ("long" * 30) / name) for name in "ab")
    assert a != b
    assert socket_path(tmp_path / ("long" * 30) / "a") == a


def test_a_server_that_cannot_start_says_why(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedRedis(state)
    command = [*server._command(), "--no-such-option", "1"]
    monkeypatch.setattr(server, "_command", lambda: command)
    with pytest.raises(BrokerError, match="did not start"):
        server.start()


def test_a_state_folder_that_cannot_be_made_is_an_error_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="CYCLORAMA_STATE"):
        EmbeddedRedis(tmp_path / "file").start()
    with pytest.raises(FolderError, match="CYCLORAMA_STATE"), only_one(tmp_path / "file"):
        pass


def test_a_second_process_on_a_state_folder_is_refused_with_the_first_ones_number(
    tmp_path: Path,
) -> None:
    code = (
        "import sys, pathlib\n"
        "from worker.queue.broker import only_one\n"
        "with only_one(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BrokerError, match=rf"process {holder.pid}\)"), only_one(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with only_one(tmp_path):
            assert (tmp_path / "run.lock").read_text() == str(os.getpid())


def test_a_folder_that_was_given_back_can_be_held_again(tmp_path: Path) -> None:
    for _ in range(2):
        with only_one(tmp_path / "state"):
            assert (tmp_path / "state" / "run.lock").is_file()


def test_a_state_folder_with_odd_letters_in_its_name_works(tmp_path: Path) -> None:
    redis = EmbeddedRedis(tmp_path / "Studio #1 50%41?")
    redis.start()
    try:
        client = connect(redis.url)
        JobQueue(redis.url, client).send(JobMessage(shoot="car", frames=()), at=0.0)
        assert client.llen("shoots") == 1
    finally:
        redis.stop()
