from __future__ import annotations

import io
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from redis import Redis
from rich.console import Console

from tests.buckets import Shop
from tests.parts import drop_photos, manifest_with, row_of, shoot_in
from worker.doctor import Finding, examine
from worker.errors import FolderError
from worker.night.record import write_record
from worker.outbox.manifest import Flag
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.queue.app import QUEUE, JobQueue
from worker.queue.broker import EmbeddedRedis
from worker.queue.leases import Leases, Note, queued
from worker.queue.messages import JobMessage
from worker.queue.roster import WorkerBeat, beat
from worker.settings import Settings, read_settings
from worker.status import ShootStatus, Status, _at_a_glance, gather, show

JOB = "0" * 32
pytestmark = pytest.mark.usefixtures("dated")


@pytest.fixture
def settings(
    no_settings: Path, places: Places, redis: Redis, redis_server: EmbeddedRedis
) -> Iterator[Settings]:
    yield read_settings(
        inbox=places.inbox, outbox=places.outbox, broker_url=redis_server.url, quiet_seconds=60
    )


def drop(places: Places, shoot: str, count: int = 2, *, age_seconds: float = 1000) -> None:
    """Photos that were last written so long ago."""
    then = time.time() - age_seconds
    for photo in drop_photos(places.inbox / shoot, count):
        os.utime(photo, (then, then))


def publish(places: Places, shoot: str, status: str, **changes: object) -> None:
    """An edition in which ``changes`` are made to the last row."""
    rows = [row_of(frame.source, frame.name) for frame in shoot_in(places.inbox, shoot).frames]
    rows[-1] = row_of(rows[-1].source.source(), rows[-1].name, **changes)
    manifest = manifest_with(shoot, rows, status=status)
    Staging(places, shoot).publish(manifest)


def only(status: Status) -> tuple[str, int, int, list[str]]:
    (shoot,) = status.shoots
    return shoot.state, shoot.done, shoot.frames, shoot.notes


def test_a_shoot_that_is_still_copied_is_arriving(settings: Settings, places: Places) -> None:
    drop(places, "car", age_seconds=0)
    assert only(gather(settings))[0] == "arriving"


def test_a_shoot_short_of_frames_waits_and_says_for_what(
    settings: Settings, places: Places
) -> None:
    drop(places, "car", age_seconds=30)
    state, done, frames, notes = only(gather(settings))
    assert (state, done, frames) == ("waiting", 0, 2)
    assert "2 of 16 frames" in notes[0]


def test_a_shoot_that_nobody_has_queued_yet_is_ready(settings: Settings, places: Places) -> None:
    drop(places, "car")
    assert only(gather(settings)) == ("ready", 0, 2, ["to be queued"])


def test_a_queued_shoot_says_so(settings: Settings, places: Places, leases: Leases) -> None:
    drop(places, "car")
    message = JobMessage.of(shoot_in(places.inbox, "car"), attempt=2)
    leases.write("car", queued(message, at=0.0))
    assert only(gather(settings)) == ("queued", 0, 2, ["attempt 2"])


def test_a_shoot_in_work_says_how_far_and_where(
    settings: Settings, places: Places, leases: Leases
) -> None:
    drop(places, "car")
    leases.write("car", Note("working", JOB, 1, 0.0, done=1, total=2, worker="studio-7"))
    assert only(gather(settings))[3] == ["studio-7 is gone; it will be queued again"]
    lease = leases.acquire("car")
    assert lease
    assert only(gather(settings)) == ("working", 1, 2, ["studio-7"])


def test_a_shoot_that_was_given_up_says_how_to_go_on_and_needs_a_person(
    settings: Settings, places: Places, leases: Leases
) -> None:
    drop(places, "car")
    deaths = settings.max_attempts - 1
    leases.write("car", Note("working", JOB, 3, 0.0, total=2, worker="studio-7", deaths=deaths))
    status = gather(settings)
    assert only(status)[0] == "failed"
    assert only(status)[3][-1].endswith("then run: cyclorama retry car")
    assert status.needs_a_person


def test_a_finished_shoot_that_was_asked_for_again_says_how_that_goes(
    settings: Settings, places: Places, leases: Leases
) -> None:
    drop(places, "car")
    publish(places, "car", "incomplete", error={"code": "empty-file", "message": "It is empty."})
    leases.ask("car", retry=True)
    leases.write("car", Note("failed", JOB, 1, 0.0, total=2, error="No space left on device"))
    assert only(gather(settings)) == ("failed", 0, 2, ["No space left on device"])
    leases.forget("car")
    assert only(gather(settings))[0] == "incomplete"


def test_a_failed_shoot_says_why_and_needs_a_person(
    settings: Settings, places: Places, leases: Leases
) -> None:
    drop(places, "car")
    leases.write("car", Note("failed", JOB, 3, 0.0, total=2, error="No space left on device"))
    status = gather(settings)
    assert only(status) == ("failed", 0, 2, ["attempt 3", "No space left on device"])
    assert status.needs_a_person


