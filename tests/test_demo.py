"""scripts/demo and scripts/bench take what lies where they are called."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


def write(*photos: Path) -> None:
    for photo in photos:
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_text(str(photo))


def taken_over(inbox: Path, *paths: Path) -> dict[str, str]:
    """What lies in the inbox, and where it comes from."""
    from demo import take_over

    assert take_over(list(paths), inbox) == len([p for p in inbox.rglob("*") if p.is_file()])
    return {
        path.relative_to(inbox).as_posix(): Path(path.read_text()).parent.parent.name
        for path in inbox.rglob("*.jpg")
    }


def test_folders_of_one_name_are_shoots_of_their_own(tmp_path: Path) -> None:
    folders = [tmp_path / "a/photos", tmp_path / "b/photos"]
    write(*(folder / "car_01.jpg" for folder in folders))
    first = {"photos/car_01.jpg": "a", "photos-2/car_01.jpg": "b"}
    assert taken_over(tmp_path / "inbox", *folders) == first
    assert taken_over(tmp_path / "inbox", *folders) == first  # as last time


def test_loose_photos_of_one_name_stay_with_their_car(tmp_path: Path) -> None:
    photos = [tmp_path / name for name in ("a/x/car_01.jpg", "b/x/car_01.jpg", "b/x/car_02.jpg")]
    photos.append(tmp_path / "b/x/_03.jpg")
    write(*photos)
    assert taken_over(tmp_path / "inbox", *photos) == {
        "car_01.jpg": "a",
        "car-2_01.jpg": "b",
        "car-2_02.jpg": "b",
        "_03.jpg": "b",
    }


@pytest.mark.parametrize(
    ("script", "words"), [("demo", "No photo was found there"), ("bench", "'1.jpg'")]
)
def test_paths_count_from_where_the_command_is_called(
    script: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "shoot").mkdir()
    options = ["shoot"]
    if script == "bench":
        write(tmp_path / "shoot/1.jpg")
        options = ["--device", "cpu", "--photos", "shoot"]
    done = subprocess.run(
        [str(SCRIPTS / script), *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, words in done.stdout + done.stderr) == (2, True), done.stderr
