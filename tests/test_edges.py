"""scripts/edges.py from its command line, on small rendered booths."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.bright import bright_network
from tests.carvana import write_cars
from unet_core.checkpoint import Card, save_checkpoint

SCRIPTS = Path(__file__).parent.parent / "scripts"
Run = Callable[..., int]
Array = NDArray[np.float64]


@pytest.fixture
def edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, in a folder with photos and a checkpoint that knows what is bright."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.syspath_prepend(SCRIPTS)
    write_cars(tmp_path / "data", ["a", "b"], frames=3, size=(128, 192))
    save_checkpoint(tmp_path / "good", bright_network(), Card(version="good"))
    return importlib.import_module("edges")


@pytest.fixture
def command(edges: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the script; PyMatting stands aside, so that neither its absence nor its time counts."""
    monkeypatch.setattr(edges, "pymatting", lambda: None)

    def run(*arguments: str) -> int:
        options = ["--checkpoint", "good", "--device", "cpu", "--width", "120"]
        monkeypatch.setattr(sys, "argv", ["edges.py", *options, *arguments])
        return int(edges.main())

    return run


def test_every_method_is_measured_in_three_tables(
    command: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--cars", "1", "--json") == 0

    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["version"] == "good"
    assert list(found["alpha"]) == ["bilinear", "ours"]
    assert list(found["colour"]) == ["the photo's", "ours"]
    assert list(found["light"]) == ["none", "soft", "real", "real, plate"]
    assert found["colour"]["ours"]["true_alpha"] < found["colour"]["the photo's"]["true_alpha"]
    assert all(row["cpu_ms"] >= 0 for table in ("alpha", "light") for row in found[table].values())
    assert "pip install pymatting" in err


def test_pymatting_gets_a_trimap_of_our_mask_and_takes_part(
    command: Run,
    edges: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trimaps: list[Array] = []

    def alpha_cf(image: Array, trimap: Array) -> Array:
        assert image.max() <= 1
        trimaps.append(trimap)
        return trimap

    library = SimpleNamespace(
        estimate_alpha_cf=alpha_cf, estimate_foreground_ml=lambda image, alpha: image
    )
    monkeypatch.setattr(edges, "pymatting", lambda: library)

    assert command("--cars", "1") == 0

    out, err = capsys.readouterr()
    assert "closed form" in out
    assert "multi-level" in out
    assert "pip install" not in err
    assert set(np.unique(trimaps[0])) <= {0, 0.5, 1}


def test_the_page_shows_pieces_of_the_outline_of_each_photo(
    command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = ["--cars", "0", "--photos", "data", "--frames", "1", "--page", "page"]

    assert command(*shown) == 0

    out, err = capsys.readouterr()
    assert out == ""
    assert "page/index.html" in err
    text = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert text.count("<h2>") == 2
    for words in ("top, photo", "low left, on black", "right, on white", "left, on green"):
        assert text.count(words) >= 2


def test_a_photo_that_cannot_be_read_is_named_and_the_others_are_shown(
    command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data/train/a_01.jpg").write_bytes(b"no picture")

    assert command("--cars", "0", "--photos", "data", "--frames", "1", "--page", "page") == 1

    assert "skipped: 'a_01.jpg'" in capsys.readouterr().err
    assert (tmp_path / "page/index.html").read_text(encoding="utf-8").count("<h2>") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--photos", "data"], "add --page"),
        (["--cars", "-1"], "--cars takes 0 or more"),
        (["--cars", "0", "--photos", "nowhere", "--page", "page"], "nowhere holds no .jpg"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_its_cause(
    command: Run, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = command(*arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)

    assert code == 2
    assert message in " ".join(capsys.readouterr().err.split())
