"""``cyclorama presets``: what there is to choose from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from worker import presets_cli
from worker.cli import app
from worker.finish.presets import builtin_presets

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def own(no_settings: Path) -> Path:
    """The studio's own folder of presets, with one in it."""
    folder = no_settings / "presets"
    folder.mkdir()
    (folder / "mine.toml").write_text('[backdrop]\nkind = "colour"\ncolour = "#00ff00"\n')
    return folder


def test_built_in_presets_and_the_studios_own_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets_cli, "out", Console(width=200))
    done = RUNNER.invoke(app, ["presets"])
    assert done.exit_code == 0, done.output
    assert [n for n in [*builtin_presets(), "mine"] if n not in done.output] == []
    assert "▀" not in done.output  # no pictures into a pipe


def test_a_terminal_shows_a_small_picture_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(width=120, force_terminal=True, color_system="truecolor")
    monkeypatch.setattr(presets_cli, "out", terminal)
    done = RUNNER.invoke(app, ["presets"])
    assert done.exit_code == 0, done.output
    assert done.output.count("▀") > 7 * 20 * 8
    assert "48;2;0;255;0" in done.output  # the green backdrop of ours


def test_a_broken_preset_is_named_with_exit_code_1_and_the_others_are_shown(own: Path) -> None:
    (own / "bad.toml").write_text("[shadow]\nkind = 'heavy'\n")
    done = RUNNER.invoke(app, ["presets", "--json"])
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert "heavy" in found["broken"]["bad"]
    assert sorted(found["presets"]) == sorted([*builtin_presets(), "mine"])
    assert found["presets"]["mine"]["backdrop"]["colour"] == "#00ff00"
