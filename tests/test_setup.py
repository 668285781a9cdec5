"""scripts/setup: a virtual environment is ready for one place and one Python."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parent.parent / "scripts/setup"
PYTHON = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
    "-m venv"*) rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    "-V") echo "Python 3.11.7" ;;
esac
"""
"""Stands in for an interpreter, because packages come from elsewhere; notes what it is asked."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose .venv was just made ready."""
    folder = tmp_path / "checkout"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(SETUP, folder / "scripts/setup")
    (folder / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    assert asked(folder, "dev") == ["made", "installed"]
    return folder


def asked(checkout: Path, *arguments: str) -> list[str]:
    """What one run of the command does."""
    calls = checkout.parent / "calls"
    calls.write_text("")
    names = {"CALLS": str(calls), "PYTHON": str(checkout.parent / "python")}
    command = [str(checkout / "scripts/setup"), *arguments]
    subprocess.run(command, env=os.environ | names, cwd="/", check=True, timeout=20)
    words = {"-m venv --clear .venv": "made", "-m pip install": "installed"}
    lines = calls.read_text().splitlines()
    return [words[start] for line in lines for start in words if line.startswith(start)]


def test_what_is_ready_is_left_as_it_is(checkout: Path) -> None:
    assert asked(checkout, "dev") == asked(checkout) == []


def test_other_packages_are_installed_into_the_same_environment(checkout: Path) -> None:
    (checkout / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert asked(checkout, "dev") == ["installed"]
    assert asked(checkout, "dev") == []


def test_a_moved_checkout_gets_an_environment_of_its_own(checkout: Path) -> None:
    moved = checkout.rename(checkout.with_name("moved"))
    assert asked(moved, "dev") == ["made", "installed"]
    assert asked(moved, "dev") == []


def test_a_link_to_a_python_without_its_packages_is_made_anew(checkout: Path) -> None:
    other = PYTHON.replace("3.11.7", "3.12.1").replace('"-V")', '"-m pip"*) exit 1 ;;\n"-V")')
    (checkout / ".venv/bin/python").write_text(other)
    assert asked(checkout, "dev") == ["made", "installed"]
    assert asked(checkout, "dev") == []


def test_an_environment_that_is_linked_is_not_cleared(checkout: Path) -> None:
    other = checkout.with_name("other")
    shutil.copytree(checkout, other, ignore=shutil.ignore_patterns(".venv"))
    (other / ".venv").symlink_to(checkout / ".venv")
    assert asked(other, "dev") == []
