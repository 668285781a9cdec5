"""The story of a night, told from its command line on tiny cars."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.carvana import write_cars, write_frame
from tests.worker.night.nights import SIZE, strange

QUICK = {
    "CYCLORAMA_SETTLE_SECONDS": "0.3",
    "CYCLORAMA_RESCAN_SECONDS": "0.5",
    "CYCLORAMA_MODEL_CHECK_SECONDS": "0.3",
    "OMP_NUM_THREADS": "1",
}
SCRIPT = Path(__file__).parent.parent / "scripts" / "story.py"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Bright cars, and blue ones of four angles each."""
    root = write_cars(tmp_path / "data", [f"car{number}" for number in range(32)], size=SIZE)
    for number in range(16):
        pixels, mask = strange(number)
        write_frame(root, f"blue{number // 4}_{number % 4 + 1:02}", mask, pixels)
    return root


def story(data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", str(SCRIPT), str(data), *options],
        cwd=data.parent,
        env=os.environ | QUICK,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.line
@pytest.mark.timeout(300)
def test_a_kind_that_was_never_seen_is_right_the_next_morning_and_no_worker_was_restarted(
    data: Path,
) -> None:
    done = story(
        data, "--without", "paint blue", "--work", "work",
        "--cars", "2", "--corrections", "3", "--workers", "0",
        "--minutes", "0.05", "--night-minutes", "0.08",
        "--network", "encoder=plain,width=8,depth=2,fold=2", "--long-side", "96",
        "--crop", "64", "96", "--learning-rate", "0.01", "--booths", "0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["corrections"] == {"in force": 6}
    assert report["cars"] == {"corrected": 2, "untouched": 1}
    assert report["worker_never_restarted"]
    for group in report["dice"].values():
        assert 0 <= group["worst_before"] <= group["mean_before"] <= 1
    others = report["dice"]["other frames of the corrected cars"]
    assert others["frames"] == 2
    promoted = report["night"]["outcome"] == "promoted"
    assert report["next_shoot_made_by"].startswith("night-" if promoted else "first")
    seen = {link.name for link in (data.parent / "work/base/train").iterdir()}
    assert not any(name.startswith("blue") for name in seen - set(holdout(data.parent / "work")))


def holdout(work: Path) -> list[str]:
    cars = (work / "holdout.txt").read_text().split()
    return [f"{car}_{angle:02}.jpg" for car in cars for angle in range(1, 5)]


def test_a_kind_that_is_not_there_is_wrong_usage_and_the_others_are_named(data: Path) -> None:
    done = story(data, "--without", "paint pink", "--work", "work")
    assert done.returncode == 2
    assert (
        "has 0 cars of the kind 'paint pink' outside of the holdout, and 7 are needed"
        in done.stderr
    )
    assert "'paint blue'" in done.stderr
