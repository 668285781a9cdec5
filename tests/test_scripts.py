"""The commands of scripts/ that no other test runs, from their command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.carvana import write_frame
from tests.worker.booth.days import photos

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


def test_what_is_told_of_an_altered_booth_is_counted(tmp_path: Path) -> None:
    for number in range(19):
        for angle, pixels, mask in photos(number):
            write_frame(tmp_path, f"car{number}_{angle:02}", mask, pixels)
    done = run("booth.py", str(tmp_path), "--draws", "2", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {name.partition(",")[0]: row for name, row in json.loads(done.stdout).items()}
    assert found["as they are"] == {"told": 0, "of": 2}
    assert found["moved by 1 % of the width"] == {"told": 2, "of": 2, "camera-moved": 2}
    assert found["red +5 %"] == {"told": 2, "of": 2, "white-balance": 2}


def test_too_few_shoots_to_tell_anything_are_wrong_usage(tmp_path: Path) -> None:
    write_frame(tmp_path, "car_01", *next(photos(1))[:0:-1])
    done = run("booth.py", str(tmp_path), folder=tmp_path)
    assert (done.returncode, "too few" in done.stderr) == (2, True)
