"""What the README says is so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from worker.cli import app
from worker.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def settings_table() -> str:
    """The table of settings as the README must hold it."""
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, "") else f"`{field.default!s}`".lower()
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def test_every_setting_is_listed_with_its_default() -> None:
    assert settings_table() in README


def test_every_command_is_listed() -> None:
    named = set(re.findall(r"`cyclorama (\w+)", README))
    there = {command.callback.__name__ for command in app.registered_commands if command.callback}
    there |= {str(group.name) for group in app.registered_groups}
    assert named == there


def test_every_file_that_the_tree_names_is_there() -> None:
    tree = README.split("## File tree")[1]
    names = re.findall(r"^    (\S+/)\s", tree, re.MULTILINE)
    assert len(names) >= 4
    for name in names:
        assert (ROOT / name).is_dir(), name


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_preset_of_the_readme_is_a_preset(tmp_path: Path) -> None:
    from worker.finish.presets import read_preset

    text = README.split("```toml\n")[1].split("```")[0]
    (tmp_path / "mine.toml").write_text(text)
    assert read_preset(tmp_path / "mine.toml").frames == 16


@pytest.mark.line
@pytest.mark.timeout(300)
def test_the_demo_ends_with_a_finished_shoot() -> None:
    command = ["scripts/demo", "--width", "240"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    page = next(line for line in done.stdout.splitlines() if "spin.html" in line)
    shoot = ROOT / Path(page.split("  (")[0].strip()).parent
    assert len(list(shoot.glob("car-*.jpg"))) == 16
    assert len(list(shoot.glob("masks/*.png"))) == 16
    assert (shoot / "manifest.json").exists()
