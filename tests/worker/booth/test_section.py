"""The booth in the report of a night."""

from __future__ import annotations

from worker.booth.finding import Finding
from worker.booth.history import NEEDED, BoothHealth
from worker.booth.section import booth_section


def test_every_change_is_a_line_and_what_people_named_is_escaped() -> None:
    findings = [
        Finding("lamp", -0.2, "It is darker since <i>4711</i>", "<i>4711</i>"),
        Finding("stain", -0.1, "There is a spot", "4712"),
    ]
    text = booth_section(BoothHealth(NEEDED, findings))
    assert text.count("<li>") == 2
    assert "since &lt;i&gt;4711&lt;/i&gt;" in text


def test_nothing_is_said_of_a_booth_that_is_not_known_yet() -> None:
    assert f"{NEEDED - 1} of the {NEEDED} shoots" in booth_section(BoothHealth(NEEDED - 1))
    assert f"As it was ({NEEDED} shoots compared)" in booth_section(BoothHealth(NEEDED))
