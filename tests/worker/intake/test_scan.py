from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.parts import drop_photos
from worker.errors import FolderError
from worker.intake.scan import Rest, ignored, look
from worker.shoots import Source


def put(path: Path, data: bytes = b"photo") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_photos_are_found_with_size_and_time_in_folders_and_loose(tmp_path: Path) -> None:
    photos = [put(tmp_path / "car" / "01.JPG"), put(tmp_path / "van_02.tiff", b"longer")]
    for photo in photos:
        os.utime(photo, ns=(5, 7_000_000_000))
    found = look(tmp_path)
    assert found.sources == {
        "car/01.JPG": Source("car/01.JPG", 5, 7_000_000_000),
        "van_02.tiff": Source("van_02.tiff", 6, 7_000_000_000),
    }
    assert not found.problems


@pytest.mark.parametrize(
    "name",
    [
        "01.jpg.part",
        "01.tmp",
        "01.jpg.filepart",
        "01.jpg.crdownload",
        "01.jpg~",
        "Thumbs.db",
        "desktop.ini",
        "@eaDir",
        "__MACOSX",
        "._01.jpg",
        ".hidden.jpg",
        ".DS_Store",
    ],
)
def test_names_of_the_system_and_of_copies_under_way_are_passed_over(
    tmp_path: Path, name: str
) -> None:
    assert ignored(name)
    put(tmp_path / name)
    put(tmp_path / "car" / name)
    put(tmp_path / "car" / "01.jpg")
    found = look(tmp_path)
    assert list(found.sources) == ["car/01.jpg"]
    assert not found.problems


@pytest.mark.parametrize("folder", ["@eaDir", "__MACOSX", ".Trash"])
def test_photos_in_folders_of_the_system_are_passed_over(tmp_path: Path, folder: str) -> None:
    put(tmp_path / folder / "01.jpg")
    put(tmp_path / "car" / folder / "01.jpg")
    put(tmp_path / "car" / "01.jpg")
    found = look(tmp_path)
    assert list(found.sources) == ["car/01.jpg"]
    assert not found.problems


def test_other_files_beside_photos_are_no_problem(tmp_path: Path) -> None:
    put(tmp_path / "car" / "01.jpg")
    put(tmp_path / "car" / "notes.txt")
    put(tmp_path / "price list.pdf")
    found = look(tmp_path)
    assert list(found.sources) == ["car/01.jpg"]
    assert not found.problems


def test_a_folder_inside_a_shoot_is_named_with_a_cure(tmp_path: Path) -> None:
    put(tmp_path / "car" / "01.jpg")
    put(tmp_path / "car" / "more" / "02.jpg")
    found = look(tmp_path)
    assert list(found.sources) == ["car/01.jpg"]
    assert "move its photos up" in found.problems["car/more"]


def test_the_folder_of_plates_is_no_shoot(tmp_path: Path) -> None:
    (tmp_path / "plate").mkdir()
    (tmp_path / "plate" / "01.jpg").write_bytes(b"x")
    found = look(tmp_path)
    assert not found.sources
    assert not found.problems


def test_a_folder_without_photos_is_named(tmp_path: Path) -> None:
    (tmp_path / "car").mkdir()
    put(tmp_path / "van" / "notes.txt")
    found = look(tmp_path)
    assert set(found.problems) == {"car", "van"}
    assert "holds no photo" in found.problems["car"]


def test_ready_files_and_presets_are_seen(tmp_path: Path) -> None:
    put(tmp_path / "car" / "01.jpg")
    put(tmp_path / "car" / ".ready")
    put(tmp_path / "van" / "01.jpg")
    put(tmp_path / "van" / "preset.toml")
    found = look(tmp_path)
    assert (found.ready, found.presets) == ({"car"}, {"van"})
    assert len(found.sources) == 2


@pytest.mark.parametrize("link", ["loose.jpg", "car/02.jpg", "folder"])
def test_a_link_out_of_the_inbox_is_refused_by_name(tmp_path: Path, link: str) -> None:
    outside = put(tmp_path / "private" / "01.jpg")
    put(tmp_path / "inbox" / "car" / "01.jpg")
    target = outside.parent if link == "folder" else outside
    (tmp_path / "inbox" / link).symlink_to(target)
    found = look(tmp_path / "inbox")
    assert list(found.sources) == ["car/01.jpg"]
    assert "leads out of the inbox" in found.problems[link]


def test_a_link_inside_the_inbox_is_followed(tmp_path: Path) -> None:
    put(tmp_path / "car" / "01.jpg", b"twelve bytes")
    (tmp_path / "van").mkdir()
    (tmp_path / "van" / "01.jpg").symlink_to(tmp_path / "car" / "01.jpg")
    found = look(tmp_path)
    assert found.sources["van/01.jpg"].size == 12
    assert not found.problems


def test_an_inbox_that_is_a_link_itself_is_followed(tmp_path: Path) -> None:
    put(tmp_path / "share" / "car" / "01.jpg")
    (tmp_path / "share" / "car" / "02.jpg").symlink_to(tmp_path / "share" / "car" / "01.jpg")
    (tmp_path / "inbox").symlink_to(tmp_path / "share")
    assert set(look(tmp_path / "inbox").sources) == {"car/01.jpg", "car/02.jpg"}


