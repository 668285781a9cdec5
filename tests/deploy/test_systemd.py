from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.deploy.deployed import DEPLOY, ROOT, tool
from worker.settings import PREFIX, Settings

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
LASTING = [unit for unit in UNITS if "Type=exec" in unit.read_text()]
PROGRAM = "/opt/cyclorama/bin/cyclorama"


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with a program in their lines that is here too."""
    for unit in [*UNITS, *(DEPLOY / "systemd").glob("*.timer")]:
        text = re.sub(r"/opt/cyclorama/bin/\w+", "/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text)
    return tmp_path


def test_systemd_has_nothing_to_say_against_the_units(units: Path) -> None:
    names = ["cyclorama-watch.service", "cyclorama-worker@gpu0.service"]
    names += ["cyclorama-courier.service", "cyclorama-retrain.service", "cyclorama-retrain.timer"]
    said = tool("systemd-analyze", "verify", "--man=no", *(units / name for name in names))
    assert "cyclorama" not in said


def test_a_misspelt_option_would_be_found(units: Path) -> None:
    unit = units / "cyclorama-watch.service"
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHouse="))
    assert "ProtectHouse" in tool("systemd-analyze", "verify", "--man=no", unit)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_little_is_exposed(unit: Path) -> None:
    tool("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit)


@pytest.mark.parametrize("unit", LASTING, ids=lambda unit: unit.stem)
def test_a_unit_runs_a_command_that_there_is_and_ends_it_gently(unit: Path) -> None:
    text = unit.read_text()
    command = re.search(rf"^ExecStart={PROGRAM} (\w+)$", text, re.MULTILINE)
    assert command
    assert command[1] in ("watch", "worker", "courier")
    for line in ("Restart=always", "MemoryMax=", "NoNewPrivileges=yes", "User=cyclorama"):
        assert re.search(rf"^{line}", text, re.MULTILINE), line


@pytest.mark.parametrize("unit", LASTING, ids=lambda unit: unit.stem)
def test_what_cannot_start_is_tried_until_it_can(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    assert {"StartLimitIntervalSec=0", "RestartSec=10"} <= set(lines)
    assert not any(line.startswith("RestartPreventExitStatus") for line in lines)


def test_the_courier_alone_has_the_buckets_keys_and_is_as_confined_as_the_watcher() -> None:
    keys = "EnvironmentFile=/etc/cyclorama/courier.env"
    assert [unit.stem for unit in UNITS if keys in unit.read_text()] == ["cyclorama-courier"]
    example = (DEPLOY / "systemd/courier.env.example").read_text()
    assert all(name.startswith("AWS_") for name in re.findall(r"^#?(\w+)=", example, re.MULTILINE))
    for other in {*(DEPLOY / "systemd").glob("*.example")} - {
        DEPLOY / "systemd/courier.env.example"
    }:
        assert "AWS_" not in other.read_text(), other
    courier, watcher = (
        (DEPLOY / f"systemd/cyclorama-{name}.service").read_text().partition("NoNewPrivileges")[2]
        for name in ("courier", "watch")
    )
    assert courier == watcher


def test_the_night_runs_the_same_command_as_the_script_when_its_timer_says() -> None:
    text = (DEPLOY / "systemd/cyclorama-retrain.service").read_text()
    command = re.search(r"^ExecStart=/opt/cyclorama/bin/python -I -m ([\w.]+)$", text, re.M)
    assert command
    assert f"from {command[1]} import main" in (ROOT / "scripts/retrain.py").read_text()
    for line in ("Type=oneshot", "Restart=on-abnormal", "MemoryMax=", "User=cyclorama"):
        assert re.search(rf"^{line}", text, re.MULTILINE), line
    timer = (DEPLOY / "systemd/cyclorama-retrain.timer").read_text()
    (when,) = re.findall(r"^OnCalendar=(.*)$", timer, re.MULTILINE)
    assert "03:30:00" in tool("systemd-analyze", "calendar", when)


@pytest.mark.parametrize("name", ["cyclorama.env.example", "worker.env.example"])
def test_the_examples_set_settings_that_there_are(name: str) -> None:
    lines = (DEPLOY / "systemd" / name).read_text().splitlines()
    lines = [line.removeprefix("#") for line in lines if re.match(rf"#?{PREFIX}", line)]
    given = dict(line.split("=", 1) for line in lines)
    assert given
    Settings.model_validate({k.removeprefix(PREFIX).lower(): v for k, v in given.items()})
    # Plain values: systemd would take quotes and dollars another way than a shell.
    assert not any(mark in value for value in given.values() for mark in " \"'$")


def test_folders_of_the_example_are_those_that_the_units_open() -> None:
    example = (DEPLOY / "systemd/cyclorama.env.example").read_text()
    given = dict(re.findall(r"^CYCLORAMA_(\w+)=(.*)$", example, re.MULTILINE))
    for unit in LASTING:
        text = unit.read_text()
        assert f"ReadWritePaths={given['OUTBOX']}\n" in text
        inbox = "ReadWritePaths" if unit.stem == "cyclorama-courier" else "ReadOnlyPaths"
        assert re.findall(rf"^(\w+)={given['INBOX']}$", text, re.MULTILINE) == [inbox]
        assert f"WorkingDirectory={given['STATE']}\n" in text
        beside = Path(given["INBOX"]).parent / "corrections"
        assert f"ReadWritePaths=-{beside}\n" in text
