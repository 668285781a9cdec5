"""The booth in the report of a night."""

from __future__ import annotations

import html

from worker.booth.history import NEEDED, BoothHealth


def booth_section(health: BoothHealth) -> str:
    """What changed in the booth, or that nothing did, as a part of a page: HTML."""
    if health.shoots < NEEDED:
        told = f"<p>{health.shoots} of the {NEEDED} shoots that are needed to tell.</p>"
    elif not health.findings:
        told = f"<p>As it was ({health.shoots} shoots compared).</p>"
    else:
        told = "".join(f"<li>{html.escape(each.sentence)}</li>" for each in health.findings)
        told = f"<ul>{told}</ul>"
    return f"<h2>The booth</h2>{told}"
