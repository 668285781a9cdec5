from __future__ import annotations

import errno
import os
import shutil
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts import manifest_with, photo_bytes, row_of
from unet_core.files import sha256
from worker.errors import FolderError, LeaseLost, ShootError
from worker.outbox.manifest import (
    FrameRow,
    Manifest,
    read_manifest,
)
from worker.outbox.places import Places
from worker.outbox.publish import Staging, release, replace_folder
from worker.shoots import Source

PHOTO = Source("car/01.jpg", 10, 5)


def stage(places: Places, *, seed: int = 1, name: str = "01", source: Source = PHOTO) -> FrameRow:
    """A finished frame in staging."""
    staging = Staging(places, "car")
    outputs = {
        "composite": staging.write(f"{name}.jpg", photo_bytes(seed)),
        "mask": staging.write(f"masks/{name}.png", photo_bytes(seed, form="PNG")),
    }
    row = row_of(source, name, outputs=outputs, width=48, height=32)
    staging.add(row)
    return row


def manifest(*rows: FrameRow, status: str = "complete") -> Manifest:
    return manifest_with("car", list(rows), status=status)


def publish(places: Places, *rows: FrameRow, status: str = "complete") -> Path:
    """Publishes what is staged, with these rows."""
    return Staging(places, "car").publish(manifest(*rows, status=status))


