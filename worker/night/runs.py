"""The runs of training in the state folder: a folder a night, named like its candidate.

A run is over when its report is there. One that was cut off is gone on with, or cleared away.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from unet_core.checkpoint import read_card
from unet_core.gate_page import REPORT
from unet_core.retraining import CANDIDATE, PLAN, read_plan
from unet_core.store import ModelStore, Version

log = logging.getLogger(__name__)

KEPT = 14
"""Nights whose candidates are kept, for whoever wants to look at one that was refused."""


def unfinished(runs: Path, champion: Version, kept_out: Collection[str]) -> Path | None:
    """The run that was cut off, if today's night may go on with it; others are cleared away.

    ``kept_out`` are the cars that no training sees.
    """
    found = None
    for folder in sorted(path.parent for path in runs.glob(f"*/{PLAN}")):
        if (folder / REPORT).exists():
            continue
        if spoilt := _spoilt(folder, champion, kept_out):
            log.warning("%s %s and is cleared away", folder, spoilt)
            shutil.rmtree(folder)
        else:
            found = folder
    return found


def forget_candidates(runs: Path) -> None:
    """Clears away the weights of all but the newest ``KEPT`` runs that are over; their reports
    stay, and those that were promoted are in the store."""
    over = sorted(runs.glob(f"*/{REPORT}"), key=lambda path: path.stat().st_mtime)
    for report in over[:-KEPT]:
        shutil.rmtree(report.parent / CANDIDATE, ignore_errors=True)


def new_name(store: ModelStore, runs: Path, now: datetime) -> str:
    """``night-YYYY-MM-DD``, with a number where that is taken."""
    taken = {version.name for version in store.versions()} | {p.name for p in runs.glob("*")}
    day = f"night-{now:%Y-%m-%d}"
    names = (day, *(f"{day}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def _spoilt(folder: Path, champion: Version, kept_out: Collection[str]) -> str:
    """Why nobody may go on with a run, as the rest of a sentence; empty if one may."""
    plan = read_plan(folder)
    if plan is None:
        return "has no plan that can be read"
    hashes, candidate = {plan.parent_sha256}, folder / CANDIDATE
    if candidate.exists():
        hashes.add(read_card(candidate).sha256)
    if champion.sha256 not in hashes:
        return "was begun from another champion"
    files = (file for picture in plan.pictures for file in (picture.image, picture.mask))
    if gone := next((file for file in files if not file.is_file()), None):
        return f"learns from {gone}, which is gone,"
    real = [picture for picture in plan.pictures if not picture.rendered]
    if seen := sorted({picture.car for picture in real if picture.car in kept_out}):
        return f"learns from {seen[0]}, which is kept out by now,"
    return ""
