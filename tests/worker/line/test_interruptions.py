"""Work that is cut off, and what the next attempt makes of it."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.parts import drop_photos, photo_bytes
from tests.worker.line.bench import Bench, Crash, assert_clean
from unet_core.images import UnreadableImage
from unet_core.segment import Picture, Segmenter
from worker.errors import LeaseLost
from worker.line import frame as frame_module
from worker.line import pipeline as pipeline_module
from worker.line.batcher import Batcher
from worker.line.pipeline import kept
from worker.outbox.manifest import Manifest
from worker.outbox.publish import Staging
from worker.queue.leases import Lease, Leases, queued
from worker.queue.messages import JobMessage


def test_a_frame_that_ended_the_worker_twice_is_set_aside_and_the_rest_is_delivered(
    bench: Bench, decoded: list[str]
) -> None:
    drop_photos(bench.places.inbox / "car", 3)
    staging = Staging(bench.places, "car")
    for _ in range(2):  # two workers died on it
        staging.begin("02")
    bench.line.handle(bench.message(attempt=4, deaths=3))
    rows = {row.name: row for row in bench.manifest().frames}
    assert {name for name, row in rows.items() if row.outputs} == {"01", "03"}
    assert rows["02"].error
    assert rows["02"].error.code == "crashed"
    assert decoded == ["01.jpg", "03.jpg"], "after a crash frames go one by one"
    assert_clean(bench)


@pytest.mark.usefixtures("car")
def test_a_worker_whose_device_is_lost_fails_what_it_has_in_work_and_begins_nothing(
    bench: Bench, batcher: Batcher, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    def broken(pictures: Sequence[Picture]) -> list[Picture]:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(batcher, "_is_lost", lambda: True)
    monkeypatch.setattr(bench.segmenters["first"], "look", broken)
    bench.work()
    note = bench.leases.note("car")
    assert note
    assert (note.state, bench.line.device_lost) == ("failed", True)
    assert "illegal memory access" in note.error
    decoded.clear()
    bench.work(attempt=2)
    note = bench.leases.note("car")
    assert note
    assert (note.state, note.attempt, decoded) == ("returned", 2, [])


@pytest.mark.usefixtures("car")
def test_after_a_crash_only_the_rest_is_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    add = Staging.add
    room = threading.Semaphore(2)  # frames are finished side by side

    def add_two(staging: Staging, row: object) -> None:
        if not room.acquire(blocking=False):
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


def crash_before_publication(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that makes every frame and dies before the rename."""

    def crash(*_: object, **__: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr("worker.outbox.publish.replace_folder", crash)
        with pytest.raises(Crash):
            bench.work()


@pytest.mark.usefixtures("car")
def test_after_a_crash_just_before_publication_no_photo_is_opened_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    crash_before_publication(bench, monkeypatch)
    decoded.clear()
    bench.work(attempt=2)
    assert decoded == []
    assert (bench.manifest().status, len(bench.manifest().frames)) == ("complete", 3)
    assert_clean(bench)


@pytest.mark.usefixtures("car")
def test_what_a_crash_left_is_not_used_once_preset_or_checkpoint_is_another(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    crash_before_publication(bench, monkeypatch)
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
@pytest.mark.parametrize("comes_back", [True, False])
def test_a_photo_that_cannot_be_read_is_tried_again_before_the_shoot_goes_without_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, comes_back: bool
) -> None:
    decode, stale, read_again = frame_module.decode, {"02.jpg"}, list[str]()

    def read(path: Path, **options: object) -> object:
        read_again.append(path.name)
        if path.name in stale:
            raise UnreadableImage(f"{path.name} could not be read", code="read-failed", cure="Look")
        return decode(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(frame_module, "decode", read)
    for attempt in (7, 8):  # what other attempts failed of is not held against the photo
        bench.work(attempt=attempt)
        note = bench.leases.note("car")
        assert note
        assert (note.state, note.attempt) == ("failed", attempt)
        assert "car/02.jpg, or its mask, is out of reach: 02.jpg could not be" in note.error
        assert not bench.places.published("car").exists()
    if comes_back:
        stale.clear()
    bench.work(attempt=9)
    assert sorted(read_again) == ["01.jpg", "02.jpg", "02.jpg", "02.jpg", "03.jpg"]
    errors = {row.name: row.error.code for row in bench.manifest().frames if row.error}
    assert errors == ({} if comes_back else {"02": "read-failed"})
    assert_clean(bench)


@pytest.mark.usefixtures("car")
def test_a_device_that_fails_fails_the_attempt_and_blames_no_photo(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Segmenter, pictures: Sequence[Picture]) -> list[Picture]:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "look", broken)
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
def test_a_worker_that_was_overtaken_just_before_publication_learns_it_by_then(
    bench: Bench, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    edition = pipeline_module.first_edition

    def overtaken(*given: Any, **how: Any) -> Manifest:
        redis.set("cyclorama:lease:car", "another worker's", ex=60)
        return edition(*given, **how)

    bench.leases.seconds = 60
    monkeypatch.setattr(pipeline_module, "first_edition", overtaken)
    bench.work()
    assert not bench.places.published("car").exists()
    assert bench.leases.held("car"), "the lease of the one who took over stays"


@pytest.mark.usefixtures("car")
def test_what_fails_in_a_worker_that_was_overtaken_is_not_noted_of_its_heir(
    bench: Bench, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    heirs = JobMessage.model_validate(bench.message(attempt=2))

    def overtaken(*_: object) -> None:
        bench.leases.write("car", queued(heirs, at=1.0))
        redis.set("cyclorama:lease:car", "another worker's", ex=60)
        with pytest.raises(LeaseLost):
            held[0].renew()
        raise RuntimeError

    held: list[Lease] = []
    monkeypatch.setattr(
        pipeline_module, "kept", lambda lease, _: held.append(lease) or nullcontext()
    )
    monkeypatch.setattr(pipeline_module, "make_frame", overtaken)
    bench.work()
    note = bench.leases.note("car")
    assert note
    assert (note.state, note.attempt) == ("queued", 2)


@pytest.mark.usefixtures("car")
def test_a_shoot_that_waits_for_its_trial_is_begun_by_nobody_and_blamed_for_nothing(
    bench: Bench, decoded: list[str]
) -> None:
    with bench.line._alone:  # another shoot is on trial
        thread = threading.Thread(target=bench.work, kwargs={"deaths": 1})
        thread.start()
        end = time.monotonic() + 30
        while (note := bench.leases.note("car")) is None or note.state != "returned":
            assert time.monotonic() < end, note
            time.sleep(0.01)
        thread.join(0.2)
        assert thread.is_alive()
        assert decoded == []
    thread.join(30)
    assert bench.manifest().status == "complete"


@pytest.mark.usefixtures("car")
def test_a_lease_is_renewed_several_times_before_it_would_lapse(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []

    def noted(lease: Lease, every_seconds: float) -> AbstractContextManager[None]:
        told.append(every_seconds)
        return kept(lease, every_seconds)

    monkeypatch.setattr(pipeline_module, "kept", noted)
    bench.work()
    assert [0 < seconds <= bench.leases.seconds / 2 for seconds in told] == [True]


@pytest.mark.usefixtures("car")
def test_a_worker_that_is_to_stop_begins_no_frame_and_gives_the_shoot_back(
    bench: Bench, decoded: list[str]
) -> None:
    bench.line.hand_back()
    bench.work()
    note = bench.leases.note("car")
    assert note
    assert (note.state, note.deaths, decoded) == ("returned", 0, [])
    assert not bench.leases.held("car")


@pytest.mark.usefixtures("car")
def test_a_shoot_that_memory_was_too_short_for_is_made_with_care_the_next_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(pipeline_module, "make_frame", greedy)
    bench.work()
    note = bench.leases.note("car")
    assert note
    assert (note.state, note.deaths) == ("failed", 1)


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
    bench.line.handle(bench.message())
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


def test_a_message_that_comes_again_after_its_shoot_is_done_changes_nothing(
    bench: Bench, car: Path
) -> None:
    message = bench.message()
    bench.line.handle(message)
    before = bench.files(bench.places.published("car"))
    bench.slot.current = bench.segmenters["second"]
    (car / "01.jpg").unlink()
    bench.line.handle(message)
    assert bench.files(bench.places.published("car")) == before
    assert_clean(bench)


@pytest.mark.usefixtures("car")
def test_a_retry_that_is_followed_by_the_same_again_is_made(
    bench: Bench, car: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (car / "02.jpg").write_bytes(b"")
    bench.work()
    assert bench.manifest().status == "incomplete"
    made: list[str] = []
    monkeypatch.setattr("worker.line.pipeline.make_frame", lambda frame, _: made.append(frame.name))
    again, newer = bench.message(retry=True), JobMessage.model_validate(bench.message())
    bench.leases.write("car", queued(newer, at=0.0))
    bench.line.handle(again)
    assert made == ["02"]


def test_a_message_that_a_newer_job_has_overtaken_is_dropped(bench: Bench, car: Path) -> None:
    older = bench.message()
    (car / "04.jpg").write_bytes(photo_bytes(4))
    newer = JobMessage.model_validate(bench.message())
    bench.leases.write("car", queued(newer, at=0.0))
    bench.line.handle(older)
    note = bench.leases.note("car")
    assert note and note.job == newer.job
    assert not bench.places.published("car").exists()
    assert not bench.leases.held("car")
