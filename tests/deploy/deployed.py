"""What the tests of deploy/ read, and the tools that they ask."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"


def tool(name: str, *arguments: str | Path, folder: Path = DEPLOY) -> str:
    """What a tool prints; it must exit with 0. Where it is not installed the test is skipped."""
    beside_python = Path(sys.executable).parent
    path = shutil.which(name) or shutil.which(name, path=beside_python)
    if path is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run(
        [path, *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
