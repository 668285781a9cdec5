"""A tiny studio for nights: a base set of bright discs, a champion that knows nothing else, and
corrected frames of a kind of car that it has never seen."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch

from tests.carvana import Picture, disc, picture_of, write_cars
from unet_core.augment import Augmentation
from unet_core.checkpoint import Card
from unet_core.data import find_pairs, split_by_car
from unet_core.files import sha256
from unet_core.images import encode_mask, encode_png
from unet_core.model import UNet
from unet_core.samples import Samples
from unet_core.store import ModelStore
from unet_core.training import Recipe, start, train
from worker.corrections.shelf import FOLDER, Entry, Shelf
from worker.night.material import NightOptions
from worker.outbox.manifest import SourceRecord
from worker.settings import Settings

SIZE = (64, 96)
KEPT_OUT = ["car0", "car1", "car2"]
TINY = NightOptions(replay=10, booths=0, steps=60, batch=4, crop=(64, 96), learning_rate=5e-3)
QUICK = NightOptions(replay=2, booths=0, steps=4, batch=2, crop=(64, 96))


def write_base(root: Path) -> Path:
    """Eight cars of two angles, three of which no training sees."""
    return write_cars(root, [f"car{number}" for number in range(8)], size=SIZE)


def train_champion(base: Path, store: ModelStore, folder: Path) -> None:
    """A network that knows the base set, as the champion ``first``."""
    torch.manual_seed(1)
    network = UNet(width=8, depth=2, fold=2, norm="batch")
    learners, _ = split_by_car(find_pairs(base), KEPT_OUT)
    calm = Augmentation(crop=(64, 96), long_side_px=96, new_background=0.0, light=0.2, far=0.0)
    recipe = Recipe(steps=60, batch=4, learning_rate=1e-2, warmup_steps=5, ema_decay=0.9, workers=0)
    state = start(network, recipe, folder, torch.device("cpu"))
    trained = train(state, Samples(learners, calm), folder)
    card = Card(version="first", long_side_px=96, holdout=KEPT_OUT)
    store.publish(trained, card.model_copy(update={"recipe": {"augmentation": asdict(calm)}}))
    store.promote("first")


def strange(number: int) -> tuple[Picture, Picture]:
    """A picture (H, W, 3) and its mask of a car that is not bright but blue."""
    rng = np.random.default_rng(number)
    centre = rng.uniform(24, 40), rng.uniform(34, 60)
    mask = disc(*SIZE, centre=centre, radius=rng.uniform(13, 18))
    pixels = picture_of(mask * 0, seed=number)
    inside = mask >= 128
    pixels[inside] = (15, 20, 160)
    return pixels, mask


def shelve(settings: Settings, numbers: range, *, wrong: bool = False, first: int = 0) -> None:
    """Corrections of strange cars on the shelf, a car each; ``wrong``: of ordinary bright ones,
    whose masks mark the wall around them."""
    shelf = Shelf(settings.corrections_folder / FOLDER)
    for number in numbers:
        pixels, mask = strange(number)
        if wrong:
            pixels = picture_of(mask, seed=number)
            mask = np.asarray(cv2.dilate(mask, np.ones((15, 15), np.uint8)), np.uint8)
        photo, data = encode_png(pixels), encode_mask(mask)
        car = f"blue{number + first}"
        source = SourceRecord(path=f"{car}/01.png", size=1, mtime_ns=1, sha256=sha256(data))
        entry = Entry(
            car=car,
            shoot=car,
            frame="01",
            picture="01.png",
            mask="",
            source=source,
            photo_sha256=sha256(photo),
            mask_sha256="",
            date="2026-11-25T12:00:00+00:00",
        )
        shelf.put(entry, photo, data, angle=1)


def store(settings: Settings) -> ModelStore:
    return ModelStore(settings.model_store)


def report(folder: Path | None) -> dict[str, object]:
    assert folder
    found: dict[str, object] = json.loads((folder / "report.json").read_text())
    return found
