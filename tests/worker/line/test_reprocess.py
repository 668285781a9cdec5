"""New pictures from stored masks: what is made, what is kept, what is refused."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from redis.exceptions import ConnectionError as RedisConnectionError
from typer.testing import CliRunner

from tests.parts import drop_photos, photo_bytes
from tests.worker.line.bench import Bench, assert_clean
from worker.cli import app
from worker.errors import BrokerError, PresetError, ShootError
from worker.outbox.manifest import read_manifest
from worker.outbox.publish import release
from worker.queue.broker import EmbeddedRedis
from worker.queue.leases import Lease
from worker.reprocess import reprocess, shoots_in
from worker.settings import Settings, read_settings

RED = '[backdrop]\nkind = "colour"\ncolour = "#ff0000"\n[shadow]\nkind = "none"\n'
PNG = '[output]\nformat = "png"\n'


@pytest.fixture
def settings(bench: Bench, no_settings: Path, redis_server: EmbeddedRedis) -> Settings:
    (no_settings / "presets" / "red.toml").write_text(RED + PNG)
    places = bench.places
    return read_settings(
        inbox=places.inbox, outbox=places.outbox, broker_url=redis_server.url, preset="test"
    )


@pytest.fixture
def done(bench: Bench, car: Path) -> Path:
    """A finished shoot of three frames, with a mask that has all three kinds of pixels."""
    bench.work()
    folder = bench.places.published(car.name)
    for row in bench.manifest().frames:
        mask = np.zeros((32, 48), np.uint8)
        mask[8:24, 12:36], mask[7, 12:36] = 255, 128
        Image.fromarray(mask).save(folder / row.outputs["mask"].path)
    return folder


def test_of_all_shoots_only_the_one_with_a_bad_preset_stays_as_it_is(
    bench: Bench, settings: Settings, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bus", "van"):
        drop_photos(bench.places.inbox / name, 2)
        bench.work(name)
    (bench.places.inbox / "bus" / "preset.toml").write_text("[backdrop]\n")
    before = bench.files(bench.places.published("bus"))
    for name in ("inbox", "outbox", "broker_url", "preset"):
        monkeypatch.setenv(f"CYCLORAMA_{name.upper()}", str(getattr(settings, name)))
    result = CliRunner().invoke(app, ["reprocess", "--all"])
    assert result.exit_code == 1
    assert "bus: " in result.stderr and "backdrop.kind is missing" in result.stderr
    assert bench.files(bench.places.published("bus")) == before
    for name in ("car", "van"):
        assert {row.masked_by for row in bench.manifest(name).frames} == {"stored"}
    wrong = CliRunner().invoke(app, ["reprocess", "--all", "--preset", "grene"])
    assert isinstance(wrong.exception, PresetError)


def test_a_shoot_is_dressed_anew_from_its_masks_and_says_so(
    bench: Bench, settings: Settings, done: Path
) -> None:
    assert reprocess(settings, "car", "red") == done
    manifest = bench.manifest()
    assert (manifest.preset.name, manifest.status) == ("red", "complete")
    for row in manifest.frames:
        assert (row.masked_by, row.untouched_paint) == ("stored", True)
        assert row.preset == manifest.preset.digest
        assert "network" not in row.seconds
        assert set(row.outputs) == {"composite", "mask"}
        photo = np.asarray(Image.open(bench.places.inbox / row.source.path).convert("RGB"))
        picture = np.asarray(Image.open(done / row.outputs["composite"].path))
        assert (picture[10:22, 14:34] == photo[10:22, 14:34]).all()
        assert (picture[:6] == (255, 0, 0)).all()
    assert not list(done.glob("*_0?.jpg"))
    assert_clean(bench)


def test_the_preset_of_the_inbox_is_taken_where_none_is_named(
    bench: Bench, settings: Settings, done: Path, car: Path
) -> None:
    reprocess(settings, "car")
    assert bench.manifest().preset.name == "test"
    (car / "preset.toml").write_text('name = "own"\n' + RED)
    reprocess(settings, "car")
    assert bench.manifest().preset.name == "own"


def test_a_shoot_keeps_the_look_that_it_was_given(
    bench: Bench, settings: Settings, done: Path, car: Path
) -> None:
    reprocess(settings, "car", "red")
    given = bench.manifest().preset
    (car / "04.jpg").write_bytes(photo_bytes(4))
    bench.work()
    assert [row.preset for row in bench.manifest().frames] == [given.digest] * 4
    assert bench.manifest().preset == given
    reprocess(settings, "car")
    assert bench.manifest().preset.name == "test"


def test_a_look_that_was_given_and_is_gone_fails_the_shoot_and_leaves_what_was_delivered(
    bench: Bench, settings: Settings, done: Path, car: Path
) -> None:
    reprocess(settings, "car", "red")
    (settings.presets / "red.toml").unlink()
    (car / "04.jpg").write_bytes(photo_bytes(4))
    bench.work()
    note = bench.leases.note("car")
    assert note
    assert 'no preset "red"' in note.error
    assert "cyclorama reprocess car --preset NAME" in note.error
    assert len(bench.manifest().frames) == 3


def test_a_preset_that_is_too_large_for_its_format_takes_the_place_of_nothing(
    bench: Bench, settings: Settings, done: Path, no_settings: Path
) -> None:
    wide = '[framing]\nmode = "fit"\naspect = "200:1"\nwidth = 20000\n[output]\nformat = "webp"\n'
    (no_settings / "presets" / "wide.toml").write_text(wide)
    before = bench.files(done)
    with pytest.raises(ShootError, match="20000"):
        reprocess(settings, "car", "wide")
    assert bench.files(done) == before


def test_progress_is_told_frame_by_frame(settings: Settings, done: Path) -> None:
    told: list[tuple[int, int]] = []
    reprocess(settings, "car", "red", on_frame=lambda made, total: told.append((made, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_failed_frames_stay_failed_and_the_others_are_made(
    bench: Bench, settings: Settings, car: Path
) -> None:
    (car / "02.jpg").write_bytes(b"")
    bench.work()
    reprocess(settings, "car", "red")
    manifest = bench.manifest()
    assert manifest.status == "incomplete"
    assert [bool(row.error) for row in manifest.frames] == [False, True, False]
    assert {row.preset for row in manifest.frames if not row.error} == {manifest.preset.digest}


def test_a_mask_of_another_size_is_a_failed_frame_with_its_reason(
    bench: Bench, settings: Settings, done: Path
) -> None:
    mask = done / bench.manifest().frames[1].outputs["mask"].path
    Image.new("L", (10, 10), 255).save(mask)
    reprocess(settings, "car", "red")
    manifest = bench.manifest()
    assert manifest.status == "incomplete"
    error = manifest.frames[1].error
    assert error
    assert (error.code, "10×10" in error.message) == ("mask-size", True)


def test_a_held_shoot_stays_held_under_its_new_look(
    bench: Bench, settings: Settings, car: Path, no_settings: Path
) -> None:
    (no_settings / "presets" / "red.toml").write_text('on_failed_frame = "hold"\n' + RED)
    bench.preset('on_failed_frame = "hold"\n')
    (car / "02.jpg").write_bytes(b"")
    bench.work()
    folder = reprocess(settings, "car", "red")
    assert folder == bench.places.held("car")
    held = read_manifest(folder)
    assert held
    assert held.preset.name == "red"
    release(bench.places, "car")
    assert bench.manifest().preset.name == "red"


def test_a_newer_edition_that_is_held_is_the_one_that_is_dressed(
    bench: Bench, settings: Settings, car: Path, no_settings: Path
) -> None:
    hold = 'on_failed_frame = "hold"\n'
    (no_settings / "presets" / "red.toml").write_text(hold + RED)
    bench.preset(hold)
    bench.work()
    delivered = bench.files(bench.places.published("car"))
    (car / "02.jpg").write_bytes(b"")
    bench.work()
    assert reprocess(settings, "car", "red") == bench.places.held("car")
    assert bench.files(bench.places.published("car")) == delivered


def test_what_was_said_of_a_mask_is_said_anew_when_a_person_has_corrected_it(
    bench: Bench, settings: Settings, done: Path
) -> None:
    reprocess(settings, "car", "red")
    rows = bench.manifest().frames
    assert {row.box for row in rows} == {(12, 7, 36, 24)}
    assert [row.flags for row in rows] == [[], [], []]
    assert {row.confidence for row in rows} == {None}
    holed = np.zeros((32, 48), np.uint8)
    holed[4:28, 8:40] = 255
    holed[10:20, 16:28] = 0
    Image.fromarray(holed).save(done / rows[0].outputs["mask"].path)
    reprocess(settings, "car", "red")
    rows = bench.manifest().frames
    assert [[flag.code for flag in row.flags] for row in rows] == [["hole"], [], []]
    assert rows[0].box == (8, 4, 40, 28)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda car: (car / "02.jpg").unlink(), r"02\.jpg is gone"),
        (lambda car: (car / "02.jpg").write_bytes(photo_bytes(9)), r"02\.jpg has changed"),
    ],
)
def test_a_photo_that_went_or_changed_is_named_and_nothing_is_touched(
    bench: Bench, settings: Settings, done: Path, car: Path, change: object, words: str
) -> None:
    before = bench.files(done)
    change(car)  # type: ignore[operator]
    with pytest.raises(ShootError, match=words):
        reprocess(settings, "car", "red")
    assert bench.files(done) == before


@pytest.mark.usefixtures("done")
def test_a_shoot_in_work_is_left_alone(bench: Bench, settings: Settings) -> None:
    lease = bench.leases.acquire("car")
    assert lease
    with pytest.raises(ShootError, match="is in work"):
        reprocess(settings, "car", "red")
    lease.release()
    reprocess(settings, "car", "red")


@pytest.mark.usefixtures("done")
def test_unknown_shoots_and_presets_are_answered_with_what_there_is(
    bench: Bench, settings: Settings
) -> None:
    with pytest.raises(ShootError, match=r"no finished shoot 'ghost'.*car"):
        reprocess(settings, "ghost", "red")
    with pytest.raises(PresetError, match="red, "):
        reprocess(settings, "car", "blue")
    assert shoots_in(bench.places) == ["car"]


def test_without_a_broker_of_our_own_running_there_is_no_worker_to_wait_for(
    bench: Bench, settings: Settings, done: Path
) -> None:
    reprocess(settings.model_copy(update={"broker_url": ""}), "car", "red")
    assert bench.manifest().preset.name == "red"


def test_a_shared_redis_that_does_not_answer_is_no_leave_to_go_on(
    bench: Bench, settings: Settings, done: Path
) -> None:
    before = bench.files(done)
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1"):
        reprocess(settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"}), "car", "red")
    assert bench.files(done) == before


@pytest.mark.usefixtures("done")
def test_no_worker_takes_a_shoot_however_long_it_is_dressed_anew(
    bench: Bench, settings: Settings
) -> None:
    held: list[bool] = []

    def slowly(made: int, total: int) -> None:
        time.sleep(1.1)
        held.append(bench.leases.held("car"))

    reprocess(settings.model_copy(update={"lease_seconds": 0.9}), "car", "red", on_frame=slowly)
    assert held == [True] * 3
    assert not bench.leases.held("car")


@pytest.mark.usefixtures("done")
def test_a_redis_that_goes_away_while_a_shoot_is_dressed_anew_is_no_failure(
    bench: Bench, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: Lease) -> None:
        raise RedisConnectionError("Connection refused")

    monkeypatch.setattr(Lease, "release", gone)
    reprocess(settings, "car", "red")
    assert bench.manifest().preset.name == "red"


@pytest.mark.usefixtures("done")
def test_a_plate_that_was_not_used_is_told_once_and_no_longer_when_none_is_asked_for(
    bench: Bench, settings: Settings, no_settings: Path
) -> None:
    (bench.places.inbox / "plate").mkdir()
    Image.new("RGB", (32, 48), (200, 200, 200)).save(bench.places.inbox / "plate" / "empty.png")
    (no_settings / "presets" / "real.toml").write_text('[shadow]\nkind = "real"\n')

    def told() -> list[int]:
        rows = bench.manifest().frames
        return [[flag.code for flag in row.flags].count("plate-unused") for row in rows]

    for _ in range(2):
        reprocess(settings, "car", "real")
        assert told() == [1, 1, 1]
    reprocess(settings, "car", "red")
    assert told() == [0, 0, 0]
