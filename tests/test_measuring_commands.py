"""The commands that print figures run to their end, and say what they measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unet_core.booth import Booth

SCRIPTS = Path(__file__).parent.parent / "scripts"
PATIENCE_SECONDS = 300
pytestmark = pytest.mark.timeout(PATIENCE_SECONDS + 20)


def run(script: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / script), *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.line
def test_a_large_inbox_and_a_long_work_are_measured() -> None:
    report = run("endure.py", "--shoots", "210", "--frames", "32", "--long", "40")

    inbox, worker = report["inbox"], report["worker"]
    assert inbox["photos"] == 3360
    assert inbox["longest_tick_seconds"] >= inbox["first_tick_seconds"] > 0
    assert worker["frames"] == 32
    assert worker["memory_mb_at_the_end"] > 100
    assert worker["growth"] < 0.5
    assert 0 < worker["idle_watcher_share_of_a_core"] < 0.5
    long = report["long shoot"]
    assert long["frames"] == 40
    assert long["peak_mb_in_one_shoot"] < 1.5 * long["peak_mb_in_shoots_of_16"]


@pytest.mark.line
def test_the_limits_of_a_large_studio_are_named_in_order() -> None:
    small = ("--workers", "8", "--shoots", "400", "--frame-seconds", "6", "--kept-days", "2")
    quick = ("--hours", "9", "10", "--deaths", "4", "--sample", "30", "--made", "2")
    report = run("simulate.py", *small, *quick)

    day, options = report["day"], report["options"]
    assert day["done"] == 36, "9 of 100 parts of the day arrive in that hour"
    assert day["twice"] == 0
    assert day["leases_expired"] > 0
    assert day["taken_over_median"] <= 2 * options["lease_seconds"]
    assert report["look"]["seconds"] > 0
    assert report["costs"]["connections"] >= 3
    shares = [limit["share"] for limit in report["limits"]]
    assert len(shares) == 7
    assert shares == sorted(shares, reverse=True)


@pytest.mark.line
def test_a_correction_is_timed_from_its_folder_to_the_outbox_in_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CYCLORAMA_SETTLE_SECONDS", "0.4")
    car = Booth(seed=15, width=240, height=160, samples=4).render(1).image
    for number in range(32):  # a correction goes to every copy of its photo
        Image.fromarray(np.roll(car, number - 16, axis=1)).save(tmp_path / f"{number:02}.png")
    report = run("correction.py", "--photos", str(tmp_path), "--repeats", "1")

    for kind in ("one frame", "all frames", "framed anew"):
        parts = list(report[kind].values())
        assert parts == sorted(parts)
        assert report[kind]["published"] < 10


def test_what_was_tried_is_measured_side_by_side(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "car.jpg")

    report = run("tried.py", "--photo", str(tmp_path / "car.jpg"), "--repeats", "1", "--as-it-is")

    groups = report["milliseconds"]
    assert len(groups) == 4
    assert all(value > 0 for ways in groups.values() for value in ways.values())
    (network, *_) = groups.values()
    assert {"PyTorch float32", "PyTorch bfloat16"} <= set(network)
