"""The model store, as the command line shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unet_core.checkpoint import CheckpointError, read_card
from unet_core.store import ModelStore
from worker.errors import ModelError


def list_models(folder: Path) -> list[dict[str, Any]]:
    """A row for each checkpoint: version, whether it is the champion, figures, split.

    Raises :class:`ModelError` when the store cannot be read.
    """
    store = ModelStore(folder)
    try:
        champion = store.champion().name
        rows = [(version.name, read_card(version.folder)) for version in store.versions()]
    except CheckpointError as error:
        raise ModelError(str(error)) from error
    return [
        {
            "version": name,
            "champion": name == champion,
            "dice_mean": card.metrics.get("dice_mean"),
            "dice_worst": card.metrics.get("dice_worst"),
            "measured_on": card.measured_on,
            "sha256": card.sha256,
        }
        for name, card in rows
    ]