def test_a_complete_shoot_needs_nobody_and_shows_its_flags(
    settings: Settings, places: Places
) -> None:
    drop(places, "car")
    flag = Flag(code="low-confidence", value=0.9, sentence="Look at its edge.")
    publish(places, "car", "complete", flags=[flag])
    status = gather(settings)
    assert only(status) == ("complete", 2, 2, ["02: Look at its edge."])
    assert not status.needs_a_person


@pytest.mark.parametrize("state", ["incomplete", "held"])
def test_a_shoot_with_a_failed_frame_names_it_and_needs_a_person(
    settings: Settings, places: Places, state: str
) -> None:
    drop(places, "car")
    publish(places, "car", state, error={"code": "empty-file", "message": "It is empty."})
    status = gather(settings)
    assert only(status) == (state, 1, 2, ["car/02.jpg: It is empty."])
    assert status.needs_a_person


def test_what_is_not_taken_up_is_a_problem_that_needs_a_person(
    settings: Settings, places: Places
) -> None:
    (places.inbox / "car").mkdir()
    status = gather(settings)
    assert set(status.problems) == {"car"}
    assert status.needs_a_person


def test_an_empty_inbox_needs_nobody(settings: Settings) -> None:
    status = gather(settings)
    assert (status.shoots, status.problems, status.broker) == ([], {}, "running")
    assert not status.needs_a_person


def test_workers_are_listed(settings: Settings, redis: Redis) -> None:
    sign = WorkerBeat("studio-7", "cpu", "v1", frames=5, shoots=["car"])
    beat(redis, sign)
    assert gather(settings).workers == [sign]


def test_a_person_sees_how_long_ago_things_were_and_how_batches_fill(
    settings: Settings, redis: Redis, redis_server: EmbeddedRedis
) -> None:
    made = time.time() - 30
    sign = WorkerBeat("gpu-1", "cuda", "v1", 90, made, ["car"], {"16": 5, "2": 5})
    beat(redis, sign)
    write_record(settings.model_store, "refused", "dark cars", seconds=5, dice={})
    drop_photos(settings.inbox / "next", 2)
    message = JobMessage.of(shoot_in(settings.inbox, "next"))
    JobQueue(redis_server.url, redis).send(message, at=time.time() - 600)
    text = io.StringIO()
    show(gather(settings), Console(file=text, width=200))
    said = "worker gpu-1: cuda, v1, 90 frames, the last 3[0-9] s ago, batches 5 of 2, 5 of 16, "
    assert re.search(said + "working on car", text.getvalue())
    assert re.search(r"last night: refused, \d s ago \(dark cars\)", text.getvalue())
    assert "1 shoot in the queue, the first queued 10 min ago" in text.getvalue()


def test_a_worker_that_is_stuck_is_named_with_its_reason_and_needs_a_person(
    settings: Settings, redis: Redis
) -> None:
    beat(redis, WorkerBeat("studio-7", "cpu", "v1", trouble="car/01.jpg is in work for 99 s"))
    status = gather(settings)
    assert status.needs_a_person
    text = io.StringIO()
    show(status, Console(file=text, width=200))
    assert "TROUBLE: car/01.jpg is in work for 99 s" in text.getvalue()
    found = {finding.what: finding for finding in examine(settings)}["workers"]
    assert not found.good
    assert "studio-7: car/01.jpg is in work for 99 s" in found.detail


def test_a_worker_that_went_without_a_word_is_named(settings: Settings, redis: Redis) -> None:
    beat(redis, WorkerBeat("studio-7", "cpu", "v1"))
    redis.expire("cyclorama:worker:studio-7", 500)
    status = gather(settings)
    assert status.workers == []
    text = io.StringIO()
    show(status, Console(file=text, width=200))
    assert re.search(r"worker studio-7: no sign of life for 1\d\d s", text.getvalue())
    found = {finding.what: finding for finding in examine(settings)}["workers"]
    assert re.search(r"studio-7: no sign of life for 1\d\d s", found.detail)


def test_a_shoot_that_was_given_back_is_queued_as_far_as_a_person_is_concerned(
    settings: Settings, places: Places, leases: Leases
) -> None:
    drop(places, "car")
    leases.write("car", Note("returned", JOB, 1, 0.0, total=2))
    assert only(gather(settings))[0] == "queued"


