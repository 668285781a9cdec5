"""The worker processes of `cyclorama run`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker import crew as crew_module
from worker.crew import Crew, WorkerRefused, own_gpu
from worker.queue.health import REPLACE_ME, Health, HealthFile
from worker.queue.roster import worker_name
from worker.settings import Settings


class ShortLived(Crew):
    """A crew whose workers say a word and die."""

    code = 1
    ready = False
    """Whether they were ready to work, and left their files."""

    def _spawn(self, place: int) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as handle:
            process = subprocess.Popen(
                [sys.executable, "-c", f"print('error: no such device'); exit({self.code})"],
                stdout=handle,
            )
        if self.ready:
            name = worker_name(process.pid)
            HealthFile(self._state, name).write(Health(name, ready=True, alive=True))
        return process


@pytest.fixture
def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShortLived]:
    monkeypatch.setattr(crew_module, "MAX_EARLY_DEATHS", 2)
    monkeypatch.setattr(crew_module, "LONGEST_REST_SECONDS", 0.1)
    crew = ShortLived("redis://nowhere", Settings(state=tmp_path), count=1)
    yield crew
    crew.stop()


def tend_until_refused(crew: Crew) -> WorkerRefused:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            crew.tend()
        except WorkerRefused as error:
            return error
        time.sleep(0.05)
    raise AssertionError("the crew never gave up")


def tend_until_replaced(crew: Crew, times: int) -> None:
    deadline = time.monotonic() + 30
    while times > 0:
        assert time.monotonic() < deadline, "the dead are not replaced"
        times -= len(crew.tend())
        time.sleep(0.05)


def test_a_worker_that_refuses_its_settings_is_not_replaced(crew: ShortLived) -> None:
    crew.code = 2
    crew.start()
    assert str(tend_until_refused(crew)) == "no such device"


@pytest.mark.parametrize(("code", "ready"), [(1, True), (REPLACE_ME, False)])
def test_a_worker_that_refuses_after_one_has_worked_is_tried_again_however_often(
    crew: ShortLived, code: int, ready: bool
) -> None:
    crew.code, crew.ready = code, ready
    crew.start()
    crew.code, crew.ready = 2, False
    tend_until_replaced(crew, 5)
    crew.code = 1
    tend_until_replaced(crew, 3)  # one that refused, and as many early deaths as are borne
    assert "again and again" in str(tend_until_refused(crew))


def test_a_worker_that_refuses_beside_one_at_work_is_tried_again(
    tmp_path: Path, crew: ShortLived
) -> None:
    at_work = subprocess.Popen(["sleep", "60"])
    name = worker_name(at_work.pid)
    HealthFile(tmp_path, name).write(Health(name, ready=False, alive=True))
    crew.code = 2
    crew.start()
    crew._processes.append(at_work)
    tend_until_replaced(crew, 4)


def test_a_crew_that_does_not_give_up_tries_on_whatever_the_reason(
    crew: ShortLived, caplog: pytest.LogCaptureFixture
) -> None:
    crew._gives_up, crew._command, crew.code = False, "schedule", 2
    crew.start()
    tend_until_replaced(crew, 4)
    crew.code = 1
    tend_until_replaced(crew, 4)
    assert "schedule" in caplog.messages[-1]


def test_workers_that_die_again_and_again_end_the_program_with_their_last_error(
    crew: ShortLived,
) -> None:
    crew.start()
    assert str(tend_until_refused(crew)) == "workers die again and again: no such device"


@pytest.mark.parametrize("code", [0, REPLACE_ME])
def test_workers_that_end_in_good_order_are_replaced_however_often(
    crew: ShortLived, code: int
) -> None:
    crew.code = code
    crew.start()
    tend_until_replaced(crew, 4)


def test_the_file_of_a_worker_that_could_not_take_it_away_goes(
    crew: ShortLived, tmp_path: Path
) -> None:
    crew.code, crew.ready = REPLACE_ME, True
    crew.start()
    crew.ready = False
    tend_until_replaced(crew, 1)
    assert list((tmp_path / "health").iterdir()) == []


@pytest.mark.parametrize(
    ("device", "chosen", "gpus"),
    [
        ("auto", None, ["0", "1", "0"]),
        ("cuda", "2,5", ["2", "5", "2"]),
        ("cuda", "3", [None] * 3),
        ("cuda", "", [None] * 3),
        ("cuda:1", None, [None] * 3),
        ("cpu", None, [None] * 3),
    ],
)
def test_workers_share_several_gpus_among_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    chosen: str | None,
    gpus: list[str | None],
) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    given = [own_gpu(device, place, devices=tmp_path) for place in range(3)]
    assert [each.get("CUDA_VISIBLE_DEVICES") for each in given] == gpus


def test_on_a_machine_with_one_gpu_or_none_nothing_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert own_gpu("auto", 1, devices=tmp_path) == {}
    (tmp_path / "nvidia0").touch()
    assert own_gpu("auto", 1, devices=tmp_path) == {}
