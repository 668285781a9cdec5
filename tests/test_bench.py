"""The bench: stages take turns after a warm-up, and its last line is for a program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.bench import measure, spread

BENCH = Path(__file__).parent.parent / "scripts" / "bench.py"


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCH), "--device", "cpu", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_stages_take_turns_and_the_first_round_does_not_count() -> None:
    done: list[str] = []
    now = 0.0

    def stage(name: str, seconds: list[float]) -> None:
        nonlocal now
        done.append(name)
        now += seconds.pop(0)

    slow, fast = [9.0, 4.0, 2.0, 3.0], [9.0, 0.25, 0.5, 1.0]
    stages = {"slow": lambda: stage("slow", slow), "fast": lambda: stage("fast", fast)}
    times = measure(stages, 3, clock=lambda: now)

    assert done == ["slow", "fast"] * 4
    assert times == {"slow": [4.0, 2.0, 3.0], "fast": [0.25, 0.5, 1.0]}
    assert spread(times["slow"]) == {"median": 3000, "least": 2000, "most": 4000}


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_the_last_line_is_json_with_the_ratio_of_the_medians(
    tmp_path: Path, form: list[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "car.png")
    done = bench(tmp_path, "--photo", "car.png", "--repeats", "2", "--tutorial-width", "2", *form)
    assert done.returncode == 0, done.stderr
    *table, line = done.stdout.splitlines()
    report = json.loads(line)
    median = {name: row["median"] for name, row in report["milliseconds"].items()}
    assert report["tutorial_over_ours"] == pytest.approx(
        median["tutorial"] / median["ours"], abs=0.01
    )
    assert (report["photo"], report["repeats"], report["device"]) == ("96x64", 2, "cpu")
    assert bool(table) != bool(form)


def test_wrong_usage_is_exit_code_2(tmp_path: Path) -> None:
    for arguments in (["--photo", "nowhere.jpg"], ["--repeats", "0"], ["--device", "abacus"]):
        done = bench(tmp_path, *arguments)
        assert done.returncode == 2
        assert arguments[1] in done.stderr or arguments[0] in done.stderr
