"""The command line: what it refuses, how it says so, and what it imports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.studio import COMMAND, Studio, make_studio
from worker.queue.health import Health, HealthFile


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return make_studio(tmp_path)


def test_the_version_is_told(studio: Studio) -> None:
    done = studio.cyclorama("--version")
    assert (done.returncode, done.stdout) == (0, f"cyclorama {version('cyclorama')}\n")


@pytest.mark.parametrize(
    ("settings", "arguments", "words"),
    [
        ({"CYCLORAMA_BROKER_URL": "redis://127.0.0.1:1/0"}, ["run"], ["127.0.0.1:1", "BROKER_URL"]),
        ({"CYCLORAMA_PRESET": "studio-gray"}, ["run"], ["studio-gray", "studio-grey"]),
        ({"CYCLORAMA_PRESET": "my.toml"}, ["run"], ["my.toml", "line 3", "colr"]),
        ({"CYCLORAMA_INBX": "x"}, ["run"], ["CYCLORAMA_INBX", "CYCLORAMA_INBOX"]),
        ({"CYCLORAMA_JOBS": "none"}, ["run"], ["jobs", "none"]),
        ({"CYCLORAMA_SETTLE_SECONDS": "-1"}, ["status"], ["settle_seconds", "-1"]),
        ({}, ["run", "--inbox", "nowhere"], ["nowhere", "inbox"]),
        ({}, ["run", "--outbox", "a-file"], ["a-file", "outbox"]),
        ({}, ["run", "--outbox", "inbox/out"], ["inbox", "one in the other"]),
        ({}, ["worker"], ["CYCLORAMA_BROKER_URL"]),
        ({}, ["watch"], ["CYCLORAMA_BROKER_URL"]),
        ({}, ["submit", "ghost"], ["ghost"]),
        ({}, ["reprocess"], ["no shoot is named"]),
        ({}, ["reprocess", "ghost", "--all"], ["not both"]),
        ({}, ["reprocess", "ghost"], ["no finished shoot 'ghost'"]),
        ({}, ["reprocess", "--all"], ["no finished shoot"]),
        ({}, ["booth"], ["outbox", "no folder"]),
        ({}, ["booth", "--outbox", "a-file"], ["a-file", "no folder"]),
        ({}, ["corrections", "--inbox", "nowhere"], ["nowhere"]),
        ({}, ["run", "--unknown"], ["--unknown"]),
    ],
)
def test_what_cannot_work_is_refused_at_start_by_name_with_exit_code_2(
    studio: Studio, settings: dict[str, str], arguments: list[str], words: list[str]
) -> None:
    (studio.root / "a-file").write_text("")
    (studio.root / "my.toml").write_text("[backdrop]\nkind = 'colour'\ncolr = '#ffffff'\n")
    done = studio.cyclorama(*arguments, **settings)
    assert done.returncode == 2, done.stdout + done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["submit", "retry"])
def test_without_run_queueing_says_to_start_it(studio: Studio, command: str) -> None:
    shutil.copy(_photo(studio.root), studio.inbox / "car_01.jpg")
    done = studio.cyclorama(command, "car")
    assert done.returncode == 2
    state = studio.root.resolve() / ".cyclorama"
    assert f"cyclorama is not running here with the state folder {state}." in done.stderr
    assert "Start it with the same state folder: cyclorama run" in done.stderr


def test_run_refuses_a_device_before_it_says_that_it_watches(studio: Studio) -> None:
    done = studio.cyclorama("run", "--device", "gpu")
    assert done.returncode == 2
    assert done.stderr.startswith("error: setting 'device'")


@pytest.mark.line
def test_a_missing_champion_is_refused_at_start(studio: Studio) -> None:
    store = studio.root / ".cyclorama" / "models"
    store.mkdir(parents=True)
    (store / "champion.json").write_text('{"version": "best", "sha256": "0"}')
    (studio.inbox / "car").mkdir()
    shutil.copy(_photo(studio.root), studio.inbox / "car" / "car_01.jpg")
    done = studio.cyclorama("run", "--once")
    assert done.returncode == 2
    assert "'best'" in done.stderr
    assert "at hand:" in done.stderr


def test_an_outbox_that_cannot_be_written_is_refused(studio: Studio) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    studio.outbox.mkdir()
    studio.outbox.chmod(0o500)
    done = studio.cyclorama("run")
    assert done.returncode == 2
    assert "outbox" in done.stderr


def test_a_schedule_that_is_none_is_refused_before_anything_runs(studio: Studio) -> None:
    done = studio.cyclorama("run", CYCLORAMA_RETRAIN_CRON="61 3 * * *")
    assert done.returncode == 2
    assert "61 3 * * *" in done.stderr
    doctor = studio.cyclorama("doctor", "--json", CYCLORAMA_RETRAIN_CRON="61 3 * * *")
    nights = next(row for row in json.loads(doctor.stdout) if row["what"] == "nights")
    assert not nights["good"]


def test_doctor_says_what_is_right_and_what_is_wrong(studio: Studio) -> None:
    done = studio.cyclorama("doctor", "--json", "--device", "cuda:99")
    assert done.returncode == 2
    findings = {row["what"]: row for row in json.loads(done.stdout)}
    assert not findings["device"]["good"]
    assert "cuda:99" in findings["device"]["detail"]
    assert findings["folders"]["good"]
    assert findings["Redis"]["good"]
    assert findings["nights"]["detail"] == "no retraining is set"


def test_status_of_an_empty_inbox_is_no_error(studio: Studio) -> None:
    done = studio.cyclorama("status")
    assert done.returncode == 0
    assert "No shoots" in done.stdout


def test_health_is_that_of_this_machines_workers(studio: Studio) -> None:
    assert studio.cyclorama("health").returncode == 1, "there is none"
    file = HealthFile(studio.root / ".cyclorama", "a-7")
    troubled = Health("a-7", ready=False, alive=True, trouble="Redis does not answer")
    file.write(troubled)
    done = studio.cyclorama("health")
    assert done.returncode == 1
    assert done.stdout == "a-7: alive, but Redis does not answer\n"
    file.write(troubled)  # a sign of life is good for seconds only
    assert studio.cyclorama("health", "--alive").returncode == 0
    file.write(Health("a-7", ready=True, alive=True))
    done = studio.cyclorama("health", "--json")
    assert done.returncode == 0
    assert [row["ready"] for row in json.loads(done.stdout)] == [True]


def test_status_can_be_watched_until_ctrl_c(studio: Studio) -> None:
    process = subprocess.Popen(
        [*COMMAND, "status", "--watch", "--json"],
        cwd=studio.root,
        env=studio.environment,
        stdout=subprocess.PIPE,
        # A shell that runs the tests in its background has Ctrl-C ignored, and so would we.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["shoots"] == []
        (studio.inbox / "nothing-here").mkdir()
        assert "nothing-here" in json.loads(process.stdout.readline())["problems"]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)  # to its end: what it still says has a reader
    assert process.returncode == 0


def test_the_watchers_side_imports_no_torch() -> None:
    code = (
        "import sys, worker.cli, worker.run, worker.status, worker.submit; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_reads_no_settings_and_status_imports_nothing_that_takes_long() -> None:
    code = (
        "import sys, worker.cli; print({'pydantic', 'redis'} & set(sys.modules)); "
        "import worker.status; "
        "print({'celery', 'cv2', 'numpy', 'torch', 'watchdog'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert done.stdout.split() == [b"set()", b"set()"]


def _photo(folder: Path) -> Path:
    from PIL import Image

    path = folder / "photo.jpg"
    Image.new("RGB", (96, 64), "grey").save(path)
    return path
