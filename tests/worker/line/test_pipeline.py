from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.parts import SIZE, drop_photos, photo_bytes
from tests.worker.line.bench import Bench
from unet_core.segment import Picture, Segmenter
from worker.errors import LeaseLost
from worker.line import frame as frame_module
from worker.line.batcher import Batcher
from worker.line.pipeline import kept
from worker.outbox.manifest import read_manifest
from worker.outbox.publish import Staging, release
from worker.queue.leases import Leases


@pytest.fixture
def car(bench: Bench) -> Path:
    drop_photos(bench.places.inbox / "car", 3)
    return bench.places.inbox / "car"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the photos that were decoded, in order."""
    names: list[str] = []
    decode = frame_module.decode

    def noting(path: Path, *, max_pixels: int) -> object:
        names.append(path.name)
        return decode(path, max_pixels=max_pixels)

    monkeypatch.setattr(frame_module, "decode", noting)
    return names


def assert_clean(bench: Bench, shoot: str = "car") -> None:
    """Nothing is left in staging, no temporary file, no lease and no note."""
    assert list((bench.places.outbox / ".staging").iterdir()) == []
    assert [p for p in bench.places.outbox.rglob("*") if p.name.endswith(".part")] == []
    assert not bench.leases.held(shoot)
    assert bench.leases.note(shoot) is None


@pytest.mark.usefixtures("car")
def test_a_shoot_appears_whole_with_every_file_as_its_manifest_says(bench: Bench) -> None:
    originals = bench.files(bench.places.inbox)
    bench.work()
    manifest = bench.manifest()
    assert (manifest.status, manifest.attempts, manifest.shoot) == ("complete", 1, "car")
    assert [(row.name, row.angle) for row in manifest.frames] == [("01", 1), ("02", 2), ("03", 3)]
    files = bench.files(bench.places.published("car"))
    expected = {"manifest.json", "contact-sheet.jpg", "spin.html"}
    for row in manifest.frames:
        assert row.error is None
        assert row.source.sha256 == originals[row.source.path]
        assert (row.width, row.height) == SIZE
        assert set(row.outputs) == {"composite", "mask"}
        for output in row.outputs.values():
            assert files[output.path] == output.sha256
            expected.add(output.path)
    assert set(files) == expected
    with Image.open(bench.places.published("car") / "masks" / "01.png") as mask:
        assert (mask.mode, mask.size) == ("L", SIZE)
    assert bench.files(bench.places.inbox) == originals
    assert_clean(bench)


@pytest.mark.usefixtures("car")
def test_the_line_counts_what_it_made(bench: Bench) -> None:
    bench.work()
    assert bench.line.frames == 3
    assert bench.line.last_frame_at == pytest.approx(time.time(), abs=30)
    assert not bench.line.shoots


@pytest.mark.usefixtures("car")
def test_a_manifest_names_preset_checkpoint_and_program(bench: Bench) -> None:
    bench.work(attempt=2)
    manifest = bench.manifest()
    card = bench.segmenters["first"].card
    assert (manifest.checkpoint.version, manifest.checkpoint.sha256) == ("first", card.sha256)
    assert (manifest.preset.name, manifest.attempts) == ("test", 2)
    assert {row.preset for row in manifest.frames} == {manifest.preset.digest}
    assert manifest.started <= manifest.finished


def test_bad_photos_are_rows_with_their_cure_and_the_good_ones_are_delivered(
    bench: Bench, car: Path
) -> None:
    whole = photo_bytes(4)
    (car / "04.jpg").write_bytes(whole[: len(whole) // 2])
    (car / "05.jpg").write_bytes(b"")
    (car / "06.jpg").write_text("no photo at all, but a shopping list")
    bench.work()
    manifest = bench.manifest()
    assert manifest.status == "incomplete"
    errors = {row.name: row.error.code for row in manifest.frames if row.error}
    assert errors == {"04": "truncated", "05": "empty-file", "06": "not-an-image"}
    assert all(row.error.message.endswith(".") for row in manifest.failed() if row.error)
    delivered = {p.name for p in bench.places.published("car").glob("*.jpg")}
    assert delivered == {"01.jpg", "02.jpg", "03.jpg", "contact-sheet.jpg"}
    assert_clean(bench)


def test_a_shoot_without_a_good_photo_is_published_with_its_reasons(bench: Bench) -> None:
    folder = bench.places.inbox / "car"
    folder.mkdir()
    (folder / "01.jpg").write_bytes(b"")
    bench.work()
    assert set(bench.files(bench.places.published("car"))) == {"manifest.json", "contact-sheet.jpg"}
    assert bench.manifest().status == "incomplete"


def test_a_photo_larger_than_allowed_is_a_row(bench: Bench, car: Path) -> None:
    (car / "04.jpg").write_bytes(photo_bytes(4, size=(1100, 1000)))
    bench.work()
    (row,) = bench.manifest().failed()
    assert row.error
    assert (row.name, row.error.code) == ("04", "too-large")


def test_a_photo_that_went_away_is_a_row(bench: Bench, car: Path) -> None:
    message = bench.message()
    (car / "02.jpg").unlink()
    bench.line.handle(message)
    assert {r.name: r.error.code for r in bench.manifest().failed() if r.error} == {"02": "missing"}


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


def test_a_frame_that_ended_the_worker_twice_is_set_aside_and_the_rest_is_delivered(
    bench: Bench, decoded: list[str]
) -> None:
    drop_photos(bench.places.inbox / "car", 3)
    staging = Staging(bench.places, "car")
    for _ in range(2):  # two workers died on it
        staging.begin("02")
    bench.line.handle(bench.message(attempt=4))
    rows = {row.name: row for row in bench.manifest().frames}
    assert {name for name, row in rows.items() if row.outputs} == {"01", "03"}
    assert rows["02"].error
    assert rows["02"].error.code == "crashed"
    assert decoded == ["01.jpg", "03.jpg"], "after a crash frames go one by one"
    assert_clean(bench)


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


@pytest.mark.usefixtures("car")
def test_a_message_for_a_shoot_in_work_elsewhere_does_nothing(
    bench: Bench, decoded: list[str]
) -> None:
    lease = bench.leases.acquire("car")
    assert lease
    bench.work()
    assert decoded == []
    assert not bench.places.published("car").exists()
    lease.renew()


def test_a_message_that_is_none_of_ours_is_dropped_and_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.line.handle({"shoot": "../car"})
    assert "no job of ours" in caplog.text


class Crash(BaseException):
    """Ends the process, as far as the line can tell."""


@pytest.mark.usefixtures("car")
def test_after_a_crash_only_the_rest_is_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    add = Staging.add

    def add_two(staging: Staging, row: object) -> None:
        if len(list((staging.folder / ".rows").iterdir())) == 2:
            raise Crash
        add(staging, row)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Staging, "add", add_two)
        with pytest.raises(Crash):
            bench.work()
    assert not bench.places.published("car").exists()
    kept_rows = {row.name for row in Staging(bench.places, "car").rows().values()}
    assert len(kept_rows) == 2
    decoded.clear()
    bench.work(attempt=2)
    assert {Path(name).stem for name in decoded} == {"01", "02", "03"} - kept_rows
    assert bench.manifest().status == "complete"
    assert_clean(bench)


@pytest.mark.usefixtures("car")
def test_after_a_crash_just_before_publication_no_photo_is_opened_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr("worker.outbox.publish.replace_folder", crash)
        with pytest.raises(Crash):
            bench.work()
    decoded.clear()
    bench.work(attempt=2)
    assert decoded == []
    assert (bench.manifest().status, len(bench.manifest().frames)) == ("complete", 3)
    assert_clean(bench)


@pytest.mark.usefixtures("car")
def test_what_a_crash_left_is_not_used_once_preset_or_checkpoint_is_another(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr("worker.outbox.publish.replace_folder", crash)
        with pytest.raises(Crash):
            bench.work()
    decoded.clear()
    bench.slot.current = bench.segmenters["second"]
    bench.preset('[output]\nformat = "png"\n')
    bench.work(attempt=2)
    assert len(decoded) == 3
    assert {row.checkpoint for row in bench.manifest().frames} == {
        bench.segmenters["second"].card.sha256
    }
    names = {path.name for path in bench.places.published("car").iterdir()}
    assert names == {
        "01.png", "02.png", "03.png", "masks", "contact-sheet.jpg", "spin.html", "manifest.json"
    }  # fmt: skip


def test_only_a_replaced_photo_is_made_again(bench: Bench, car: Path, decoded: list[str]) -> None:
    bench.work()
    before = bench.files(bench.places.published("car"))
    decoded.clear()
    (car / "02.jpg").write_bytes(photo_bytes(99))
    bench.work()
    after = bench.files(bench.places.published("car"))
    assert decoded == ["02.jpg"]
    changed = {name for name in after if after[name] != before[name]}
    assert changed >= {"02.jpg", "manifest.json"}
    assert not changed & {"01.jpg", "03.jpg", "masks/01.png", "masks/03.png", "spin.html"}
    assert [row.name for row in bench.manifest().frames] == ["01", "02", "03"]
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


def test_a_full_disk_fails_the_attempt_publishes_nothing_and_the_next_one_completes(
    bench: Bench, car: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    write = Staging.write

    def full(staging: Staging, path: str, data: bytes) -> object:
        if path == "02.jpg":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(staging, path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Staging, "write", full)
        bench.work()
    note = bench.leases.note("car")
    assert note
    assert (note.state, note.attempt) == ("failed", 1)
    assert "No space left" in note.error
    assert not bench.places.published("car").exists()
    assert not bench.leases.held("car")
    decoded.clear()
    bench.work(attempt=2)
    assert "02.jpg" in decoded
    assert (bench.manifest().status, bench.manifest().attempts) == ("complete", 2)
    assert_clean(bench)


@pytest.mark.usefixtures("car")
def test_a_device_that_fails_fails_the_attempt_and_blames_no_photo(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Segmenter, pictures: Sequence[Picture]) -> list[Picture]:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "segment", broken)
        bench.work()
    note = bench.leases.note("car")
    assert note
    assert note.state == "failed"
    assert "CUDA error" in note.error
    assert not bench.places.published("car").exists()
    bench.work(attempt=2)
    assert bench.manifest().status == "complete"


@pytest.mark.usefixtures("car")
def test_an_unforeseen_error_on_one_photo_is_a_row(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    refine, calls = frame_module.refine, []

    def sometimes(mask: Picture, pixels: Picture) -> Picture:
        calls.append(1)
        if len(calls) == 2:
            raise KeyError("unforeseen")
        return refine(mask, pixels)

    monkeypatch.setattr(frame_module, "refine", sometimes)
    bench.work()
    (row,) = bench.manifest().failed()
    assert row.error
    assert row.error.code == "internal"
    assert "KeyError" in row.error.message


def test_an_impossible_preset_fails_the_attempt_with_its_reason(bench: Bench, car: Path) -> None:
    (car / "preset.toml").write_text("frames = 'many'\n")
    bench.work()
    note = bench.leases.note("car")
    assert note
    assert note.state == "failed"
    assert "preset.toml" in note.error
    (car / "preset.toml").unlink()
    bench.work(attempt=2)
    assert bench.manifest().status == "complete"


def test_a_backdrop_that_is_no_picture_blames_the_preset_and_no_photo(
    bench: Bench, car: Path
) -> None:
    (car / "backdrop.txt").write_text("no picture")
    (car / "preset.toml").write_text(
        '[backdrop]\nkind = "picture"\npicture = "backdrop.txt"\n', encoding="utf-8"
    )
    bench.work()
    note = bench.leases.note("car")
    assert note
    assert "backdrop" in note.error
    assert not bench.places.published("car").exists()


def test_a_shoots_own_preset_wins_over_the_default(bench: Bench, car: Path) -> None:
    (car / "preset.toml").write_text('name = "own"\n[output]\nformat = "webp"\ncutouts = true\n')
    bench.work()
    manifest = bench.manifest()
    assert manifest.preset.name == "own"
    assert {o.path for o in manifest.frames[0].outputs.values()} == {
        "01.webp",
        "masks/01.png",
        "cutouts/01.png",
    }


def test_names_that_would_collide_are_delivered_side_by_side(bench: Bench) -> None:
    car = bench.places.inbox / "car"
    drop_photos(car, 0)
    for name, seed in [("a.jpg", 1), ("A.jpg", 2), ("contact-sheet.jpg", 3), ("x" * 251, 4)]:
        path = car / (name if name.endswith(".jpg") else f"{name}.jpg")
        path.write_bytes(photo_bytes(seed))
    bench.work()
    manifest = bench.manifest()
    assert manifest.status == "complete"
    paths = [row.outputs["composite"].path for row in manifest.frames]
    assert len({path.casefold() for path in paths} | {"contact-sheet.jpg"}) == 5
    files = bench.files(bench.places.published("car"))
    for row in manifest.frames:
        assert files[row.outputs["composite"].path] == row.outputs["composite"].sha256


class Gate:
    """A network that keeps the device busy until it is opened."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def segment(self, pictures: Sequence[Picture]) -> list[Picture]:
        self.entered.set()
        assert self.opened.wait(30)
        return [picture[..., 0] for picture in pictures]


