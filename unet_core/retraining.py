"""One night's training: the champion, fine-tuned on corrections without forgetting the rest.

    <run>/plan.json     what is trained on and for how long; written first, and kept to
    <run>/state.pt      how far it is
    <run>/candidate/    the result, whole or not there

Each step finds what an earlier one left, so that a run that was killed goes on where it was.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from unet_core.augment import Augmentation
from unet_core.checkpoint import (
    Card,
    CheckpointError,
    load_checkpoint,
    read_card,
    save_checkpoint,
)
from unet_core.data import DataError, Pair
from unet_core.files import write_file
from unet_core.holdout import TRAINED_ON
from unet_core.samples import Samples
from unet_core.store import Version
from unet_core.training import Progress, Recipe, TrainingError, start, step, train

PLAN, CANDIDATE = "plan.json", "candidate"
MOST_STEPS, FEWEST_STEPS = 2000, 20
TRIED_STEPS = 2
"""Steps that are timed, with what loads their pictures, to tell how many fit into the night; the
first pays for what is set up."""
CORRECTIONS_TO_REPLAY = 0.5
"""Pictures of corrections for one that is replayed: what the network knows of all other cars is
kept by seeing them more often."""


class StateError(TrainingError):
    """A run cannot go on from its saved state; the message says why."""


class Sibling(BaseModel):
    """A :class:`Pair` as the plan keeps it."""

    model_config = ConfigDict(frozen=True)

    image: Path
    mask: Path
    car: str
    rendered: bool

    def pair(self) -> Pair:
        """The pair itself."""
        return Pair(self.image, self.mask, self.car, self.rendered)


class Plan(BaseModel):
    """What one run does; the same plan gives the same candidate."""

    model_config = ConfigDict(frozen=True)

    format: int = 1
    version: str
    """Name of the candidate."""
    parent: str
    parent_sha256: str
    corrections: list[str]
    """Hashes of the corrected masks that it learns from."""
    pictures: list[Sibling]
    kept_out: list[str]
    """Cars that the studio keeps out, beside those on the parent's card."""
    crop: tuple[int, int]
    steps: int
    batch: int
    learning_rate: float
    rendered_share: float
    seed: int

    def recipe(self) -> Recipe:
        """The plan as training knows it."""
        return Recipe(
            steps=self.steps,
            batch=self.batch,
            learning_rate=self.learning_rate,
            warmup_steps=max(1, self.steps // 10),
            ema_decay=0.99,
            rendered_share=self.rendered_share,
            seed=self.seed,
            measure_every=max(1, self.steps // 20),  # a kill costs a twentieth
            workers=0,
        )

    def save(self, folder: Path) -> None:
        """Writes ``plan.json``, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / PLAN, (self.model_dump_json(indent=1) + "\n").encode())


def read_plan(folder: Path) -> Plan | None:
    """The plan of a run, or ``None`` where there is none that can be read."""
    try:
        return Plan.model_validate_json((folder / PLAN).read_bytes())
    except (OSError, ValidationError):
        return None


@dataclass(frozen=True)
class Material:
    """What a night may learn from."""

    corrections: Sequence[Pair]
    replay: Sequence[Pair]
    """A sample of what the champion was trained on, so that nothing is forgotten."""
    rendered: Sequence[Pair]


def mixed(material: Material, kept_out: Collection[str]) -> list[Pair]:
    """The pictures of a run: corrections are half as many as the replayed ones, each repeated as
    often as that takes. Cars that are kept out are left out, rendered ones aside.

    Raises :class:`DataError` when no correction is left.
    """
    corrections = [pair for pair in material.corrections if pair.car not in kept_out]
    replay = [pair for pair in material.replay if pair.car not in kept_out]
    if not corrections:
        raise DataError("every corrected car is kept out of training: there is nothing to learn")
    often = max(1, round(CORRECTIONS_TO_REPLAY * len(replay) / len(corrections)))
    return [*often * corrections, *replay, *material.rendered]


def sample(pairs: Sequence[Pair], count: int, *, seed: int) -> list[Pair]:
    """``count`` of the pairs at most, the same for the same seed."""
    ordered = sorted(pairs, key=lambda pair: pair.image)
    return sorted(
        random.Random(seed).sample(ordered, min(count, len(ordered))), key=lambda pair: pair.image
    )


def steps_in(seconds: float, parent: Version, plan: Plan, device: torch.device) -> int:
    """How many steps of ``plan`` fit into ``seconds`` on this device, by trying a few."""
    network, card = load_checkpoint(parent.folder)
    state = start(network, plan.recipe(), parent.folder, device)  # no state lies in a checkpoint
    took, began = 0.0, time.perf_counter()
    for images, masks in _samples(plan, card).batches(plan.batch, 0, TRIED_STEPS):
        step(state, images.to(device), masks.to(device), 0.0)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        took, began = time.perf_counter() - began, time.perf_counter()
    return max(FEWEST_STEPS, min(MOST_STEPS, int(seconds / max(took, 1e-3))))


def make_candidate(
    parent: Version,
    plan: Plan,
    folder: Path,
    device: torch.device,
    *,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> Version:
    """The candidate of a run, trained from where it stands; the one that is there if it is done.

    Raises :class:`StateError` when it cannot go on, :class:`TrainingError` when loss or weights
    are no numbers, :class:`CheckpointError` when the parent cannot be read, ``OSError`` when the
    disk is full: the champion is not touched by any.
    """
    target = folder / CANDIDATE
    if not target.exists():
        network, card = load_checkpoint(parent.folder)
        if card.squash_px:
            raise DataError(
                f"{parent.name} squashes its pictures, and training does not; "
                "promote a checkpoint of scripts/train.py first"
            )
        try:
            state = start(network, plan.recipe(), folder, device)
        except TrainingError as error:
            raise StateError(str(error)) from error
        trained = train(state, _samples(plan, card), folder, on_step=on_step)
        try:
            save_checkpoint(target, trained, _card(plan, card))
        except CheckpointError as error:
            raise TrainingError(str(error)) from error
    card = read_card(target)
    return Version(card.version, target, card.sha256)


def _samples(plan: Plan, card: Card) -> Samples:
    augmentation = augmentation_of(card, plan.crop)
    pairs = [picture.pair() for picture in plan.pictures]
    return Samples(pairs, augmentation, seed=plan.seed, rendered_share=plan.rendered_share)


def augmentation_of(parent: Card, crop: tuple[int, int]) -> Augmentation:
    """What the pictures are put through: as for the parent, where its card says."""
    names = {field.name for field in fields(Augmentation)}
    said: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in dict(parent.recipe.get("augmentation", {})).items()
        if name in names
    }
    return Augmentation(**said | {"crop": crop, "long_side_px": parent.long_side_px})


def _card(plan: Plan, parent: Card) -> Card:
    seen = {picture.car for picture in plan.pictures if not picture.rendered}
    return Card(
        version=plan.version,
        long_side_px=parent.long_side_px,
        holdout=sorted({*parent.holdout, *plan.kept_out}),
        data=parent.data,
        recipe={
            "command": "scripts/retrain.py",
            **asdict(plan.recipe()),
            "augmentation": asdict(augmentation_of(parent, plan.crop)),
            "corrections": plan.corrections,
            "pictures": len(plan.pictures),
            TRAINED_ON: sorted({*parent.recipe.get(TRAINED_ON, []), *seen}),
            "cyclorama": installed("cyclorama"),
            "torch": torch.__version__,
        },
        parent=plan.parent,
    )
