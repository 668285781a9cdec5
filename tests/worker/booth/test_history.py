"""What the outbox tells of the booth, and how a person answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.worker.booth.days import manifest, publish, redder
from worker.booth import history as history_module
from worker.booth.history import ACCEPTED, TOLD, BoothHistory
from worker.cli import app
from worker.outbox.manifest import MANIFEST, Manifest
from worker.settings import Settings
from worker.status import gather


@pytest.fixture
def outbox(no_settings: Path) -> Path:
    """An outbox with 14 shoots of a booth in which nothing changed."""
    (no_settings / "inbox").mkdir()
    publish(no_settings / "outbox", [manifest(n) for n in range(1, 15)], first=1)
    return no_settings / "outbox"


@pytest.fixture
def history(outbox: Path) -> BoothHistory:
    return BoothHistory(outbox)


def drift(outbox: Path) -> None:
    publish(outbox, [manifest(n, redder) for n in range(15, 18)], first=15)


def test_a_change_is_found_in_the_outbox(outbox: Path, history: BoothHistory) -> None:
    assert (history.look().shoots, history.look().findings) == (14, [])
    drift(outbox)
    health = history.look()
    assert health.shoots == 17
    assert [(f.kind, f.since) for f in health.findings] == [("white-balance", "car-015")]


def test_what_was_read_is_not_read_again(
    outbox: Path, history: BoothHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = history_module.read_manifest

    def noting(folder: Path) -> Manifest | None:
        read.append(folder.name)
        return real(folder)

    monkeypatch.setattr(history_module, "read_manifest", noting)
    publish(outbox, [manifest(15)], first=15)
    history.look()
    assert len(read) == 15
    history.look()
    publish(outbox, [manifest(16)], first=16)
    history.look()
    assert read[15:] == ["car-016"]


def test_too_few_shoots_are_counted_without_opencv(
    outbox: Path, history: BoothHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.booth.view.shoot_view", None)
    assert history.look().shoots == 14


def test_what_is_told_need_not_be_found_again(
    outbox: Path, history: BoothHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    drift(outbox)
    found = history.tell()
    assert found.findings
    told = (outbox / TOLD).stat()

    def read(folder: Path) -> Manifest | None:
        raise AssertionError(f"{folder} was read")

    with monkeypatch.context() as only_here:
        only_here.setattr(history_module, "read_manifest", read)
        assert BoothHistory(outbox).tell() == found
    assert (outbox / TOLD).stat() == told, "what is there already is not written again"


def test_status_tells_it_without_loading_what_finds_it(
    outbox: Path, history: BoothHistory, no_settings: Path
) -> None:
    drift(outbox)
    history.tell()
    code = (
        "import sys; from worker.cli import app; app(['status'], standalone_mode=False); "
        "print({'cv2', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=no_settings, check=False, capture_output=True, text=True
    )
    assert "white balance" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()", done.stdout + done.stderr


@pytest.mark.parametrize("spoilt", ["{", "[]", '{"of": "", "health": {"shoots": 1}}'])
def test_what_was_told_of_other_shoots_or_is_damaged_counts_for_nothing(
    outbox: Path, history: BoothHistory, spoilt: str
) -> None:
    history.tell()
    drift(outbox)
    assert [f.kind for f in BoothHistory(outbox).look().findings] == ["white-balance"]
    (outbox / TOLD).write_text(spoilt)
    assert [f.kind for f in BoothHistory(outbox).look().findings] == ["white-balance"]
    history.accept()
    assert BoothHistory(outbox).look().findings == []


def test_of_thousands_of_shoots_few_are_read(outbox: Path, history: BoothHistory) -> None:
    for number in range(300):
        folder = outbox / f"old-{number}"
        folder.mkdir()
        (folder / MANIFEST).write_text("{}")
        os.utime(folder / MANIFEST, (0, 0))
    chosen = [folder.name for folder, _ in history._chosen(None)]
    assert len(chosen) == 28
    assert chosen[:8] == [f"car-{n:03}" for n in range(14, 6, -1)]


def test_a_change_that_was_meant_is_told_no_more(outbox: Path, history: BoothHistory) -> None:
    drift(outbox)
    assert history.accept() == "car-015"
    assert (history.look().shoots, history.look().findings) == (3, [])


def test_every_shoot_after_a_change_that_was_meant_counts_however_many_lie_before(
    outbox: Path, history: BoothHistory
) -> None:
    for number in range(-185, 0):
        publish(outbox, [manifest(1).model_copy(update={"shoot": f"old{number}"})], first=number)
    assert history.accept() == "car-014"
    publish(outbox, [manifest(n) for n in range(15, 27)], first=15)
    assert history.look().shoots == 13
    publish(outbox, [manifest(n, redder) for n in range(27, 30)], first=27)
    health = history.look()
    assert health.shoots == 16
    assert [(f.kind, f.since) for f in health.findings] == [("white-balance", "car-027")]


def test_a_later_shoot_that_was_published_before_the_accepted_one_counts(
    outbox: Path, history: BoothHistory
) -> None:
    drift(outbox)
    os.utime(outbox / "car-015" / MANIFEST, (20, 20))
    assert history.accept() == "car-015"
    assert history.look().shoots == 3


def test_an_answer_that_says_nothing_of_when_shoots_were_published_holds(
    outbox: Path, history: BoothHistory
) -> None:
    drift(outbox)
    (outbox / ACCEPTED).write_text('{"since": "car-015", "since_ns": 15}')
    assert (history.look().shoots, history.look().findings) == (3, [])


def test_status_tells_it_and_needs_a_person(outbox: Path) -> None:
    settings = Settings()
    assert gather(settings).booth == [] and not gather(settings).needs_a_person
    drift(outbox)
    status = gather(settings)
    assert "5% more red" in status.booth[0] and status.needs_a_person


def test_status_tells_the_rest_where_the_outbox_cannot_be_read(outbox: Path) -> None:
    settings = Settings(outbox=outbox / "car-001" / MANIFEST)
    assert "cannot be read (Not a directory)" in gather(settings).booth[0]


def test_the_command_says_what_changed_and_takes_an_answer(outbox: Path) -> None:
    def booth(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["booth", *arguments], catch_exceptions=False)
        return done.exit_code, done.stdout

    assert booth() == (0, "14 of the 15 shoots that are needed to tell\n")
    (outbox.parent / "empty").mkdir()
    empty = str(outbox.parent / "empty")
    assert booth("--outbox", empty) == (0, "0 of the 15 shoots that are needed to tell\n")
    publish(outbox, [manifest(0)], first=14)
    assert booth() == (0, "the booth is as it was (15 shoots compared)\n")
    drift(outbox)
    code, said = booth("--json")
    assert code == 1 and json.loads(said)["findings"][0]["kind"] == "white-balance"
    code, said = booth("--accept")
    assert code == 0 and said.startswith("right as it is since car-015\n")


def test_an_empty_outbox_tells_nothing(tmp_path: Path) -> None:
    assert BoothHistory(tmp_path / "none").look().shoots == 0
