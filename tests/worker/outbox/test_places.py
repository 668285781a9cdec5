from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker.errors import FolderError
from worker.outbox.places import Places


def test_every_place_of_a_shoot_lies_in_the_outbox_and_is_another(tmp_path: Path) -> None:
    places = Places(tmp_path / "in", tmp_path / "out")
    found = [places.published("car"), places.held("car"), places.staging("car")]
    found += [places.retired("car"), places.retired("van")]
    assert len(set(found)) == 5
    assert all(path.is_relative_to(tmp_path / "out") for path in found)


def test_the_hidden_places_take_a_shoot_name_of_full_length(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path)
    for place in (places.held, places.staging, places.retired):
        place("é" * 127).mkdir(parents=True)
        assert place("é" * 127).is_dir()


def test_a_check_makes_outbox_and_staging_and_leaves_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Places(tmp_path / "in", tmp_path / "deep" / "out").check()
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert found == {"in", "deep", "deep/out", "deep/out/.staging"}


def test_an_inbox_that_is_no_folder_is_refused_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("gone", "file"):
        with pytest.raises(FolderError, match=rf"{name} is no folder.*CYCLORAMA_INBOX"):
            Places(tmp_path / name, tmp_path / "out").check()


@pytest.mark.parametrize(("inner", "outer"), [("in", "in/out"), ("out/in", "out"), ("x", "x")])
def test_folders_that_lie_one_in_the_other_are_refused(
    tmp_path: Path, inner: str, outer: str
) -> None:
    (tmp_path / inner).mkdir(parents=True)
    with pytest.raises(FolderError, match="one in the other"):
        Places(tmp_path / inner, tmp_path / outer).check()


def test_a_link_does_not_hide_that_they_are_one_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "in")
    with pytest.raises(FolderError, match="one in the other"):
        Places(tmp_path / "in", tmp_path / "out").check()


def test_an_outbox_that_cannot_be_written_is_refused_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="CYCLORAMA_OUTBOX"):
        Places(tmp_path / "in", tmp_path / "file" / "out").check()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_outbox_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(FolderError, match="cannot be written"):
        Places(tmp_path / "in", tmp_path / "out").check()
