"""The manifest of a shoot that is published again without the network."""

from __future__ import annotations

import pytest

from tests.parts import manifest_with, row_of
from worker.finish.presets import load_preset
from worker.outbox.edition import next_edition
from worker.outbox.manifest import CheckpointRecord, Failure, FrameRow, Manifest
from worker.shoots import Source

PRESET = load_preset("studio-white", folders=[])
STARTED = "2026-11-25T12:00:00+00:00"


def row(angle: int, **changes: object) -> FrameRow:
    source = Source(f"car/{angle:02}.jpg", 1, 1)
    return row_of(source, f"{angle:02}").model_copy(update={"angle": angle, **changes})


@pytest.fixture
def edition() -> Manifest:
    """What was delivered: by another checkpoint and preset, in the third attempt."""
    checkpoint = CheckpointRecord(version="first", sha256="f")
    changes = {"checkpoint": checkpoint, "attempts": 3, "remarks": ["missing: angle 4"]}
    return manifest_with("car", [row(1), row(2)]).model_copy(update=changes)


def test_what_made_the_shoot_stays_and_the_look_is_todays(edition: Manifest) -> None:
    found = next_edition(edition, edition.frames, PRESET, chosen=None, started=STARTED)
    kept = ("shoot", "checkpoint", "attempts", "frames")
    assert [getattr(found, name) for name in kept] == [getattr(edition, name) for name in kept]
    assert (found.preset.name, found.preset.digest) == ("studio-white", PRESET.digest)
    assert (found.started, found.program) == (STARTED, "0.1.0")
    assert found.finished > STARTED
    assert found.remarks == ["2 of 16 frames"], "said of today's frames and today's preset"


def test_frames_stand_in_the_order_of_the_turn(edition: Manifest) -> None:
    found = next_edition(edition, [row(10), row(2), row(1)], PRESET, chosen=None, started=STARTED)
    assert [each.angle for each in found.frames] == [1, 2, 10]


@pytest.mark.parametrize(("rule", "status"), [("publish", "incomplete"), ("hold", "held")])
def test_a_frame_that_failed_this_time_tells_as_the_preset_says(
    edition: Manifest, rule: str, status: str
) -> None:
    preset = PRESET.model_copy(update={"on_failed_frame": rule})
    broken = row(2, error=Failure(code="truncated", message="it ends before its end"))
    assert (
        next_edition(edition, [row(1), broken], preset, chosen=None, started=STARTED).status
        == status
    )
    assert (
        next_edition(edition, [row(1), row(2)], preset, chosen=None, started=STARTED).status
        == "complete"
    )


def test_frames_are_judged_anew_among_the_others(edition: Manifest) -> None:
    def turned(angle: int, share: float) -> FrameRow:
        width = round(300 * share)
        box = (320 - width // 2, 150, 320 + width // 2, 330)
        return row(angle, width=640, height=427, box=box, mask_area=0.2 * share)

    turn = [turned(angle, 1.0) for angle in range(1, 17)]
    odd = [*turn[:4], turned(5, 0.6), *turn[5:]]
    flagged = next_edition(edition, odd, PRESET, chosen=None, started=STARTED)
    assert {f.code for f in flagged.frames[4].flags} >= {"odd-area"}
    mended = next_edition(
        edition,
        [*flagged.frames[:4], turn[4], *flagged.frames[5:]],
        PRESET,
        chosen=None,
        started=STARTED,
    )
    assert [each.flags for each in mended.frames] == [[]] * 16


def test_the_pictures_of_the_shoots_own_preset_are_still_no_frames(edition: Manifest) -> None:
    preset = edition.preset.model_copy(update={"pictures": ["logo.png"]})
    edition = edition.model_copy(update={"preset": preset})
    found = next_edition(edition, edition.frames, PRESET, chosen=None, started=STARTED)
    assert found.preset.pictures == ["logo.png"]
