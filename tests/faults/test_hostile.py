"""A thousand and more hostile files, through the decoder's edge and through the line."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.faults.hostile import Hostile, corpus
from tests.faults.plant import Plant, resident_mb

UNDERSTOOD = {
    "truncated", "corrupt", "not-an-image", "empty-file", "too-large", "too-small",
    "unsupported-format",
}  # fmt: skip
"""Codes of errors that a photographer can do something about."""

DECODE_ALL = """
import sys
from pathlib import Path
from unet_core.images import ImageError, decode
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        decode(path, max_pixels=5_000_000)
    except ImageError:
        pass
"""


@pytest.fixture(scope="module")
def files() -> list[Hostile]:
    return list(corpus())


def test_there_are_more_than_a_thousand_and_no_two_of_a_name(files: list[Hostile]) -> None:
    assert len(files) > 1000
    assert len({each.name for each in files}) == len(files)


def test_the_decoder_survives_them_all_in_a_process_of_its_own(
    tmp_path: Path, files: list[Hostile]
) -> None:
    for each in files:
        (tmp_path / each.name).write_bytes(each.data)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DECODE_ALL, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.line
@pytest.mark.timeout(300)
def test_the_line_gives_each_its_picture_or_its_cause_and_memory_stays_flat(
    plant: Plant, files: list[Hostile]
) -> None:
    shoots = defaultdict(list)
    for number, each in enumerate(files):
        shoots[f"hostile-{number % 8}"].append(each)
    for shoot, members in shoots.items():
        part = plant.studio.root / f"part-{shoot}"
        part.mkdir()
        for each in members:
            (part / each.name).write_bytes(each.data)
    deaths = len(plant.deaths)
    for shoot in shoots:
        (plant.studio.root / f"part-{shoot}").rename(plant.studio.inbox / shoot)

    def done() -> int:
        return sum(plant.studio.manifest(shoot) is not None for shoot in shoots)

    held = []
    for wanted in (len(shoots) // 2, len(shoots)):
        plant.wait_for(lambda wanted=wanted: done() >= wanted, seconds=250)  # type: ignore[misc]
        held.append(max(resident_mb(plant.pid(worker)) for worker in plant.crew))
    assert plant.deaths[deaths:] == []
    good = {
        f"{shoot}/{each.name}" for shoot, each_of in shoots.items() for each in each_of if each.good
    }
    rows = {}
    for shoot in shoots:
        manifest = plant.studio.assert_whole(shoot)
        rows |= {row.source.path: row for row in manifest.frames}
    assert len(rows) == len(files)
    assert {path for path in good if not rows[path].outputs} == set()
    errors = {path: row.error for path, row in rows.items() if row.error}
    assert {error.code for error in errors.values()} <= UNDERSTOOD
    assert all("\n" not in error.message for error in errors.values())
    first, last = held
    assert last < first + 150, f"a worker grew from {first:.0f} to {last:.0f} MB"