def test_two_jobs_at_once_meet_in_the_batcher_and_are_both_delivered(
    bench: Bench, batcher: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shoot in ("car", "van"):
        drop_photos(bench.places.inbox / shoot, 2)
    gate, submitted, submit = Gate(), threading.Semaphore(0), batcher.submit
    submit(gate, np.zeros((2, 2, 3), np.uint8), job="first")
    assert gate.entered.wait(10)

    def counting(network: Segmenter, picture: Picture, *, job: str) -> object:
        future = submit(network, picture, job=job)
        submitted.release()
        return future

    monkeypatch.setattr(batcher, "submit", counting)
    threads = [threading.Thread(target=bench.work, args=(shoot,)) for shoot in ("car", "van")]
    for thread in threads:
        thread.start()
    for _ in range(4):
        assert submitted.acquire(timeout=30)
    gate.opened.set()
    for thread in threads:
        thread.join(30)
    for shoot in ("car", "van"):
        manifest = bench.manifest(shoot)
        assert manifest.status == "complete"
        assert {(r.batch.size, r.batch.jobs) for r in manifest.frames if r.batch} == {(4, 2)}
    assert bench.line.shared_batches == {2}


@pytest.mark.usefixtures("car")
def test_a_worker_that_was_overtaken_publishes_nothing(
    bench: Bench, redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.leases.seconds = 0.15
    make = frame_module.make_frame

    def slow(*arguments: object) -> object:
        redis.set("cyclorama:lease:car", "another worker's", ex=60)
        time.sleep(0.2)
        return make(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("worker.line.pipeline.make_frame", slow)
    with caplog.at_level(logging.WARNING):
        bench.work()
    assert "taken over" in caplog.text
    assert not bench.places.published("car").exists()
    assert bench.leases.held("car"), "the lease of the one who took over stays"


@pytest.mark.usefixtures("car")
def test_redis_may_forget_everything_in_the_middle_of_a_shoot(
    bench: Bench, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.leases.seconds = 0.15
    make = frame_module.make_frame

    def forgetful(*arguments: object) -> object:
        redis.flushall()
        time.sleep(0.1)
        return make(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("worker.line.pipeline.make_frame", forgetful)
    bench.work()
    assert bench.manifest().status == "complete"
    assert_clean(bench)


@pytest.mark.usefixtures("car")
def test_a_redis_that_goes_away_in_the_middle_costs_no_work(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise RedisConnectionError("Connection refused")

    for name in ("progress", "forget", "write"):
        monkeypatch.setattr(bench.leases, name, gone)
    bench.work()
    assert bench.manifest().status == "complete"


def test_a_lease_is_kept_while_work_goes_on_and_marked_when_it_is_lost(
    redis: Redis,
) -> None:
    leases = Leases(redis, seconds=0.6)
    lease = leases.acquire("car")
    assert lease
    with kept(lease, 0.05):
        time.sleep(0.8)
        assert leases.held("car")
        redis.set("cyclorama:lease:car", "another worker's", ex=60)
        time.sleep(0.4)
    with pytest.raises(LeaseLost):
        lease.check()


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


def test_the_alpha_that_a_photo_brings_is_kept(bench: Bench) -> None:
    car = bench.places.inbox / "car"
    car.mkdir()
    pixels = np.full((32, 48, 4), 255, np.uint8)
    pixels[:, :24, 3] = 0
    Image.fromarray(pixels).save(car / "01.png")
    bench.work()
    with Image.open(bench.places.published("car") / "masks" / "01.png") as mask:
        assert np.asarray(mask)[:, :24].max() == 0
