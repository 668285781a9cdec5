from __future__ import annotations

from dataclasses import replace

import pytest

from tests.parts import manifest_with, row_of
from worker.intake.plan import Decision, Rules, Stage, decide, missing
from worker.intake.scan import Rest
from worker.outbox.manifest import Manifest
from worker.shoots import Shoot, Source, group

RULES = Rules(settle_seconds=2, quiet_seconds=30)


def shoot_of_two() -> Shoot:
    return group([Source("car/01.jpg", 10, 1), Source("car/02.jpg", 10, 1)])[0]


def manifest_of(shoot: Shoot) -> Manifest:
    return manifest_with(
        shoot.name, [row_of(frame.source, frame.name) for frame in shoot.frames], status="complete"
    )


def decided(
    *,
    rested: float,
    expected: int = 16,
    marked_ready: bool = False,
    whole: bool = True,
    rules: Rules = RULES,
    delivered: bool = False,
    withdrawn: bool = False,
) -> Decision:
    """The decision on a shoot of two photos that have lain for ``rested`` seconds."""
    shoot, rest = shoot_of_two(), Rest()
    rest.update({frame.source.path: frame.source for frame in shoot.frames}, 0.0)
    return decide(
        shoot,
        missing=missing(shoot, manifest_of(shoot) if delivered else None),
        withdrawn=withdrawn,
        expected=expected,
        marked_ready=marked_ready,
        rest=rest,
        whole=lambda source: whole,
        rules=rules,
        now=rested,
    )


def test_without_a_manifest_every_photo_is_missing() -> None:
    shoot = shoot_of_two()
    assert missing(shoot, None) == [frame.source for frame in shoot.frames]


@pytest.mark.parametrize("change", [{"size": 11}, {"mtime_ns": 2}])
def test_a_photo_in_another_state_than_its_row_is_missing(change: dict[str, int]) -> None:
    before = shoot_of_two()
    replaced = replace(before.frames[1].source, **change)
    after = group([before.frames[0].source, replaced])[0]
    assert missing(after, manifest_of(before)) == [replaced]


def test_a_shoot_with_a_row_for_every_photo_is_done_at_once() -> None:
    assert decided(rested=0, delivered=True).stage == Stage.DONE


def test_files_that_have_just_changed_are_arriving() -> None:
    decision = decided(rested=1.9, expected=2, marked_ready=True)
    assert (decision.stage, decision.reason) == (Stage.ARRIVING, "2 of 2 files still settle")


def test_a_shoot_with_the_expected_number_of_settled_frames_is_ready() -> None:
    assert decided(rested=2, expected=2).stage == Stage.READY


def test_a_shoot_short_of_frames_waits_and_says_for_how_long() -> None:
    decision = decided(rested=10)
    assert decision.stage == Stage.WAITING
    assert decision.reason == "2 of 16 frames; starts in 20 s if no more come"


def test_a_shoot_short_of_frames_is_ready_after_the_quiet_time() -> None:
    assert decided(rested=29.9).stage == Stage.WAITING
    assert decided(rested=30).stage == Stage.READY


def test_a_ready_file_spares_the_quiet_time_but_not_the_settling() -> None:
    assert decided(rested=2, marked_ready=True).stage == Stage.READY
    assert decided(rested=1, marked_ready=True).stage == Stage.ARRIVING


def test_a_photo_that_is_not_whole_holds_the_shoot_back_until_it_is_quiet() -> None:
    decision = decided(rested=29, expected=2, whole=False)
    assert (decision.stage, decision.reason) == (
        Stage.ARRIVING,
        "car/01.jpg is not known to be whole yet",
    )
    assert decided(rested=30, expected=2, whole=False).stage == Stage.READY


def test_once_takes_what_is_there_as_soon_as_it_has_settled() -> None:
    once = replace(RULES, once=True)
    assert decided(rested=1, rules=once).stage == Stage.ARRIVING
    assert decided(rested=2, rules=once).stage == Stage.READY
    assert decided(rested=2, rules=once, whole=False).stage == Stage.READY


def test_only_missing_photos_are_opened() -> None:
    shoot, rest, opened = shoot_of_two(), Rest(), []
    rest.update({frame.source.path: frame.source for frame in shoot.frames}, 0.0)
    last = shoot.frames[1].source
    decide(
        shoot,
        missing=[last],
        expected=2,
        marked_ready=False,
        rest=rest,
        whole=lambda source: not opened.append(source),
        rules=RULES,
        now=5.0,
    )
    assert opened == [last]


def test_a_failed_photo_that_was_taken_out_makes_its_shoot_ready_again() -> None:
    assert decided(delivered=True, withdrawn=True, rested=3, expected=2).stage == Stage.READY
    assert decided(delivered=True, rested=3, expected=2).stage == Stage.DONE


def test_the_quiet_time_begins_with_the_photo_that_came_last() -> None:
    shoot, rest = shoot_of_two(), Rest()
    first, last = (frame.source for frame in shoot.frames)
    rest.update({first.path: first}, 0.0)
    rest.update({first.path: first, last.path: last}, 25.0)

    def at(now: float) -> Decision:
        return decide(
            shoot,
            missing=[first, last],
            expected=16,
            marked_ready=False,
            rest=rest,
            whole=lambda source: True,
            rules=RULES,
            now=now,
        )

    assert (at(54.0).stage, at(55.0).stage) == (Stage.WAITING, Stage.READY)
    assert "starts in 5 s" in at(50.0).reason