def test_without_redis_the_folders_still_tell_how_things_stand(
    settings: Settings, places: Places, tmp_path: Path
) -> None:
    drop(places, "car")
    drop(places, "van")
    publish(places, "van", "complete")
    alone = settings.model_copy(update={"broker_url": "", "state": tmp_path / "state"})
    status = gather(alone)
    assert [(s.shoot, s.state) for s in status.shoots] == [("car", "ready"), ("van", "complete")]
    assert status.broker == "not running (start it: cyclorama run)"
    assert status.workers == []
    away = gather(settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"}))
    assert "127.0.0.1:1/0 cannot be reached" in away.broker


def test_shoots_that_no_worker_has_taken_are_counted(settings: Settings, redis: Redis) -> None:
    redis.rpush(QUEUE, "a", "b")
    found = gather(settings)
    assert found.queued == 2
    text = io.StringIO()
    show(found, Console(file=text, width=200))
    assert "Redis: running, 2 shoots in the queue" in text.getvalue()


def test_looking_changes_nothing(
    settings: Settings, places: Places, redis: Redis, tmp_path: Path
) -> None:
    drop(places, "car")
    before = sorted(tmp_path.rglob("*"))
    gather(settings)
    assert sorted(tmp_path.rglob("*")) == before
    assert redis.dbsize() == 0


def test_an_inbox_that_is_not_there_is_an_error(settings: Settings, places: Places) -> None:
    places.inbox.rmdir()
    with pytest.raises(FolderError, match="cannot be read"):
        gather(settings)


def test_a_program_reads_the_same(settings: Settings, places: Places, redis: Redis) -> None:
    drop(places, "car")
    beat(redis, WorkerBeat("studio-7", "cpu", "v1"))
    found = json.loads(json.dumps(gather(settings).as_json()))
    assert found["shoots"] == [
        {"shoot": "car", "state": "ready", "done": 0, "frames": 2, "notes": ["to be queued"]}
    ]
    assert found["workers"][0]["name"] == "studio-7"


def test_a_person_sees_every_shoot_problem_and_worker(
    settings: Settings, places: Places, redis: Redis
) -> None:
    drop(places, "[bold]car")
    (places.inbox / "empty").mkdir()
    beat(redis, WorkerBeat("studio-7", "cpu", "v1", frames=5))
    text = io.StringIO()
    show(gather(settings), Console(file=text, width=200))
    for words in ("[bold]car", "ready", "0/2", "empty: this folder holds no photo", "studio-7"):
        assert words in text.getvalue()
    assert "Redis: running" in text.getvalue()


def test_at_a_glance_what_needs_a_person_comes_before_the_shoots_of_which_three_notes_show() -> (
    None
):
    notes = [f"0{number}.jpg: it ends too early" for number in range(8)]
    status = Status(
        shoots=[
            ShootStatus("car", "incomplete", 0, 8, notes),
            ShootStatus("van", "complete", 2, 2),
        ],
        problems={"notes": "this folder holds no photo"},
        booth=[],
        workers=[],
        missing={},
        night=None,
        broker="running",
    )
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(_at_a_glance(status))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert lines[:3] == [
        "notes: this folder holds no photo",
        "Redis: running",
        "complete: 1 shoot",
    ]
    assert lines[-1].strip() == "and 5 more"


def test_names_are_whole_on_a_narrow_terminal_and_bring_no_control_characters(
    settings: Settings, places: Places, redis: Redis
) -> None:
    long = "WVWZZZAUZLW123456_2026-11-30_halle2_hinten"
    drop(places, long)
    drop(places, "red\x1b[31m\nvan is complete")
    text = io.StringIO()
    show(gather(settings), Console(file=text, width=80))
    assert "\x1b" not in text.getvalue()
    assert not any(line.startswith("van is complete") for line in text.getvalue().splitlines())
    first = "".join(line.split(" ")[0] for line in text.getvalue().splitlines())
    assert long in first
    assert "…" not in text.getvalue()


def test_the_doctor_finds_a_gpu_that_nobody_can_compute_on(
    no_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def device(**given: str) -> Finding:
        return next(f for f in examine(read_settings(**given)) if f.what == "device")

    monkeypatch.setattr("worker.doctor.gpus", lambda: ["0"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not device().good
    assert "Update its driver" in device().detail
    assert device(device="cpu").good


def test_the_doctor_tries_whether_buckets_can_be_read_and_written(
    no_settings: Path, shop: Shop
) -> None:
    def buckets(**places: str) -> Finding:
        return next(f for f in examine(read_settings(**places)) if f.what == "buckets")

    assert buckets().detail == "none is set"
    both = {"inbox": shop.url("in"), "outbox": shop.url("out")}
    assert buckets(**both).good
    assert shop.paths("out") == set(), "nothing is left there"
    assert "Create the bucket" in buckets(inbox=f"s3://{shop.name}-gone/in").detail
    shop.refuse("PUT", 403, "AccessDenied")
    assert buckets(inbox=shop.url("in")).good, "nothing is written to an inbox"
    found = buckets(**both)
    assert not found.good
    assert "Look at the credentials" in found.detail


def test_a_bucket_that_nobody_carries_for_needs_a_person(no_settings: Path) -> None:
    settings = read_settings(inbox=Path("inbox"), outbox="s3://shop/out")
    settings.inbox.mkdir()
    status = gather(settings)
    assert status.needs_a_person
    assert "cyclorama courier" in status.problems["s3://shop/out"]
