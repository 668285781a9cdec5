"""The whole line with real processes and a real Redis, as a newcomer would use it."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.studio import Studio, copy_flat, copy_slowly, drop, fingerprint, make_studio
from unet_core.booth import Booth, write_shoot

pytestmark = pytest.mark.line


@pytest.fixture(scope="session")
def shoot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered shoot of 16 small frames, in a folder of its name."""
    folder = tmp_path_factory.mktemp("booth") / "car"
    write_shoot(Booth(seed=7, width=240, height=160), folder, name="car")
    return folder


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return make_studio(tmp_path)


def test_a_shoot_in_the_inbox_becomes_a_finished_shoot(studio: Studio, shoot: Path) -> None:
    drop(shoot, studio)
    before = fingerprint(studio.inbox)
    done = studio.cyclorama("run", "--once")
    assert done.returncode == 0, done.stderr
    manifest = studio.assert_whole("car")
    assert manifest.status == "complete"
    assert [row.angle for row in manifest.frames] == list(range(1, 17))
    for row in manifest.frames:
        with Image.open(studio.outbox / "car" / row.outputs["mask"].path) as mask:
            assert (mask.mode, mask.size) == ("L", (240, 160))
        assert row.mask_area is not None
        assert 0.02 < row.mask_area < 0.6
    assert fingerprint(studio.inbox) == before
    assert list((studio.outbox / ".staging").iterdir()) == []


def test_a_second_run_does_nothing_again(studio: Studio, shoot: Path) -> None:
    drop(shoot, studio)
    assert studio.cyclorama("run", "--once").returncode == 0
    before = fingerprint(studio.outbox)
    assert studio.cyclorama("run", "--once").returncode == 0
    assert fingerprint(studio.outbox) == before


def test_bad_files_are_rows_with_a_cure_and_the_rest_is_delivered(
    studio: Studio, shoot: Path
) -> None:
    car = drop(shoot, studio)
    (car / "car_02.jpg").write_bytes((car / "car_02.jpg").read_bytes()[:2000])
    (car / "car_03.jpg").write_bytes(b"")
    (car / "car_04.jpg").write_text("these are my notes")
    Image.new("RGB", (3000, 2000)).save(car / "car_05.jpg")
    (studio.inbox / "nothing-here").mkdir()
    before = fingerprint(studio.inbox)
    done = studio.cyclorama("run", "--once", CYCLORAMA_MAX_MEGAPIXELS="5")
    assert done.returncode == 1
    manifest = studio.assert_whole("car")
    assert manifest.status == "incomplete"
    errors = {row.name: row.error for row in manifest.frames if row.error}
    assert {name: error.code for name, error in errors.items() if error} == {
        "car_02": "truncated",
        "car_03": "empty-file",
        "car_04": "not-an-image",
        "car_05": "too-large",
    }
    assert len([row for row in manifest.frames if row.outputs]) == 12
    assert "nothing-here: this folder holds no photo" in done.stderr
    assert "car_04.jpg" in done.stderr
    assert fingerprint(studio.inbox) == before
    status = studio.status()
    assert status["shoots"][0]["state"] == "incomplete"
    assert "nothing-here" in status["problems"]


def test_a_mended_photo_is_the_only_one_that_is_made_again(studio: Studio, shoot: Path) -> None:
    car = drop(shoot, studio)
    (car / "car_09.jpg").write_bytes(b"")
    assert studio.cyclorama("run", "--once").returncode == 1
    before = {row.name: row for row in studio.assert_whole("car").frames}
    shutil.copy(shoot / "car_09.jpg", car / "car_09.jpg")
    assert studio.cyclorama("run", "--once").returncode == 0
    after = {row.name: row for row in studio.assert_whole("car").frames}
    assert after["car_09"].error is None
    assert {name for name in after if after[name] != before[name]} == {"car_09"}


@pytest.mark.timeout(300)
def test_every_way_of_arriving_ends_in_whole_shoots(studio: Studio, shoot: Path) -> None:
    """A slow copy, a moved folder and flat files, into an inbox that is watched."""
    with studio.running("run"):
        time.sleep(1)
        slow = threading.Thread(target=copy_slowly, args=(shoot, studio.inbox / "slow"))
        slow.start()
        drop(shoot, studio, name="moved")
        copy_flat(shoot, studio.inbox, name="flat")
        names = ("moved", "flat", "slow")
        studio.wait_for(lambda: all(studio.manifest(name) for name in names), seconds=200)
        slow.join()
        made = sum(worker["frames"] for worker in studio.beats(at_least=48))
    assert made == 48, "a frame was made twice"
    for name in names:
        manifest = studio.assert_whole(name)
        assert (manifest.status, len(manifest.frames), manifest.attempts) == ("complete", 16, 1)


def test_frames_of_two_jobs_share_batches(studio: Studio, shoot: Path) -> None:
    drop(shoot, studio, name="one")
    drop(shoot, studio, name="two")
    # Each job hands over its frames by fours; batches of three cannot but mix them.
    done = studio.cyclorama("run", "--once", CYCLORAMA_JOBS="2", CYCLORAMA_BATCH="3")
    assert done.returncode == 0
    rows = [*studio.assert_whole("one").frames, *studio.assert_whole("two").frames]
    shared = [row.batch for row in rows if row.batch and row.batch.jobs == 2]
    assert shared
    assert all(2 <= batch.size <= 3 for batch in shared)


@pytest.mark.timeout(300)
def test_watcher_redis_and_two_workers_run_as_processes_of_their_own(
    studio: Studio, shoot: Path, tmp_path: Path
) -> None:
    from worker.queue.broker import EmbeddedRedis

    redis = EmbeddedRedis(tmp_path / "shared")
    redis.start()
    url = {"CYCLORAMA_BROKER_URL": redis.url}
    names = [f"car{number}" for number in range(8)]
    one_job = {"CYCLORAMA_JOBS": "1", **url}
    try:
        with (
            studio.running("watch", **url),
            studio.running("worker", **one_job),
            studio.running("worker", **one_job),
        ):
            studio.wait_for(lambda: len(studio.status(**url)["workers"]) == 2, seconds=120)
            for name in names:
                drop(shoot, studio, name=name)
            studio.wait_for(lambda: all(map(studio.manifest, names)), seconds=200)
            beats = studio.beats(at_least=16 * len(names), **url)
    finally:
        redis.stop()
    shares = [worker["frames"] for worker in beats]
    assert len(shares) == 2
    assert min(shares) >= 16, f"the second worker took no share: {shares}"
    assert sum(shares) == 16 * len(names)
    for name in names:
        assert studio.assert_whole(name).status == "complete"
