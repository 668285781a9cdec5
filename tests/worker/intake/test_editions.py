from __future__ import annotations

from pathlib import Path

import pytest

from tests.parts import drop_photos, manifest_with, row_of, shoot_in
from worker.intake import editions
from worker.intake.editions import Editions
from worker.intake.inbox import Inbox
from worker.intake.plan import Rules, Stage
from worker.outbox.manifest import Manifest, load_manifest
from worker.outbox.places import Places
from worker.outbox.publish import Staging


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose manifests were read, in order."""
    folders: list[Path] = []

    def read(folder: Path) -> Manifest | None:
        folders.append(folder)
        return load_manifest(folder)

    monkeypatch.setattr(editions, "load_manifest", read)
    return folders


def publish(places: Places, shoot: str, *, status: str = "complete") -> None:
    Staging(places, shoot).publish(manifest_with(shoot, [], status=status))


def test_a_manifest_is_read_again_only_when_it_changed(places: Places, reads: list[Path]) -> None:
    known = Editions(places)
    assert known.latest("car") is None
    assert known.state("car") is None
    publish(places, "car")
    before = known.state("car")
    for _ in range(3):
        edition = known.latest("car")
        assert edition
        assert edition.folder == places.published("car")
    assert len(reads) == 1
    publish(places, "car")
    assert known.state("car") != before
    assert known.latest("car")
    assert len(reads) == 2


def test_a_manifest_that_could_not_be_read_is_tried_again(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(places, "car")
    known = Editions(places)
    with monkeypatch.context() as context:
        context.setattr(editions, "load_manifest", lambda folder: None)
        assert known.latest("car") is None

    assert known.latest("car"), "the disk failed for a moment"


def test_the_held_edition_is_the_latest(places: Places) -> None:
    publish(places, "car")
    publish(places, "car", status="held")
    edition = Editions(places).latest("car")
    assert edition
    assert edition.folder == places.held("car")


def test_few_manifests_are_kept_and_those_that_were_asked_for_last(
    places: Places, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editions, "KEPT", 2)
    known = Editions(places)
    for name in ("a", "b", "c"):
        publish(places, name)
    for name in ("a", "b", "a", "c", "a", "b"):
        assert known.latest(name)
    assert [folder.name for folder in reads] == ["a", "b", "c", "b"]


def test_of_a_shoot_that_is_done_only_a_change_is_read(places: Places, reads: list[Path]) -> None:
    drop_photos(places.inbox / "car", 2)
    shoot = shoot_in(places.inbox, "car")
    done = manifest_with("car", [row_of(each.source, each.name) for each in shoot.frames])
    Staging(places, "car").publish(done)
    rules = Rules(settle_seconds=0, quiet_seconds=0)
    inbox = Inbox(places, preset="studio-grey", presets=places.inbox.parent, rules=rules)

    def stage() -> Stage:
        return inbox.view(0.0).decisions["car"].stage

    assert [stage(), stage(), stage()] == [Stage.DONE] * 3
    assert len(reads) == 1
    drop_photos(places.inbox / "car", 2, size=(24, 16))
    assert [stage(), stage()] == [Stage.READY] * 2
    Staging(places, "car").publish(done)
    assert stage() == Stage.READY
    (places.published("car") / "manifest.json").unlink()
    drop_photos(places.inbox / "car", 2)
    assert stage() == Stage.READY
