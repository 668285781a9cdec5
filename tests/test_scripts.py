"""The commands of scripts/ that no other test runs, from their command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parent.parent / "scripts"


def run(script: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / script), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_rendered_cars_are_labelled_and_not_rendered_twice(tmp_path: Path) -> None:
    options = ["out", "--cars", "1", "--first-seed", "8", "--width", "48"]
    assert run("render.py", *options, folder=tmp_path).returncode == 0
    photos = sorted((tmp_path / "out/train").iterdir())
    assert len(photos) == len(list((tmp_path / "out/train_masks").iterdir())) == 5
    times = [photo.stat().st_mtime_ns for photo in photos]
    assert run("render.py", *options, folder=tmp_path).returncode == 0
    assert [photo.stat().st_mtime_ns for photo in photos] == times
