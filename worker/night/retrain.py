"""One night: collect what is new, train a candidate, hold it against the champion, decide.

corrections, replay, booths ─ plan ─ train ─ candidate ─ gate ─ promote or refuse ─ report

Never two at once on one model store; killed and started again, a night goes on where it was.
Workers notice nothing but the new champion.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from unet_core.checkpoint import CheckpointError, read_card
from unet_core.data import DataError, Pair
from unet_core.devices import DeviceError, choose_device, is_out_of_memory
from unet_core.differences import compare_on, section
from unet_core.gate import Compared, Verdict, judge
from unet_core.gate_page import for_programs, write_page, write_pictures, write_report
from unet_core.retraining import (
    FEWEST_STEPS,
    Material,
    Plan,
    Sibling,
    StateError,
    make_candidate,
    mixed,
    read_plan,
    steps_in,
)
from unet_core.segment import Segmenter
from unet_core.store import ModelStore, Version
from unet_core.training import TrainingError
from unet_core.trial import times_as_long, try_both
from worker.booth.history import BoothHealth, BoothHistory
from worker.booth.section import booth_section
from worker.corrections.shelf import FOLDER, Shelf
from worker.errors import FolderError, ModelError
from worker.finish.golden import GOLDEN
from worker.night.courtesy import alone_on
from worker.night.last_week import sampled_photos
from worker.night.material import (
    NightOptions,
    frozen_holdout,
    kept_out_by_studio,
    labelled,
    rendered_booths,
    replayed,
    untried,
)
from worker.night.runs import forget_candidates, new_name, unfinished
from worker.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Night:
    """How a night ended."""

    outcome: str
    """``promoted``, ``refused``, ``failed``, ``skipped``, or ``busy``: another one is at it."""
    reason: str
    folder: Path | None = None
    dice: dict[str, float] = field(default_factory=dict)
    """Mean Dice on the holdout of ``champion`` and ``candidate``, if it was measured."""


@dataclass(frozen=True)
class Measured:
    """What came of holding a candidate against the champion."""

    verdict: Verdict
    pictures: list[str]
    """HTML of the page; ``sections`` likewise."""
    sections: list[str]
    beside: dict[str, Any]
    """What the report tells beside the verdict."""


def retrain(
    settings: Settings,
    options: NightOptions,
    *,
    pause: Callable[[], None] = lambda: None,
    now: Callable[[], datetime] = datetime.now,
) -> Night:
    """Does one night's work; ``pause`` is called before every step and returns when the device is
    free.

    Raises :class:`ModelError` when it cannot begin, with the cure. The champion changes only after
    the gate.
    """
    store = ModelStore(settings.model_store)
    with alone_on(settings.model_store) as alone:
        if not alone:
            return Night("busy", "another retraining is at work on this model store")
        device = _device(settings)
        for finding in _booth(settings).findings:  # also in a night that has nothing to learn
            log.warning("booth: %s", finding.sentence)
        try:
            return _night(settings, options, store, device, pause, now)
        except (CheckpointError, DataError) as error:
            raise ModelError(str(error)) from error
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise ModelError(
                f"{device} has too little memory for training now ({str(error).splitlines()[0]})",
                cure="See what else uses it; the next start goes on where this one was",
            ) from error


def _device(settings: Settings) -> torch.device:
    try:
        return choose_device(settings.device)
    except DeviceError as error:
        raise ModelError(str(error)) from error


def _night(
    settings: Settings,
    options: NightOptions,
    store: ModelStore,
    device: torch.device,
    pause: Callable[[], None],
    now: Callable[[], datetime],
) -> Night:
    runs, champion = settings.state / "retraining", store.champion()
    shelf = Shelf(settings.corrections_folder / FOLDER)
    card = read_card(champion.folder)
    kept_out = kept_out_by_studio(settings) | set(card.holdout)
    holdout = frozen_holdout(settings, shelf, kept_out)
    forget_candidates(runs)
    folder = unfinished(runs, champion, kept_out)
    if folder is None:
        new = untried(shelf.entries(), runs, kept_out)
        if len(new) < settings.retrain_corrections:
            return Night(
                "skipped",
                f"{len(new)} new corrections; {settings.retrain_corrections} are worth a night",
            )
        folder = runs / new_name(store, runs, now())
        material = Material(
            labelled(shelf, shelf.entries()),
            replayed(settings, kept_out, options),
            rendered_booths(runs, options.booths, card.long_side_px),
        )
        plan = _plan(settings, options, champion, folder.name, shelf, mixed(material, kept_out))
        if options.steps is None:
            seconds = settings.retrain_minutes * 60
            steps = steps_in(seconds, champion, plan, device)
            plan = plan.model_copy(update={"steps": steps})
        plan.save(folder)
    return _go_on(folder, settings, store, holdout, device, pause)


def _go_on(
    folder: Path,
    settings: Settings,
    store: ModelStore,
    holdout: list[Pair],
    device: torch.device,
    pause: Callable[[], None],
) -> Night:
    """Trains, measures and decides, from wherever an earlier start has left it."""
    plan = read_plan(folder)
    assert plan
    parent = store.find(plan.parent)
    try:
        candidate = make_candidate(parent, plan, folder, device, on_step=lambda _: pause())
    except StateError as error:
        shutil.rmtree(folder)
        return Night("failed", f"{error}. It is cleared away, and the next night begins anew")
    except TrainingError as error:  # the same again would end the same
        write_report(folder, "failed", {"reason": str(error), "corrections": plan.corrections})
        return Night("failed", str(error), folder)
    except CheckpointError as error:
        return Night("failed", str(error))
    except OSError as error:
        raise ModelError(
            f"{folder} cannot be written ({error.strerror}); {parent.name} stays the champion",
            cure="Make room; the next start goes on where this one was",
        ) from error
    measured = _measure(folder, (parent, candidate), holdout, settings, device, pause)
    verdict = measured.verdict
    if verdict.promote:
        verdict = _promote(store, candidate, plan, verdict)
    overtaken = store.champion().sha256 not in (plan.parent_sha256, candidate.sha256)
    tried = [] if verdict is not measured.verdict and overtaken else plan.corrections
    return _tell(folder, plan, replace(measured, verdict=verdict), tried)


def _tell(folder: Path, plan: Plan, measured: Measured, tried: list[str]) -> Night:
    """Writes page and report; with the report the run is over."""
    verdict = measured.verdict
    outcome = "promoted" if verdict.promote else "refused"
    title = f"{plan.version} beside {plan.parent}"
    write_page(folder, verdict, title=title, pictures=measured.pictures, more=measured.sections)
    facts = {
        "reason": verdict.reason,
        "candidate": plan.version,
        "champion": plan.parent,
        "corrections": tried,
        "verdict": for_programs(verdict),
        **measured.beside,
    }
    write_report(folder, outcome, facts)
    (folder / "state.pt").unlink(missing_ok=True)
    dice = {"champion": verdict.champion["dice_mean"], "candidate": verdict.candidate["dice_mean"]}
    return Night(outcome, verdict.reason, folder, dice)


def _measure(
    folder: Path,
    versions: tuple[Version, Version],
    holdout: list[Pair],
    settings: Settings,
    device: torch.device,
    pause: Callable[[], None],
) -> Measured:
    """Both networks on the same pictures, and what the gate says."""
    champion, candidate = (Segmenter.load(version, device) for version in versions)
    shelf = Shelf(settings.corrections_folder / FOLDER)
    pairs = labelled(shelf, shelf.entries())
    measured = {pair.image for pair in holdout}
    frames: list[tuple[Compared, Pair]] = []
    for kind, some in (
        ("holdout", holdout),
        ("correction", [pair for pair in pairs if pair.image not in measured]),
        ("golden", [GOLDEN]),
    ):
        found = try_both(champion, candidate, some, kind=kind, on_pair=pause)  # type: ignore[arg-type]
        frames += zip(found, some, strict=True)
    verdict = judge([c for c, _ in frames], times_as_long=times_as_long(champion, candidate))
    pictures = write_pictures(folder, champion, candidate, frames)
    photos = sampled_photos(settings, champion, time.time(), pause=pause)
    week = compare_on(champion, candidate, photos, folder)
    booth = _booth(settings)
    sections = [booth_section(booth), section(week, title="Last week's shoots")]
    beside = {"last_week": asdict(week), "booth": asdict(booth)}
    return Measured(verdict, pictures, sections, beside)


def _booth(settings: Settings) -> BoothHealth:
    """How the booth is; an outbox that cannot be read ends no night."""
    try:
        return BoothHistory(settings.outbox).look()
    except FolderError as error:
        log.warning("nothing is known of the booth: %s", error)
        return BoothHealth(0)


def _promote(store: ModelStore, candidate: Version, plan: Plan, verdict: Verdict) -> Verdict:
    """Into the store and to the top, unless an earlier start has done so. The verdict stands if
    the candidate is champion now; a champion that it was not held against refuses it, and so does
    a person who has taken it back."""
    there = {version.name: version.sha256 for version in store.versions()}
    if there.get(plan.version) != candidate.sha256:
        store.add(candidate.folder, name=plan.version)
    champion = store.champion()
    was_champion = any(row.champion.sha256 == candidate.sha256 for row in store.history())
    if champion.sha256 == plan.parent_sha256 and was_champion:
        reason = f"{plan.version} was champion, and {champion.name} was brought back meanwhile"
        return replace(verdict, promote=False, reason=reason, told_by=champion.name)
    if champion.sha256 == plan.parent_sha256:
        champion = store.promote(plan.version, reason=verdict.reason, by="retraining")
    if champion.sha256 == candidate.sha256:
        return verdict
    reason = (
        f"{champion.name} was promoted meanwhile; {plan.version}, which is better than "
        f"{plan.parent}, is in the store: cyclorama models promote {plan.version}"
    )
    return replace(verdict, promote=False, reason=reason, told_by=champion.name)


def _plan(
    settings: Settings,
    options: NightOptions,
    champion: Version,
    name: str,
    shelf: Shelf,
    pictures: list[Pair],
) -> Plan:
    return Plan(
        version=name,
        parent=champion.name,
        parent_sha256=champion.sha256,
        corrections=sorted({e.source.sha256 or "" for e in shelf.entries()}),
        pictures=[
            Sibling(
                image=p.image.absolute(), mask=p.mask.absolute(), car=p.car, rendered=p.rendered
            )
            for p in pictures
        ],
        kept_out=sorted(kept_out_by_studio(settings)),
        crop=options.crop,
        steps=options.steps or FEWEST_STEPS,
        batch=options.batch,
        learning_rate=options.learning_rate,
        rendered_share=0.15 if any(p.rendered for p in pictures) else 0.0,
        seed=25,
    )