def tree(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


WHOLE = {"01.jpg", "masks/01.png", "contact-sheet.jpg", "spin.html", "manifest.json"}


def test_what_was_written_is_told_with_hash_and_size(places: Places) -> None:
    output = Staging(places, "car").write("masks/01.png", b"data")
    assert (output.path, output.sha256, output.bytes) == ("masks/01.png", sha256(b"data"), 4)


def staged(places: Places) -> Path:
    """The folder in which the shoot is made now."""
    (folder,) = places.staging("car").iterdir()
    return folder


def test_finished_frames_are_found_again(places: Places) -> None:
    row = stage(places)
    assert Staging(places, "car").rows() == {PHOTO: row}


@pytest.mark.parametrize("harm", ["gone", "cut off"])
def test_a_frame_whose_file_is_not_whole_is_not_finished(places: Places, harm: str) -> None:
    stage(places)
    file = staged(places) / "masks" / "01.png"
    file.unlink() if harm == "gone" else file.write_bytes(b"half")
    assert Staging(places, "car").rows() == {}


def test_a_damaged_row_is_passed_over(places: Places) -> None:
    row = stage(places)
    (staged(places) / ".rows" / "x.json").write_text("{")
    assert Staging(places, "car").rows() == {PHOTO: row}


def test_a_shoot_is_published_whole_and_nothing_is_left_in_staging(places: Places) -> None:
    row = stage(places)
    folder = publish(places, row)
    assert folder == places.published("car")
    assert tree(folder) == WHOLE
    assert read_manifest(folder) == manifest(row)
    assert list((places.outbox / ".staging").iterdir()) == []


def test_what_the_manifest_does_not_name_is_swept_away(places: Places) -> None:
    row = stage(places)
    for stray in ("01.webp", "cutouts/01.png", ".abc.part"):
        Staging(places, "car").write(stray, b"stray")
    folder = publish(places, row)
    assert tree(folder) == WHOLE
    assert not (folder / "cutouts").exists()


def test_a_newer_edition_replaces_the_older(places: Places) -> None:
    publish(places, stage(places, seed=1))
    newer = stage(places, seed=2)
    folder = publish(places, newer)
    assert (folder / "01.jpg").read_bytes() == photo_bytes(2)
    assert list((places.outbox / ".staging").iterdir()) == []


def test_a_frame_is_taken_over_from_the_older_edition_unchanged(places: Places) -> None:
    row = stage(places)
    edition = publish(places, row)
    staging = Staging(places, "car")
    assert staging.adopt(row, edition)
    assert staging.rows() == {PHOTO: row}
    folder = staging.publish(manifest(row))
    assert (folder / "01.jpg").read_bytes() == photo_bytes(1)


def test_a_share_that_syncs_no_folders_and_has_no_links_is_good_enough(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def of_files_only(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    def no_links(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "fsync", of_files_only)
    monkeypatch.setattr(os, "link", no_links)
    row = stage(places)
    folder = publish(places, row)
    staging = Staging(places, "car")
    assert staging.adopt(row, folder)
    assert tree(staging.publish(manifest(row))) == WHOLE


def test_a_frame_whose_files_are_gone_is_not_taken_over(places: Places) -> None:
    row = stage(places)
    edition = publish(places, row)
    (edition / "01.jpg").unlink()
    staging = Staging(places, "car")
    assert not staging.adopt(row, edition)
    assert staging.rows() == {}


def test_writing_in_staging_never_touches_the_edition_that_was_taken_over(places: Places) -> None:
    row = stage(places)
    edition = publish(places, row)
    staging = Staging(places, "car")
    staging.adopt(row, edition)
    staging.write("01.jpg", b"another")
    assert (edition / "01.jpg").read_bytes() == photo_bytes(1)


class Crash(BaseException):
    pass


def test_a_crash_between_the_two_renames_is_healed_by_the_next_attempt(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(places, stage(places, seed=1))
    newer, rename = stage(places, seed=2), Path.rename

    def crash_on_second(path: Path, target: Path) -> Path:
        if target == places.published("car"):
            raise Crash
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", crash_on_second)
        with pytest.raises(Crash):
            publish(places, newer)
    assert not places.published("car").exists()
    assert (places.retired("car") / "01.jpg").read_bytes() == photo_bytes(1)
    staging = Staging(places, "car")
    assert staging.rows() == {PHOTO: newer}
    folder = staging.publish(manifest(newer))
    assert (folder / "01.jpg").read_bytes() == photo_bytes(2)
    assert tree(folder) == WHOLE
    assert list((places.outbox / ".staging").iterdir()) == []


def test_a_folder_that_this_program_did_not_make_is_left_alone(places: Places) -> None:
    places.published("car").mkdir()
    (places.published("car") / "original.raw").write_bytes(b"the only copy")
    row = stage(places)
    with pytest.raises(FolderError, match="Move it away"):
        publish(places, row)
    assert tree(places.published("car")) == {"original.raw"}
    assert (staged(places) / "01.jpg").exists()


def test_a_file_in_the_place_of_a_shoot_is_left_alone(places: Places) -> None:
    places.published("car").write_bytes(b"a file")
    with pytest.raises(FolderError, match="left alone"):
        publish(places, stage(places))
    assert places.published("car").read_bytes() == b"a file"


def test_an_empty_folder_in_the_place_of_a_shoot_is_taken(places: Places) -> None:
    places.published("car").mkdir()
    publish(places, stage(places))
    assert tree(places.published("car")) == WHOLE


def test_an_edition_without_its_manifest_is_still_known_as_ours(places: Places) -> None:
    folder = publish(places, stage(places))
    (folder / "manifest.json").unlink()
    publish(places, stage(places, seed=2))
    assert tree(folder) == WHOLE


def test_leftovers_of_an_older_crash_do_not_stand_in_the_way(places: Places) -> None:
    aside = places.retired("car")
    (aside / "masks").mkdir(parents=True)
    (aside / "masks" / "01.png").touch()
    new = places.staging("car")
    new.mkdir()
    replace_folder(new, places.published("car"), places=places, shoot="car")
    assert places.published("car").is_dir()
    assert not aside.exists()


def test_an_attempt_that_was_overtaken_can_neither_write_nor_publish(places: Places) -> None:
    row = stage(places)
    frozen = Staging(places, "car")
    successor = Staging(places, "car")
    assert successor.rows() == {PHOTO: row}
    for act in (
        lambda: frozen.write("01.jpg", b"late"),
        lambda: frozen.add(row),
        lambda: frozen.begin("01"),
        lambda: frozen.publish(manifest(row)),
    ):
        with pytest.raises(LeaseLost, match="taken over 'car'"):
            act()
    folder = successor.publish(manifest(row))
    with pytest.raises(LeaseLost):
        frozen.publish(manifest(row))
    assert (folder / "01.jpg").read_bytes() == photo_bytes(1)
    assert tree(folder) == WHOLE
    assert list((places.outbox / ".staging").iterdir()) == []


def test_an_overtaken_publication_moves_nothing_that_was_delivered(places: Places) -> None:
    folder = publish(places, stage(places))
    gone = places.staging("car") / "gone"
    with pytest.raises(FileNotFoundError):
        replace_folder(gone, folder, places=places, shoot="car")
    assert tree(folder) == WHOLE


def test_a_link_in_the_place_of_staging_is_not_followed(places: Places, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "private").mkdir(parents=True)
    places.staging("car").symlink_to(elsewhere)
    stage(places)
    assert [path.name for path in elsewhere.iterdir()] == ["private"]


def test_what_was_made_of_a_shoot_can_be_dropped(places: Places) -> None:
    stage(places)
    Staging(places, "car").discard()
    assert list((places.outbox / ".staging").iterdir()) == []


def test_a_held_shoot_lies_apart_until_it_is_released(places: Places) -> None:
    folder = publish(places, stage(places), status="held")
    assert folder == places.held("car")
    assert not places.published("car").exists()
    assert release(places, "car") == places.published("car")
    assert tree(places.published("car")) == WHOLE
    found = read_manifest(places.published("car"))
    assert found
    assert found.status == "complete"
    assert not places.held("car").exists()


def test_a_held_shoot_that_cannot_be_moved_is_held_as_before(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = publish(places, stage(places), status="held")
    before = {path: path.read_bytes() for path in folder.glob("*.*")}

    def in_use(*_: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", in_use)
        with pytest.raises(FolderError, match=r"cannot be moved.*Permission denied.*release it"):
            release(places, "car")
    assert {path: path.read_bytes() for path in folder.glob("*.*")} == before
    assert release(places, "car") == places.published("car")


def test_accents_that_a_disk_spells_in_another_way_are_still_ours(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    glob = Path.rglob

    def as_macs_list(folder: Path, pattern: str) -> Iterator[Path]:
        for path in glob(folder, pattern):
            yield path.with_name(unicodedata.normalize("NFD", path.name))

    name = "Citro\N{LATIN SMALL LETTER E WITH DIAERESIS}n"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rglob", as_macs_list)
        staging = Staging(places, "car")
        row = row_of(PHOTO, name, outputs={"mask": staging.write(f"{name}.png", b"mask")})
        folder = staging.publish(manifest_with("car", [row]))
    assert (folder / f"{name}.png").read_bytes() == b"mask"


def test_the_contact_sheet_of_a_released_shoot_no_longer_says_that_it_is_held(
    places: Places,
) -> None:
    publish(places, stage(places), status="held")
    release(places, "car")
    released = (places.published("car") / "contact-sheet.jpg").read_bytes()
    folder = publish(places, stage(places))
    assert (folder / "contact-sheet.jpg").read_bytes() == released


def test_a_released_shoot_with_a_failed_frame_is_incomplete(places: Places) -> None:
    failed = row_of(
        Source("car/02.jpg", 0, 1), "02", error={"code": "empty-file", "message": "It is empty."}
    )
    publish(places, stage(places), failed, status="held")
    found = read_manifest(release(places, "car"))
    assert found
    assert found.status == "incomplete"


def test_a_complete_edition_takes_the_place_of_a_held_one(places: Places) -> None:
    publish(places, stage(places), status="held")
    publish(places, stage(places))
    assert not places.held("car").exists()
    assert tree(places.published("car")) == WHOLE


@pytest.mark.parametrize("status", ["complete", "held"])
def test_what_a_person_did_in_a_held_shoot_outlives_its_newer_edition(
    places: Places, status: str
) -> None:
    held = publish(places, stage(places), status="held")
    (held / "01.jpg").write_bytes(b"retouched")
    folder = publish(places, stage(places), status=status)
    (kept,) = (places.outbox / ".replaced").iterdir()
    assert (kept / "01.jpg").read_bytes() == b"retouched"
    assert tree(folder) == WHOLE


def test_what_file_browsers_leave_in_a_shoot_is_nobodys_work(places: Places) -> None:
    folder = publish(places, stage(places))
    for name in (".DS_Store", "masks/Thumbs.db", "masks/._01.png"):
        (folder / name).write_bytes(b"x")
    publish(places, stage(places))
    assert not (places.outbox / ".replaced").exists()


def test_a_name_as_long_as_a_file_system_takes_can_be_put_away(places: Places) -> None:
    shoot = "я" * 120
    for _ in range(2):
        staging = Staging(places, shoot)
        folder = staging.publish(manifest_with(shoot, []))
        (folder / "notes.txt").write_text("mine")
    assert len(list((places.outbox / ".replaced").iterdir())) == 1


def test_only_a_held_shoot_can_be_released(places: Places) -> None:
    publish(places, stage(places))
    for name in ("car", "ghost"):
        with pytest.raises(ShootError, match=f"no shoot '{name}' is held"):
            release(places, name)


def test_a_shoot_of_failures_only_has_no_spin_page(places: Places) -> None:
    failed = row_of(PHOTO, error={"code": "empty-file", "message": "It is empty."})
    folder = publish(places, failed, status="incomplete")
    assert tree(folder) == {"contact-sheet.jpg", "manifest.json"}


def test_nothing_is_made_in_the_bare_folder_that_a_share_leaves_behind(places: Places) -> None:
    staging = places.outbox / ".staging"
    staging.rmdir()
    with pytest.raises(FolderError, match="Mount its share again"):
        Staging(places, "car")
    assert list(places.outbox.iterdir()) == []
    (places.outbox / "van").mkdir()  # it is the outbox: somebody has tidied up
    stage(places)
    assert staging.is_dir()


def test_a_retouched_picture_of_the_same_size_in_bytes_is_kept_and_not_taken_over(
    places: Places,
) -> None:
    row = stage(places)
    folder = publish(places, row)
    retouched = bytes(reversed(photo_bytes(1)))
    (folder / "01.jpg").write_bytes(retouched)
    assert not Staging(places, "car").adopt(row, folder)
    publish(places, stage(places, seed=2))
    (kept,) = (places.outbox / ".replaced").iterdir()
    assert (kept / "01.jpg").read_bytes() == retouched


def test_a_new_edition_is_on_the_disk_before_it_has_its_place_and_its_place_before_the_old_goes(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(places, stage(places, seed=1))
    newer = stage(places, seed=2)
    staging = Staging(places, "car")
    names = {
        staging.folder.stat().st_ino: "edition",
        places.outbox.stat().st_ino: "outbox",
    }
    events: list[str] = []
    fsync, rename, rmtree = os.fsync, Path.rename, shutil.rmtree

    def noting_fsync(handle: int) -> None:
        if name := names.get(os.fstat(handle).st_ino):
            events.append(f"sync {name}")
        fsync(handle)

    def noting_rename(path: Path, target: Path) -> Path:
        if target == places.published("car"):
            events.append("rename")
        return rename(path, target)

    def noting_rmtree(path: Path, **options: object) -> None:
        if path == places.retired("car"):
            events.append("old edition removed")
        rmtree(path, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "rename", noting_rename)
    monkeypatch.setattr(shutil, "rmtree", noting_rmtree)
    staging.publish(manifest(newer))
    assert events == ["sync edition", "rename", "sync outbox", "old edition removed"]


def test_what_was_delivered_is_put_back_when_the_newer_edition_cannot_take_its_place(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = publish(places, stage(places, seed=1))
    newer, rename = stage(places, seed=2), Path.rename

    def in_use(path: Path, target: Path) -> Path:
        if target == folder and path != places.retired("car"):
            raise OSError(errno.EACCES, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", in_use)
    with pytest.raises(OSError, match="Permission denied"):
        publish(places, newer)
    assert (folder / "01.jpg").read_bytes() == photo_bytes(1)
    assert tree(folder) == WHOLE
    assert not places.retired("car").exists()


def test_a_frame_can_be_taken_over_twice(places: Places) -> None:
    row = stage(places)
    edition = publish(places, row)
    staging = Staging(places, "car")
    assert staging.adopt(row, edition)
    assert staging.adopt(row, edition)
    assert (edition / "01.jpg").read_bytes() == photo_bytes(1)


def test_a_frame_that_cannot_be_copied_is_not_taken_over(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = stage(places)
    edition = publish(places, row)
    staging = Staging(places, "car")

    def full(*_: object) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copyfile", full)
    assert not staging.adopt(row, edition)
    assert staging.rows() == {}


def test_an_outbox_that_went_away_is_not_taken_for_another_worker(places: Places) -> None:
    staging = Staging(places, "car")
    places.outbox.rename(places.outbox.with_name("unmounted"))
    with pytest.raises(FileNotFoundError):
        staging.write("01.jpg", b"late")


def test_a_held_shoot_is_not_released_onto_somebody_elses_folder(places: Places) -> None:
    held = publish(places, stage(places), status="held")
    before = {path: path.read_bytes() for path in held.glob("*.*")}
    places.published("car").mkdir()
    (places.published("car") / "original.raw").write_bytes(b"the only copy")
    with pytest.raises(FolderError, match="Move it away"):
        release(places, "car")
    assert {path: path.read_bytes() for path in held.glob("*.*")} == before
    assert tree(places.published("car")) == {"original.raw"}
