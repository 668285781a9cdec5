"""A shoot that is published again: what is made, what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parts import drop_photos, photo_bytes
from tests.worker.line.bench import Bench, Crash, assert_clean
from unet_core.images import Photo, UnreadableImage, decode
from worker.line import frame as frame_module
from worker.outbox.manifest import read_manifest
from worker.outbox.publish import release


def test_a_shoot_with_a_failed_frame_is_held_if_the_preset_says_so_until_it_is_released(
    bench: Bench, car: Path
) -> None:
    bench.preset('on_failed_frame = "hold"\n')
    (car / "02.jpg").write_bytes(b"")
    bench.work()
    held = bench.places.held("car")
    assert not bench.places.published("car").exists()
    manifest = read_manifest(held)
    assert manifest
    assert manifest.status == "held"
    assert release(bench.places, "car") == bench.places.published("car")
    assert bench.manifest().status == "incomplete"
    assert not held.exists()
    assert_clean(bench)


def test_a_held_shoot_whose_photo_is_mended_is_published(bench: Bench, car: Path) -> None:
    bench.preset('on_failed_frame = "hold"\n')
    (car / "02.jpg").write_bytes(b"")
    bench.work()
    (car / "02.jpg").write_bytes(photo_bytes(2))
    bench.work()
    assert bench.manifest().status == "complete"
    assert not bench.places.held("car").exists()


def test_what_was_delivered_stays_while_a_newer_edition_is_held(bench: Bench, car: Path) -> None:
    bench.preset('on_failed_frame = "hold"\n')
    bench.work()
    delivered = bench.files(bench.places.published("car"))
    (car / "02.jpg").write_bytes(b"")
    bench.work()
    assert bench.files(bench.places.published("car")) == delivered
    assert bench.places.held("car").exists()
    release(bench.places, "car")
    assert bench.manifest().status == "incomplete"


def test_what_people_did_in_the_outbox_is_kept_when_a_shoot_is_published_anew(
    bench: Bench, car: Path
) -> None:
    bench.work()
    folder = bench.places.published("car")
    (folder / "01.jpg").write_bytes(b"retouched by hand")
    (folder / "notes.txt").write_text("for the dealer")
    (car / "02.jpg").write_bytes(photo_bytes(9))
    bench.work()
    (kept,) = (bench.places.outbox / ".replaced").iterdir()
    assert (kept / "01.jpg").read_bytes() == b"retouched by hand"
    assert (kept / "notes.txt").exists()
    assert (folder / "01.jpg").read_bytes() != b"retouched by hand"
    assert_clean(bench)


@pytest.mark.usefixtures("car")
def test_a_redelivered_message_touches_nothing(bench: Bench, decoded: list[str]) -> None:
    message = bench.message()
    bench.line.handle(message)
    files, folder = bench.files(bench.places.outbox), bench.places.published("car").stat()
    bench.line.handle(message)
    assert sorted(decoded) == ["01.jpg", "02.jpg", "03.jpg"]
    assert bench.files(bench.places.outbox) == files
    assert bench.places.published("car").stat().st_ino == folder.st_ino
    assert_clean(bench)


def test_a_released_shoot_is_not_held_again_by_a_redelivered_message(
    bench: Bench, car: Path
) -> None:
    bench.preset('on_failed_frame = "hold"\n')
    (car / "02.jpg").write_bytes(b"")
    message = bench.message()
    bench.line.handle(message)
    release(bench.places, "car")
    bench.line.handle(message)
    assert bench.manifest().status == "incomplete"
    assert not bench.places.held("car").exists()


def test_only_a_replaced_photo_is_made_again(bench: Bench, car: Path, decoded: list[str]) -> None:
    bench.work()
    before = bench.files(bench.places.published("car"))
    decoded.clear()
    (car / "02.jpg").write_bytes(photo_bytes(99))
    bench.work()
    after = bench.files(bench.places.published("car"))
    assert decoded == ["02.jpg"]
    changed = {name for name in after if after[name] != before[name]}
    assert changed >= {"02.jpg", "manifest.json", "spin.html"}
    assert not changed & {"01.jpg", "03.jpg", "masks/01.png", "masks/03.png"}
    assert [row.name for row in bench.manifest().frames] == ["01", "02", "03"]
    assert_clean(bench)


def test_a_delivered_frame_whose_photo_cannot_be_read_holds_up_no_other(
    bench: Bench, car: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.preset('[framing]\nmode = "fit"\n')
    bench.work()
    (car / "02.jpg").write_bytes(photo_bytes(99))

    def read(path: Path, **options: object) -> Photo:
        if path.name == "03.jpg":
            raise UnreadableImage("'03.jpg' could not be read", code="read-failed", cure="Look.")
        return decode(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("worker.line.dress.decode", read)
    before = bench.manifest()
    for attempt in (1, 2):
        bench.work(attempt=attempt)
        assert bench.manifest() == before
    bench.work(attempt=3)
    rows = {row.name: row for row in bench.manifest().frames}
    assert rows["02"].source.size == (car / "02.jpg").stat().st_size
    assert not [row.error for row in rows.values() if row.error]
    assert_clean(bench)


def test_a_new_angle_joins_what_is_delivered(bench: Bench, car: Path, decoded: list[str]) -> None:
    bench.work()
    decoded.clear()
    (car / "04.jpg").write_bytes(photo_bytes(4))
    bench.work()
    assert decoded == ["04.jpg"]
    assert [row.angle for row in bench.manifest().frames] == [1, 2, 3, 4]


def test_a_removed_original_keeps_its_delivered_frame(bench: Bench, car: Path) -> None:
    bench.work()
    before = bench.files(bench.places.published("car"))
    (car / "03.jpg").unlink()
    (car / "04.jpg").write_bytes(photo_bytes(4))
    bench.work()
    after = bench.files(bench.places.published("car"))
    assert [row.name for row in bench.manifest().frames] == ["01", "02", "03", "04"]
    assert after["03.jpg"] == before["03.jpg"]


def test_a_removed_original_keeps_its_frame_through_a_crash_between_the_two_renames(
    bench: Bench, car: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.work()
    (car / "03.jpg").unlink()
    (car / "04.jpg").write_bytes(photo_bytes(4))
    rename, published = Path.rename, bench.places.published("car")

    def crash_on_second(path: Path, target: Path) -> Path:
        if target == published:
            raise Crash
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", crash_on_second)
        with pytest.raises(Crash):
            bench.work()
    assert not published.exists()
    bench.work(attempt=2)
    assert [row.name for row in bench.manifest().frames] == ["01", "02", "03", "04"]
    assert_clean(bench)


def test_a_photo_that_was_renamed_takes_the_place_of_its_angle(bench: Bench, car: Path) -> None:
    bench.work()
    (car / "03.jpg").rename(car / "right 3.jpg")
    bench.work()
    assert [row.name for row in bench.manifest().frames] == ["01", "02", "right 3"]


def test_a_photo_is_not_delivered_twice_when_its_outputs_get_another_name(bench: Bench) -> None:
    car = bench.places.inbox / "car"
    drop_photos(car, 0)
    (car / "a.jpg").write_bytes(photo_bytes(1))
    (car / "a.png").write_bytes(photo_bytes(2, form="PNG"))
    bench.work()
    assert [row.name for row in bench.manifest().frames] == ["a", "a-png"]
    (car / "a.jpg").unlink()
    bench.work()
    assert [row.source.path for row in bench.manifest().frames] == ["car/a.png"]


def test_a_failed_photo_that_was_taken_away_does_not_keep_the_shoot_incomplete(
    bench: Bench, car: Path
) -> None:
    (car / "03.jpg").write_bytes(b"")
    bench.work()
    assert bench.manifest().status == "incomplete"
    (car / "03.jpg").unlink()
    bench.work()
    assert (bench.manifest().status, len(bench.manifest().frames)) == ("complete", 2)


def test_a_failed_frame_is_tried_again_only_when_asked(
    bench: Bench, car: Path, decoded: list[str]
) -> None:
    (car / "03.jpg").write_bytes(b"")
    bench.work()
    decoded.clear()
    bench.work()
    assert decoded == []
    bench.work(retry=True)
    assert decoded == ["03.jpg"]


@pytest.mark.usefixtures("car")
def test_a_new_checkpoint_makes_all_frames_again_when_a_person_asks(bench: Bench) -> None:
    bench.work()
    bench.slot.current = bench.segmenters["second"]
    bench.work()
    assert bench.manifest().checkpoint.version == "second"
    assert len({row.checkpoint for row in bench.manifest().frames}) == 1


@pytest.mark.usefixtures("car")
def test_a_champion_that_changes_in_the_middle_waits_for_the_next_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = frame_module.make_frame

    def make_and_promote(*arguments: object) -> object:
        bench.slot.current = bench.segmenters["second"]
        return make(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("worker.line.pipeline.make_frame", make_and_promote)
    bench.work()
    first = bench.segmenters["first"].card.sha256
    assert {row.checkpoint for row in bench.manifest().frames} == {first}
    assert bench.manifest().checkpoint.sha256 == first


def test_a_foreign_folder_in_the_outbox_is_never_replaced(bench: Bench, car: Path) -> None:
    foreign = bench.places.published("car")
    foreign.mkdir()
    (foreign / "original.raw").write_bytes(b"the only copy")
    bench.work()
    assert list(foreign.iterdir()) == [foreign / "original.raw"]
    assert (foreign / "original.raw").read_bytes() == b"the only copy"
    note = bench.leases.note("car")
    assert note
    assert "Move it away" in note.error


def test_an_angle_that_was_photographed_anew_under_another_name_is_not_there_twice(
    bench: Bench, car: Path
) -> None:
    bench.work()
    (car / "02.jpg").unlink()
    (car / "again_02.jpg").write_bytes(photo_bytes(99))
    bench.work()
    rows = bench.manifest().frames
    assert [(row.name, row.angle) for row in rows] == [("01", 1), ("again_02", 2), ("03", 3)]
