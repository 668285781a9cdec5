"""The bench: all take turns after a warm-up, and its last line is for a program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPTS = Path(__file__).parent.parent / "scripts"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / "bench.py"), "--device", "cpu", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def photos(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 255, (64, 96, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg")
    return folder


def test_all_take_turns_and_the_first_round_does_not_count() -> None:
    from bench import in_turns, spread

    done: list[str] = []

    def run(name: str, seconds: list[float]) -> float:
        done.append(name)
        return seconds.pop(0)

    slow, fast = [9.0, 4.0, 2.0, 3.0], [9.0, 0.25, 0.5, 1.0]
    times = in_turns({"slow": lambda: run("slow", slow), "fast": lambda: run("fast", fast)}, 3)

    assert done == ["slow", "fast"] * 4
    assert times == {"slow": [4.0, 2.0, 3.0], "fast": [0.25, 0.5, 1.0]}
    assert spread(times["slow"]) == {"median": 3, "least": 2, "most": 4}


def test_the_bound_is_what_the_busiest_of_cores_and_device_needs() -> None:
    from bench_stages import Stages

    stages = {"decode": 10.0, "network": 100.0, "refine": 30.0}

    assert Stages(stages, cores=2, on_device=False).bound_ms == 70
    assert Stages(stages, cores=2, on_device=True).bound_ms == 100
    assert Stages(stages | {"network": 5.0}, cores=2, on_device=True).bound_ms == 20


def test_given_photos_are_laid_out_as_shoots_of_sixteen(tmp_path: Path) -> None:
    from bench_frames import given

    frames = given(tmp_path / "inbox", photos(tmp_path / "photos", 3), 18)

    assert frames.size == (96, 64)
    assert [len(message.frames) for message in frames.messages()] == [16, 2]
    assert len({path.read_bytes() for path in frames.paths}) == 3


def test_rendered_photos_have_the_size_that_was_asked_for(tmp_path: Path) -> None:
    from bench_frames import rendered

    frames = rendered(tmp_path / "inbox", (240, 160), 2)

    with Image.open(frames.paths[1]) as photo:
        assert photo.size == frames.size == (240, 160)


@pytest.mark.line
def test_the_last_line_is_json_with_the_ratios_of_the_medians(tmp_path: Path) -> None:
    photos(tmp_path / "photos", 2)
    done = bench(
        tmp_path, "--photos", "photos", "--frames", "3", "--repeats", "1", "--tutorial-width", "2",
        "--workers", "1", "--picture", "bench.png",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *table, line = done.stdout.splitlines()
    report = json.loads(line)
    (size,) = report["sizes"]
    median = {name: row["median"] for name, row in size["milliseconds_a_frame"].items()}
    ratios = {
        "line_over_bound": size["bound_ms"] / median["line"],
        "celery_over_line": median["line"] / median["celery"],
        "line_over_naive": median["naive"] / median["line"],
    }
    for name, ratio in ratios.items():  # printed with two decimals or three
        assert report[name] == pytest.approx(ratio, rel=0.01, abs=0.01)
    assert report["frames_per_second"] > 0 and report["peak_rss_mb"] > 100
    assert "line_over_rembg" in report
    assert (size["photo"], size["frames"]) == ("96x64", 3)
    assert report["workers"][0]["workers"] == 1
    assert report["network"]["tutorial_over_ours"] > 0
    cold = report["cold_start_seconds"]
    assert 0 < cold["redis"] <= cold["worker_ready"] <= cold["first_frame"] <= cold["published"]
    assert any("bound" in row for row in table)
    with Image.open(tmp_path / "bench.png") as picture:
        assert picture.width > 500
    assert list(tmp_path.glob("**/manifest.json")) == []  # nothing of it is left behind


def test_wrong_usage_is_exit_code_2_and_names_what_is_wrong(tmp_path: Path) -> None:
    wrong = (["--photos", "nowhere"], ["--repeats", "0"], ["--device", "abacus"])
    for arguments in (*wrong, ["--workers", "0"]):
        done = bench(tmp_path, *arguments)
        assert done.returncode == 2, done.stderr
        assert arguments[1] in done.stderr or arguments[0] in done.stderr


def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench_report import require_picture

    from unet_core.plots import PlotError

    done = bench(tmp_path, "--photos", "nowhere", "--picture", "charts/bench.png")
    assert done.returncode == 2
    assert "charts is no folder to write into; make it first" in done.stderr
    for name, cause in ((".png", "no PNG"), ("bench.svg", "no PNG")):
        with pytest.raises(PlotError, match=cause):
            require_picture(tmp_path / name)
    require_picture(tmp_path / "bench.PNG")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PlotError, match="matplotlib"):
        require_picture(tmp_path / "bench.png")


def test_a_photo_that_cannot_be_read_ends_it_with_its_name(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 3)
    (folder / "1.jpg").write_bytes((folder / "1.jpg").read_bytes()[:300])
    done = bench(tmp_path, "--photos", "photos", "--frames", "3", "--repeats", "1")
    assert done.returncode == 2, done.stderr
    assert "'1.jpg' ends before the picture does" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(100)
def test_a_stage_that_fails_in_one_process_ends_all(tmp_path: Path) -> None:
    import torch
    from bench_line import BenchError
    from bench_stages import measure_stages

    folder = photos(tmp_path / "photos", 2)
    (folder / "1.jpg").write_bytes((folder / "1.jpg").read_bytes()[:300])
    paths = [folder / "0.jpg", folder / "1.jpg"]
    with pytest.raises(BenchError, match=r"'1\.jpg' ends before"):
        measure_stages(paths, torch.device("cpu"), "torch", cores=2, repeats=1)