@pytest.mark.parametrize("target", ["circle.jpg", "nothing.jpg"])
def test_a_link_that_leads_nowhere_is_named_and_stops_nothing(tmp_path: Path, target: str) -> None:
    (tmp_path / "circle.jpg").symlink_to(target)
    put(tmp_path / "car" / "01.jpg")
    (tmp_path / "car" / "circle.jpg").symlink_to(target)
    found = look(tmp_path)
    assert list(found.sources) == ["car/01.jpg"]
    assert set(found.problems) == {"circle.jpg", "car/circle.jpg"}


def test_a_name_that_is_not_unicode_is_named_and_stops_nothing(tmp_path: Path) -> None:
    put(tmp_path / "car" / "01.jpg")
    put(tmp_path / "car" / os.fsdecode(b"caf\xe9.jpg"))
    found = look(tmp_path)
    assert list(found.sources) == ["car/01.jpg"]
    (problem,) = found.problems
    problem.encode()
    assert "rename" in found.problems[problem]


@pytest.mark.parametrize("path", ["car\\01.jpg", "car\\van/01.jpg", "van/a\\b.jpg"])
def test_a_name_with_a_backslash_is_named_and_stops_nothing(tmp_path: Path, path: str) -> None:
    put(tmp_path / path)
    put(tmp_path / "car" / "01.jpg")
    found = look(tmp_path)
    assert list(found.sources) == ["car/01.jpg"]
    assert any("backslash" in sentence for sentence in found.problems.values())


def test_an_inbox_that_is_not_there_is_an_error_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"gone.*CYCLORAMA_INBOX"):
        look(tmp_path / "gone")


def test_a_photo_rests_from_the_moment_that_its_state_was_first_seen() -> None:
    rest, photo = Rest(), Source("a.jpg", 10, 1)
    rest.update({"a.jpg": photo}, 100.0)
    rest.update({"a.jpg": photo}, 103.0)
    assert rest.seconds(photo, 104.0) == 4.0


@pytest.mark.parametrize("later", [Source("a.jpg", 11, 1), Source("a.jpg", 10, 2)])
def test_a_photo_that_grows_or_is_written_again_settles_anew(later: Source) -> None:
    rest, photo = Rest(), Source("a.jpg", 10, 1)
    rest.update({"a.jpg": photo}, 100.0)
    rest.update({"a.jpg": later}, 103.0)
    assert rest.seconds(later, 104.0) == 1.0


def test_a_photo_that_was_never_seen_does_not_rest() -> None:
    assert Rest().seconds(Source("a.jpg", 1, 1), 50.0) == 0.0


def test_a_single_look_tells_since_when_a_file_rests_however_old_it_says_to_be(
    tmp_path: Path,
) -> None:
    (photo,) = drop_photos(tmp_path, 1)
    os.utime(photo, (7, 7))  # as a copy that keeps its date
    sources, came = look(tmp_path).sources, photo.stat().st_ctime
    rest = Rest.by_age(tmp_path, sources, now=50.0, clock=came + 10.0)
    assert rest.seconds(sources[photo.name], 50.0) == pytest.approx(10.0)
    early = Rest.by_age(tmp_path, sources, now=50.0, clock=came - 10.0)
    assert early.seconds(sources[photo.name], 50.0) == 0.0
    photo.unlink()
    gone = Rest.by_age(tmp_path, sources, now=50.0, clock=came + 10.0)
    assert gone.seconds(sources[photo.name], 50.0) == 0.0


def test_what_is_as_it_was_is_the_same_object_and_what_changed_is_another(tmp_path: Path) -> None:
    drop_photos(tmp_path / "car", 2)
    before = look(tmp_path).sources
    (tmp_path / "car/02.jpg").write_bytes(b"another")
    after = look(tmp_path, before).sources
    assert after["car/01.jpg"] is before["car/01.jpg"]
    assert after["car/02.jpg"] != before["car/02.jpg"]
    assert after == look(tmp_path).sources


@pytest.mark.parametrize("picture", ["logo.png", "art/logo.png"])
def test_the_pictures_of_a_shoots_own_preset_are_no_frames(tmp_path: Path, picture: str) -> None:
    photos = drop_photos(tmp_path / "car", 2)
    (tmp_path / "car" / picture).parent.mkdir(exist_ok=True)
    (tmp_path / "car" / picture).write_bytes(photos[0].read_bytes())
    preset = tmp_path / "car" / "preset.toml"
    preset.write_text(f'[overlay]\npicture = "{picture}"\n')
    snapshot = look(tmp_path)
    assert set(snapshot.sources) == {f"car/{photo.name}" for photo in photos}
    assert not snapshot.problems
    preset.write_text('[overlay]\npicture = "."\n')
    assert set(snapshot.sources) <= set(look(tmp_path).sources)
    preset.write_text("overlay = [")
    assert len(look(tmp_path).sources) == len(photos) + (picture == "logo.png")


@pytest.mark.parametrize("later", [b"photO", b"photos"])
def test_a_photo_that_was_replaced_is_seen_though_its_size_or_its_time_is_as_before(
    tmp_path: Path, later: bytes
) -> None:
    photo = put(tmp_path / "car" / "01.tif")
    os.utime(photo, ns=(5, 7_000_000_000))
    before = look(tmp_path).sources
    photo.write_bytes(later)
    os.utime(photo, ns=(5, 7_000_000_000 + (len(later) == 5)))
    assert look(tmp_path, before).sources == look(tmp_path).sources != before
