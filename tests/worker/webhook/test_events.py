from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.parts import drop_photos, manifest_with, row_of, shoot_in
from worker.outbox.places import Places
from worker.outbox.publish import Staging, release
from worker.webhook.events import Outbox


def publish(places: Places, shoot: str, status: str = "complete", **changes: object) -> None:
    """An edition with two frames; ``changes`` are made to the second."""
    if not (places.inbox / shoot).exists():
        drop_photos(places.inbox / shoot, 2)
    rows = [row_of(frame.source, frame.name) for frame in shoot_in(places.inbox, shoot).frames]
    rows[-1] = row_of(rows[-1].source.source(), rows[-1].name, **changes)
    Staging(places, shoot).publish(manifest_with(shoot, rows, status=status))


def test_an_empty_outbox_has_nothing_to_tell(places: Places) -> None:
    assert Outbox(places).events() == []


def test_a_published_shoot_is_told_with_where_it_lies(places: Places) -> None:
    publish(places, "Car ä")
    (event,) = Outbox(places).events()
    told = json.loads(event.body)
    assert (event.type, event.place) == ("shoot.complete", "Car ä")
    assert told["type"] == "shoot.complete"
    assert told["data"] == {
        "shoot": "Car ä",
        "folder": "Car ä",
        "frames": 2,
        "failed": [],
        "flagged": [],
        "remarks": [],
        "preset": "p",
        "checkpoint": "v",
    }


@pytest.mark.parametrize(("status", "folder"), [("incomplete", "car"), ("held", ".held/car")])
def test_a_shoot_with_a_failed_frame_is_told_with_cause_and_cure(
    places: Places, status: str, folder: str
) -> None:
    publish(places, "car", status, error={"code": "empty-file", "message": "Send it again."})
    (event,) = Outbox(places).events()
    told = json.loads(event.body)
    assert (told["type"], told["data"]["folder"]) == (f"shoot.{status}", folder)
    failed = {"frame": "02", "photo": "car/02.jpg", "code": "empty-file"}
    assert told["data"]["failed"] == [failed | {"message": "Send it again."}]


def test_flagged_frames_are_named(places: Places) -> None:
    publish(places, "car", flags=[{"code": "hole", "value": 0.2, "sentence": "Look."}])
    (event,) = Outbox(places).events()
    assert json.loads(event.body)["data"]["flagged"] == ["02"]


def test_an_edition_keeps_its_id_and_the_next_has_another(places: Places) -> None:
    publish(places, "car")
    outbox = Outbox(places)
    (first,) = outbox.events()
    assert (outbox.events(), Outbox(places).events()) == ([first], [first])
    publish(places, "car", "incomplete", error={"code": "x", "message": "y"})
    (second,) = outbox.events()
    assert second.id != first.id


def test_a_held_shoot_that_is_released_is_told_anew(places: Places) -> None:
    publish(places, "car", "held", error={"code": "x", "message": "y"})
    outbox = Outbox(places)
    (held,) = outbox.events()
    release(places, "car")
    (released,) = outbox.events()
    assert (held.type, released.type) == ("shoot.held", "shoot.incomplete")
    assert held.id != released.id


def test_what_is_no_shoot_or_still_in_the_making_is_not_told(places: Places) -> None:
    (places.outbox / "notes").mkdir()
    (places.outbox / "notes" / "manifest.json").write_text("{}")
    (places.outbox / "list.txt").write_text("")
    Staging(places, "car")
    assert Outbox(places).events() == []


def test_a_copy_whose_name_is_not_unicode_keeps_no_other_from_being_told(places: Places) -> None:
    publish(places, "car")
    try:
        shutil.copytree(places.outbox / "car", places.outbox / os.fsdecode(b"car-\xe4"))
    except OSError:
        pytest.skip("this file system takes no such name")
    assert [event.place for event in Outbox(places).events()] == ["car"]


def test_a_manifest_that_could_not_be_read_once_is_told_at_the_next_look(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(places, "car")
    outbox = Outbox(places)

    def fail(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error", str(path))

    with monkeypatch.context() as only_here:
        only_here.setattr(Path, "read_bytes", fail)
        assert outbox.events() == []
    assert [event.place for event in outbox.events()] == ["car"]


def test_a_shoot_that_was_taken_away_is_not_told(places: Places) -> None:
    publish(places, "car")
    outbox = Outbox(places)
    assert len(outbox.events()) == 1
    shutil.rmtree(places.outbox / "car")
    assert outbox.events() == []
