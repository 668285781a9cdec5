"""What the corrections folder is taken to hold, by names alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.corrections.drops import frame_of, look, look_at, prepare_folder
from worker.errors import FolderError
from worker.outbox.places import Places


def lay(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"12345")


def test_masks_are_found_by_shoot_and_frame_in_the_state_in_which_they_lie(tmp_path: Path) -> None:
    lay(tmp_path, "van/02.png", "golf/IMG_1.png", "golf/IMG_2.v2.png")
    drops = look(tmp_path)
    assert drops.shoots == ["golf", "van"]
    assert set(drops.of("golf")) == {"IMG_1", "IMG_2.v2"}
    found = drops.of("van")["02"]
    stat = (tmp_path / "van/02.png").stat()
    assert (found.path, found.size, found.mtime_ns) == ("van/02.png", 5, stat.st_mtime_ns)
    assert frame_of(found) == "02"
    assert not drops.problems


def test_a_shoot_whose_name_begins_like_anothers_gets_none_of_its_masks(tmp_path: Path) -> None:
    lay(tmp_path, "golf/01.png", "golf-2/07.png")
    assert set(look(tmp_path).of("golf")) == {"01"}
    assert set(look_at(tmp_path, "golf")) == {"01"}


def test_a_look_at_one_shoot_finds_what_a_look_at_all_finds(tmp_path: Path) -> None:
    lay(tmp_path, "golf/01.png", "golf/02.png", "van/01.png")
    assert look_at(tmp_path, "golf") == look(tmp_path).of("golf")
    assert look_at(tmp_path, "none") == {}


def test_what_can_be_no_correction_by_its_name_is_told_where_it_goes(tmp_path: Path) -> None:
    lay(tmp_path, "01.png", "golf/02.gif", "golf/deep/03.png")
    drops = look(tmp_path)
    assert drops.files == {}
    assert drops.problems == {
        "01.png": "a corrected mask lies in a folder of its shoot's name; move it to "
        "<shoot>/01.png",
        "golf/02.gif": "this is no corrected mask; save it as <frame>.png",
        "golf/deep": "this is no corrected mask; save it as <frame>.png",
    }


def test_what_the_system_and_copies_under_way_leave_is_passed_over(tmp_path: Path) -> None:
    lay(tmp_path, ".training/train/x.png", "golf/.01.png", "golf/01.png.part", "golf/Thumbs.db")
    assert (look(tmp_path).files, look(tmp_path).problems) == ({}, {})


def test_a_folder_that_is_not_there_holds_nothing_and_a_link_to_nowhere_does_no_harm(
    tmp_path: Path,
) -> None:
    assert look(tmp_path / "away").files == {}
    (tmp_path / "golf").mkdir()
    (tmp_path / "golf/01.png").symlink_to(tmp_path / "gone.png")
    assert (look(tmp_path).files, look(tmp_path).problems) == ({}, {})


@pytest.mark.parametrize("inside", ["inbox", "outbox"])
def test_the_folder_is_made_beside_the_inbox_and_refused_inside(
    places: Places, inside: str
) -> None:
    folder = places.inbox.parent / "corrections"
    prepare_folder(folder, places)
    assert folder.is_dir()
    wrong = places.inbox.parent / inside / "corrections"
    with pytest.raises(FolderError, match=f"lies in the {inside}.*CYCLORAMA_CORRECTIONS"):
        prepare_folder(wrong, places)
    assert not wrong.exists()
