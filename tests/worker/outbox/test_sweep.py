from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.parts import manifest_with, photo_bytes, row_of
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.outbox.sweep import Sweep
from worker.shoots import Source

PHOTO = Source("car/01.jpg", 10, 5)


@pytest.fixture
def sweep(places: Places) -> Sweep:
    return Sweep(places, rest_seconds=10)


def tick(sweep: Sweep, now: float, *, wanted: str = "", in_work: str = "") -> None:
    sweep.tick(now, wanted={wanted}, in_work=lambda shoot: shoot == in_work)


def publish(places: Places, seed: int) -> Path:
    staging = Staging(places, "car")
    outputs = {"composite": staging.write("01.jpg", photo_bytes(seed))}
    return staging.publish(manifest_with("car", [row_of(PHOTO, outputs=outputs)]))


def test_what_was_made_of_a_shoot_that_nobody_wants_goes_after_a_while(
    places: Places, sweep: Sweep
) -> None:
    Staging(places, "car")
    tick(sweep, 0)
    tick(sweep, 9)
    assert places.staging("car").exists()
    tick(sweep, 10)
    assert not places.staging("car").exists()


@pytest.mark.parametrize("reason", ["wanted", "in_work"])
def test_what_is_wanted_or_in_work_stays(places: Places, sweep: Sweep, reason: str) -> None:
    Staging(places, "car")
    for now in (0, 10, 100):
        tick(sweep, now, **{reason: "car"})
    assert places.staging("car").exists()


def test_an_edition_that_a_crash_left_aside_goes_when_its_successor_is_there(
    places: Places, sweep: Sweep
) -> None:
    publish(places, 1).rename(places.retired("car"))
    folder = publish_beside(places)
    tick(sweep, 0)
    tick(sweep, 10)
    assert not places.retired("car").exists()
    assert (folder / "01.jpg").read_bytes() == photo_bytes(2)


def publish_beside(places: Places) -> Path:
    """A newer edition that leaves the one that was set aside where it is."""
    aside = places.retired("car")
    hidden = aside.with_name(".hidden")
    aside.rename(hidden)
    folder = publish(places, 2)
    hidden.rename(aside)
    return folder


def test_an_edition_whose_successor_never_came_is_put_back(places: Places, sweep: Sweep) -> None:
    publish(places, 1).rename(places.retired("car"))
    tick(sweep, 0)
    tick(sweep, 10)
    assert (places.published("car") / "01.jpg").read_bytes() == photo_bytes(1)
    assert list(places.staging("").iterdir()) == []


def test_an_edition_that_a_person_has_changed_is_kept(places: Places, sweep: Sweep) -> None:
    old = publish(places, 1).rename(places.retired("car"))
    (old / "note.txt").write_text("for the dealer")
    publish_beside(places)
    tick(sweep, 0)
    tick(sweep, 10)
    (kept,) = (places.outbox / ".replaced").iterdir()
    assert (kept / "note.txt").read_text() == "for the dealer"


def test_an_edition_with_a_forged_name_is_moved_nowhere(places: Places, sweep: Sweep) -> None:
    old = publish(places, 1)
    text = (old / "manifest.json").read_text()
    for forged in ("van", "../car"):
        (old / "manifest.json").write_text(text.replace('"shoot": "car"', f'"shoot": "{forged}"'))
        aside = old.rename(places.retired("car"))
        tick(sweep, 0)
        tick(sweep, 10)
        assert not places.published("van").exists()
        assert not (places.outbox.parent / "car").exists()
        old = aside.rename(places.published("car"))


def test_probes_that_a_crash_left_go(places: Places, sweep: Sweep) -> None:
    probe = places.staging("") / ".probe-1"
    probe.touch()
    tick(sweep, 0)
    tick(sweep, 10)
    assert not probe.exists()


def test_what_cannot_be_put_away_keeps_nothing_else_and_is_tried_again(
    places: Places, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(places, 1).rename(places.retired("car"))
    publish_beside(places)
    Staging(places, "van")

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("worker.outbox.sweep.put_away", full)
        tick(sweep, 0)
        tick(sweep, 10)
    assert places.retired("car").exists()
    assert not places.staging("van").exists()
    tick(sweep, 20)
    assert not places.retired("car").exists()


def test_a_held_edition_that_a_crash_left_aside_never_comes_into_the_outbox(
    places: Places, sweep: Sweep
) -> None:
    held = publish(places, 1)
    held.rename(places.retired("car"))
    places.held("car").parent.mkdir()
    publish_beside(places).rename(places.held("car"))
    tick(sweep, 0)
    tick(sweep, 10)
    assert not places.published("car").exists()
    assert not places.retired("car").exists()
    assert (places.held("car") / "01.jpg").read_bytes() == photo_bytes(2)


def test_an_edition_that_is_aside_while_its_successor_is_published_stays_there(
    places: Places, sweep: Sweep
) -> None:
    publish(places, 1).rename(places.retired("car"))
    for now in (0, 10, 100):
        tick(sweep, now, in_work="car")
    assert places.retired("car").exists()
    assert not places.published("car").exists()


def test_staging_that_is_written_to_has_not_rested(places: Places, sweep: Sweep) -> None:
    staging = Staging(places, "car")
    tick(sweep, 0)
    os.utime(places.staging("car"), ns=(1, 1))
    tick(sweep, 10)
    assert staging.folder.exists()
    tick(sweep, 20)
    assert not places.staging("car").exists()
