"""What a night learns from, and what its candidate is measured on."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from unet_core.booth import Booth, write_truth
from unet_core.data import Pair, find_pairs
from unet_core.evaluation import thinned
from unet_core.gate_page import REPORT
from unet_core.holdout import HOLDOUT_FILE, read_holdout
from unet_core.retraining import sample
from worker.corrections.shelf import FOLDER, Entry, Shelf
from worker.errors import ModelError
from worker.settings import Settings

log = logging.getLogger(__name__)

HOLDOUT_FRAMES = 8
"""Of a car at most: a small machine has other things to do in a night."""
FIRST_BOOTH, BOOTH_ANGLES = 7000, 5


@dataclass(frozen=True)
class NightOptions:
    """How much a night may do."""

    replay: int = 256
    """Pictures of the base set beside the corrections."""
    booths: int = 4
    """Rendered cars beside them."""
    steps: int | None = None
    """Instead of as many as fit into the settings' minutes."""
    batch: int = 4
    crop: tuple[int, int] = (384, 576)
    learning_rate: float = 2e-4


def untried(entries: list[Entry], runs: Path, kept_out: set[str]) -> list[Entry]:
    """The corrections that no finished night has tried yet."""
    tried: set[str] = set()
    for path in runs.glob(f"*/{REPORT}"):
        try:
            tried |= set(json.loads(path.read_bytes())["corrections"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read (%s); its corrections count as new", path, error)
    return [e for e in entries if e.source.sha256 not in tried and e.car not in kept_out]


def frozen_holdout(settings: Settings, shelf: Shelf, kept_out: set[str]) -> list[Pair]:
    """The frozen pictures: of the base set and among the corrections, those of cars that no
    training sees."""
    pairs = find_pairs(settings.retrain_data) if settings.retrain_data else []
    corrected = [pair for pair in labelled(shelf, shelf.entries()) if pair.car in kept_out]
    found = [pair for pair in pairs if pair.car in kept_out] + corrected
    if not found:
        raise ModelError(
            "there is no holdout, and without one nothing tells whether a candidate is worse",
            cure="Set CYCLORAMA_RETRAIN_DATA (--replay) to a labelled folder with cars of the "
            f"champion's holdout, or name corrected cars in {_list(settings)}, one a line",
        )
    return thinned(found, HOLDOUT_FRAMES)


def kept_out_by_studio(settings: Settings) -> set[str]:
    """The cars that the studio keeps out of training."""
    path = _list(settings)
    return set(read_holdout(path)) if path.exists() else set()


def _list(settings: Settings) -> Path:
    return settings.corrections_folder / FOLDER / HOLDOUT_FILE


def replayed(settings: Settings, kept_out: set[str], options: NightOptions) -> list[Pair]:
    """The sample of the base set that is trained on again; the same every night."""
    if not settings.retrain_data:
        return []
    pairs = [p for p in find_pairs(settings.retrain_data) if p.car not in kept_out]
    return sample(pairs, options.replay, seed=0)


def rendered_booths(runs: Path, booths: int, width_px: int) -> list[Pair]:
    """So many rendered shoots with photos of this width, kept from night to night."""
    folder = runs / f"booths-{width_px}px"
    width, height = width_px, width_px * 2 // 3
    for seed in range(FIRST_BOOTH, FIRST_BOOTH + booths):
        if len(list(folder.glob(f"train/booth-{seed}_*.jpg"))) < BOOTH_ANGLES:
            write_truth(Booth(seed=seed, angles=BOOTH_ANGLES, width=width, height=height), folder)
    return find_pairs(folder, rendered=True) if booths else []


def labelled(shelf: Shelf, entries: list[Entry]) -> list[Pair]:
    """Corrected frames as training knows them; those of which a file is gone are left out."""
    pairs = []
    for entry in entries:
        pair = Pair(shelf.folder / entry.picture, shelf.folder / entry.mask, entry.car)
        if pair.image.is_file() and pair.mask.is_file():
            pairs.append(pair)
        else:
            log.warning("the correction %s is left out: it, or its picture, is gone", pair.mask)
    return pairs
