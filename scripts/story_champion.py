"""The first champion of the story: trained on all cars but those of the kind."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace

import torch
from rich.console import Console
from story_cars import Cast

from unet_core.augment import Augmentation
from unet_core.checkpoint import Card, read_card
from unet_core.data import Pair, find_pairs, split_by_car
from unet_core.holdout import require_apart
from unet_core.model import UNet
from unet_core.retraining import augmentation_of
from unet_core.samples import Samples
from unet_core.store import SHIPPED, ModelStore
from unet_core.training import Progress, Recipe, start, step, train

err = Console(stderr=True)
FIRST = "first"
TIMED_STEPS, SAID_EVERY = 3, 50
HALF_SIZE_SHARE = 0.5
"""Of the steps: the first ones see pictures at half their size, for time is short."""
CPU = torch.device("cpu")


def first_champion(parts: Cast, store: ModelStore, options: argparse.Namespace) -> int:
    """Trains the champion that knows nothing of the kind, unless it is there; its steps."""
    learners, _ = split_by_car(find_pairs(parts.base), parts.holdout)
    require_apart(learners, [*parts.holdout, *parts.corrected, *parts.untouched])
    shipped = read_card(ModelStore(SHIPPED).champion().folder)
    augmentation = replace(
        augmentation_of(shipped, tuple(options.crop)), long_side_px=options.long_side
    )
    recipe = recipe_within(options, learners, augmentation)
    if all(version.name != FIRST for version in store.versions()):
        err.print(f"{len(learners)} frames without {parts.kind}, {recipe.steps} steps")
        folder = options.work / "run"
        state = start(fresh(options), recipe, folder, CPU)
        until = recipe.half_size_steps * recipe.batch
        samples = Samples(learners, augmentation, half_size_until=until)
        trained = train(state, samples, folder, on_step=_say)
        card = Card(
            version=FIRST,
            long_side_px=options.long_side,
            holdout=parts.holdout,
            recipe={**asdict(recipe), "augmentation": asdict(augmentation), "without": parts.kind},
        )
        store.publish(trained, card)
    if not store.history():
        store.promote(FIRST)
    return recipe.steps


def recipe_within(
    options: argparse.Namespace, learners: list[Pair], augmentation: Augmentation
) -> Recipe:
    """As many steps as fit into the minutes of the first training; one that goes on has as many
    as when it began."""
    recipe = Recipe(
        batch=4,
        learning_rate=options.learning_rate,
        ema_decay=0.99,
        half_size_share=HALF_SIZE_SHARE,
        measure_every=SAID_EVERY,
        workers=options.workers,
    )
    plan = options.work / "first.json"
    if not plan.exists():
        count = steps_within(options, learners, augmentation, recipe)
        plan.write_text(json.dumps({"steps": count}))
    count = int(json.loads(plan.read_text())["steps"])
    return replace(recipe, steps=count, warmup_steps=min(100, count // 10 + 1))


def steps_within(
    options: argparse.Namespace, learners: list[Pair], augmentation: Augmentation, recipe: Recipe
) -> int:
    """How many steps fit into the minutes of the first training, by trying a few."""
    state = start(fresh(options), recipe, options.work / "nowhere", CPU)
    took = []
    for images, masks in Samples(learners, augmentation).batches(recipe.batch, 0, TIMED_STEPS):
        began = time.perf_counter()
        step(state, images, masks, 0.0)
        took.append(time.perf_counter() - began)
    share = 1 - 0.75 * HALF_SIZE_SHARE  # a step at half size is a quarter of the work
    return max(10, int(options.minutes * 60 / (share * min(took))))


def fresh(options: argparse.Namespace) -> UNet:
    """The network at its beginning; its encoder has seen ImageNet."""
    torch.manual_seed(Recipe.seed)
    network = UNet.from_config(options.network)
    if options.network.encoder != "plain":
        network.encoder.load_imagenet()
    return network


def _say(done: Progress) -> None:
    if done.step % SAID_EVERY == 0:
        err.print(f"step {done.step}: loss {done.loss:.4f}, {done.seconds:.0f} s")
