from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.parts import drop_photos, manifest_with, photo_bytes, row_of, shoot_in
from tests.worker.intake.desk import RULES, Desk, publish
from worker.errors import FolderError
from worker.intake import inbox as inbox_module
from worker.intake.inbox import Inbox
from worker.intake.plan import Rules, Stage, decide
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.queue.leases import Leases


def test_a_shoot_with_too_many_photos_is_named_with_its_cure(
    places: Places, leases: Leases
) -> None:
    drop_photos(places.inbox / "film", 4)
    drop_photos(places.inbox / "car", 3)
    rules = Rules(settle_seconds=0, quiet_seconds=0, max_frames=3)
    inbox = Inbox(places, preset="studio-grey", presets=places.inbox.parent, rules=rules)
    view = inbox.view(0.0)
    assert list(view.decisions) == ["car"]
    assert "CYCLORAMA_MAX_FRAMES" in view.problems["film"]


@pytest.mark.parametrize(
    "change", ["a photo", "a photo more", "a preset", "its mark", "its manifest"]
)
def test_a_ready_shoot_is_weighed_again_only_when_something_of_it_changes(
    desk: Desk, places: Places, car: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weighed: list[str] = []
    monkeypatch.setattr(
        inbox_module,
        "decide",
        lambda shoot, **seen: weighed.append(shoot.name) or decide(shoot, **seen),
    )
    (car / ".ready").touch()
    assert desk.settled().decisions["car"].stage == Stage.READY

    weighed.clear()
    assert desk.tick(1).decisions["car"].stage == Stage.READY
    assert desk.tick(1).decisions["car"].stage == Stage.READY
    assert weighed == []

    if change == "a photo":
        (car / "02.jpg").write_bytes(photo_bytes(99))
    elif change == "a photo more":
        (car / "03.jpg").write_bytes(photo_bytes(3))
    elif change == "a preset":
        (car / "preset.toml").write_text("frames = 1")
    elif change == "its mark":
        (car / ".ready").unlink()
    else:
        publish(places, "car")
    view = desk.tick(1)
    assert weighed == ["car"]
    expected = {
        "a photo": Stage.ARRIVING,
        "a photo more": Stage.ARRIVING,
        "its manifest": Stage.DONE,
    }
    # Without mark or preset it is ready all the same: it has been quiet for long.
    assert view.decisions["car"].stage == expected.get(change, Stage.READY)


@pytest.mark.parametrize("status", ["complete", "incomplete", "held"])
@pytest.mark.usefixtures("car")
def test_a_finished_shoot_is_not_queued(desk: Desk, places: Places, status: str) -> None:
    publish(places, "car", status=status)
    view = desk.settled()
    assert view.decisions["car"].stage == Stage.DONE
    assert (view.open, desk.queue) == ([], [])


def test_a_photo_replaced_after_publication_is_queued_again(
    desk: Desk, places: Places, car: Path
) -> None:
    publish(places, "car")
    desk.settled()
    (car / "02.jpg").write_bytes(photo_bytes(99))
    assert desk.tick(1).decisions["car"].stage == Stage.ARRIVING
    desk.tick(31)
    assert [message.shoot for message in desk.queue] == ["car"]


def test_an_angle_that_comes_after_publication_is_queued(
    desk: Desk, places: Places, car: Path
) -> None:
    publish(places, "car")
    desk.settled()
    (car / "03.jpg").write_bytes(photo_bytes(3))
    desk.tick(1)
    desk.tick(31)
    assert [len(message.frames) for message in desk.queue] == [3]


def test_a_photo_removed_after_publication_queues_nothing(
    desk: Desk, places: Places, car: Path
) -> None:
    publish(places, "car")
    (car / "02.jpg").unlink()
    assert desk.settled().decisions["car"].stage == Stage.DONE
    assert not desk.queue


def test_a_wrong_preset_is_a_problem_until_it_is_mended(desk: Desk, car: Path) -> None:
    (car / "preset.toml").write_text("frames = 2\ncolour = 1\n")
    view = desk.settled()
    assert "line 2" in view.problems["car/preset.toml"]
    assert not desk.queue
    (car / "preset.toml").write_text("frames = 2\n")
    assert not desk.tick(1).problems
    assert len(desk.queue) == 1


def test_a_shoots_own_preset_says_how_many_frames_to_expect(desk: Desk, car: Path) -> None:
    (car / "preset.toml").write_text("frames = 2\n")
    desk.tick()
    desk.tick(2)
    assert len(desk.queue) == 1


def test_one_wrong_shoot_does_not_stop_another(desk: Desk, places: Places, car: Path) -> None:
    (car / "preset.toml").write_text("frames = many\n")
    drop_photos(places.inbox / "van", 1)
    desk.settled()
    assert [message.shoot for message in desk.queue] == ["van"]


def test_a_half_written_photo_is_not_taken_up_until_it_is_whole(desk: Desk, car: Path) -> None:
    whole = photo_bytes(2)
    (car / "02.jpg").write_bytes(whole[: len(whole) // 2])
    (car / ".ready").touch()
    desk.tick()
    view = desk.tick(10)
    assert view.decisions["car"].reason == "car/02.jpg is not known to be whole yet"
    (car / "02.jpg").write_bytes(whole)
    desk.tick(1)
    desk.tick(2)
    assert len(desk.queue) == 1


def test_a_photo_whose_copy_stalled_is_taken_up_after_the_quiet_time(desk: Desk, car: Path) -> None:
    whole = photo_bytes(2)
    (car / "02.jpg").write_bytes(whole[: len(whole) // 2])
    (car / ".ready").touch()
    desk.tick()
    desk.tick(29)
    assert not desk.queue
    desk.tick(1)
    assert len(desk.queue) == 1


def test_a_photo_that_vanishes_while_it_is_looked_at_is_seen_as_gone_by_the_next_tick(
    desk: Desk, car: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(path: Path, *, within: Path) -> bool:
        raise FileNotFoundError(path)

    desk.tick()
    with monkeypatch.context() as patch:
        patch.setattr("unet_core.images.check_complete", vanish)
        assert desk.tick(10).decisions["car"].stage == Stage.ARRIVING
    (car / "01.jpg").unlink()
    desk.tick(30)
    assert [len(message.frames) for message in desk.queue] == [1]


@pytest.mark.usefixtures("car")
def test_a_damaged_manifest_counts_as_none(desk: Desk, places: Places) -> None:
    publish(places, "car")
    (places.published("car") / "manifest.json").write_text('{"format": 1, "shoot":')
    desk.settled()
    assert len(desk.queue) == 1


@pytest.mark.usefixtures("car")
def test_a_manifest_that_cannot_be_read_now_is_not_taken_for_none(
    desk: Desk, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(places, "car")
    read_bytes = Path.read_bytes

    def share_fails(path: Path) -> bytes:
        if path.name == "manifest.json":
            raise OSError(errno.EIO, "Input/output error")
        return read_bytes(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", share_fails)
        desk.settled()
        decision = desk.tick(100).decisions["car"]
    assert (decision.stage, decision.reason) == (
        Stage.ARRIVING,
        "its manifest in the outbox cannot be read now",
    )
    assert not desk.queue
    assert desk.tick(1).decisions["car"].stage == Stage.DONE


def test_a_tick_on_an_inbox_that_vanished_raises_a_folder_error(desk: Desk, places: Places) -> None:
    places.inbox.rmdir()
    with pytest.raises(FolderError, match="inbox"):
        desk.tick()


def test_the_first_shoots_of_a_large_delivery_do_not_wait_until_the_last_is_read(
    desk: Desk, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.intake.inbox.CHECK_SECONDS", 0.0)
    for name in ("a", "b"):
        drop_photos(places.inbox / name, 1)
        (places.inbox / name / ".ready").touch()
    desk.tick()

    desk.tick(3)
    assert [message.shoot for message in desk.queue] == ["a"]
    desk.tick(1)
    assert [message.shoot for message in desk.queue] == ["a", "b"]


@pytest.mark.usefixtures("car")
def test_what_the_watcher_keeps_of_a_shoot_is_without_its_views_of_the_booth(
    places: Places,
) -> None:
    rows = [
        row_of(frame.source, frame.name, booth="a view")
        for frame in shoot_in(places.inbox, "car").frames
    ]
    Staging(places, "car").publish(manifest_with("car", rows))
    inbox = Inbox(places, preset="studio-grey", presets=places.inbox.parent, rules=RULES)
    kept = inbox.manifest("car")
    assert kept and [row.booth for row in kept.frames] == [None, None]
    assert inbox.view(0.0).decisions["car"].stage == Stage.DONE
