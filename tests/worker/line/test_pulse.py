from __future__ import annotations

from worker.line.pulse import Pulse


def test_a_worker_without_work_is_well_however_long() -> None:
    pulse = Pulse(0.0, patience_seconds=60)
    assert pulse.complaint(has_work=False, last_frame_at=0.0, clock=10_000.0) == ""


def test_work_without_a_frame_is_borne_for_a_while_only() -> None:
    pulse = Pulse(0.0, patience_seconds=60)
    pulse.complaint(has_work=False, last_frame_at=0.0, clock=1000.0)
    assert pulse.complaint(has_work=True, last_frame_at=0.0, clock=1060.0) == ""
    complaint = pulse.complaint(has_work=True, last_frame_at=0.0, clock=1061.0)
    assert "no frame was finished for 61 s" in complaint


def test_every_frame_begins_the_wait_anew() -> None:
    pulse = Pulse(0.0, patience_seconds=60)
    assert pulse.complaint(has_work=True, last_frame_at=950.0, clock=1000.0) == ""
    assert pulse.complaint(has_work=True, last_frame_at=950.0, clock=1011.0) != ""
    assert pulse.complaint(has_work=True, last_frame_at=1010.0, clock=1011.0) == ""


def test_a_worker_that_never_made_a_frame_is_judged_from_its_start() -> None:
    pulse = Pulse(1000.0, patience_seconds=60)
    assert pulse.complaint(has_work=True, last_frame_at=0.0, clock=1030.0) == ""
    assert pulse.complaint(has_work=True, last_frame_at=0.0, clock=1061.0) != ""
