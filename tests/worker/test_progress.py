from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.parts import drop_photos, manifest_with, row_of, shoot_in
from worker.intake.inbox import Inbox
from worker.intake.plan import Rules
from worker.outbox.manifest import Failure
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.progress import ProgressView, Reporter
from worker.queue.leases import Leases, Note


@pytest.fixture
def inbox(places: Places) -> Inbox:
    rules = Rules(settle_seconds=0, quiet_seconds=0)
    return Inbox(places, preset="studio-grey", presets=places.inbox.parent, rules=rules)


def publish(places: Places, *, failed: bool = False) -> None:
    frames = shoot_in(places.inbox, "car").frames
    error = Failure(code="truncated", message="it ends too early") if failed else None
    manifest = manifest_with(
        "car",
        [
            row_of(frame.source, frame.name, error=error if frame.angle == 1 else None)
            for frame in frames
        ],
        status="incomplete" if failed else "complete",
    )
    Staging(places, "car").publish(manifest)


def test_frames_in_work_are_counted_from_the_note(
    places: Places, inbox: Inbox, leases: Leases
) -> None:
    drop_photos(places.inbox / "car", 4)
    leases.write("car", Note("working", "0" * 32, 1, 0.0, done=3, total=4))
    tally = ProgressView(inbox, leases).tally(inbox.view(0.0))
    assert (tally.done, tally.frames, tally.failed) == (3, 4, 0)


def test_a_shoot_that_was_published_since_the_last_look_counts_as_done(
    places: Places, inbox: Inbox, leases: Leases
) -> None:
    drop_photos(places.inbox / "car", 4)
    view = inbox.view(0.0)
    publish(places, failed=True)
    tally = ProgressView(inbox, leases).tally(view)
    assert (tally.done, tally.frames, tally.failed) == (4, 4, 1)


def test_a_shoot_that_is_done_is_counted_though_its_manifest_is_not_read_again(
    places: Places, inbox: Inbox, leases: Leases
) -> None:
    drop_photos(places.inbox / "car", 4)
    publish(places, failed=True)
    progress, view = ProgressView(inbox, leases), inbox.view(0.0)
    first = progress.tally(view)
    assert (first.done, first.failed) == (4, 1)
    (places.published("car") / "manifest.json").write_text("{}")
    assert progress.tally(view) == first
    later = progress.tally(inbox.view(1.0))
    assert (later.done, later.failed) == (0, 0)


def test_a_name_cannot_forge_a_line_nor_speak_to_the_terminal(
    places: Places, inbox: Inbox, leases: Leases
) -> None:
    text = io.StringIO()
    reporter = Reporter(Console(file=text, width=200), lambda: 0.0)
    view = inbox.view(0.0)
    view.problems["a\x1b]0;b\x07\nvan is complete"] = "no"
    reporter.show(ProgressView(inbox, leases).tally(view), view)
    assert text.getvalue().splitlines() == ["a\ufffd]0;b\ufffd van is complete: no"]


def test_where_nobody_looks_each_event_is_a_plain_line(
    places: Places, inbox: Inbox, leases: Leases
) -> None:
    drop_photos(places.inbox / "car", 2)
    text = io.StringIO()
    clock = iter([0.0, 2.0, 4.0, 6.0])
    reporter = Reporter(Console(file=text, width=200), lambda: next(clock))
    progress, view = ProgressView(inbox, leases), inbox.view(0.0)
    reporter.show(progress.tally(view), view)
    publish(places, failed=True)
    view.problems["notes"] = "this folder holds no photo"
    reporter.finish(progress.tally(view), view)
    lines = text.getvalue().splitlines()
    assert lines[0] == "car is incomplete: 1 of 2 frames"
    assert lines[1].endswith("it ends too early")
    assert lines[2] == "notes: this folder holds no photo"
    assert lines[3].startswith("2 of 2 frames done, 1 failed")
