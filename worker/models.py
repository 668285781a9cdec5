"""The model store, as the command line works on it."""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import torch

from unet_core.checkpoint import Card, CheckpointError, file_sha256, load_checkpoint, read_card
from unet_core.export import ExportError, export_onnx
from unet_core.gate import Rules
from unet_core.pth import load_pth
from unet_core.segment import Segmenter
from unet_core.store import ModelStore
from worker.errors import ModelError
from worker.line.model_slot import LOST, golden_dice

CPU = torch.device("cpu")
TUTORIALS_SIZE = "512x512"


@dataclass(frozen=True)
class Unsaid:
    """What a plain ``.pth`` file does not say of its network; a checkpoint's card does."""

    squash: str | None = None
    """WIDTHxHEIGHT, pixels: what every picture is squashed to."""
    long_side_px: int | None = None
    """Or: what larger pictures are reduced to."""
    data_note: str | None = None
    fold: int | None = None


def list_models(folder: Path) -> list[dict[str, Any]]:
    """A row for each checkpoint: version, whether it is the champion, figures, split.

    Raises :class:`ModelError` when the store cannot be read.
    """
    store = ModelStore(folder)
    with _told(folder):
        champion = store.champion().name
        rows = [(version.name, read_card(version.folder)) for version in store.versions()]
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


def import_model(
    folder: Path, source: Path, *, name: str | None = None, unsaid: Unsaid | None = None
) -> dict[str, Any]:
    """Takes a ``.pth`` file or a checkpoint's folder into the store; says as what.

    ``name`` is the file's by default, or the card's. Raises :class:`ModelError` when it cannot be
    used; then the store is as it was.
    """
    store, unsaid = ModelStore(folder), unsaid or Unsaid()
    with _told(folder):
        if not source.is_dir():
            network = load_pth(source, fold=unsaid.fold)
            version = store.publish(network, _card(source, name or source.stem, unsaid))
        elif unsaid != Unsaid():
            raise ModelError(
                f"{source} is a checkpoint, and its card says how it sees",
                cure="Leave out --squash, --long-side, --data-note and --fold",
            )
        else:
            version = store.add(source, name=name)
        card = read_card(version.folder)
    return {
        "version": version.name,
        "sha256": version.sha256,
        "folder": str(version.folder),
        "network": card.network,
        "squash_px": card.squash_px,
        "long_side_px": None if card.squash_px else card.long_side_px,
    }


def export_model(folder: Path, name: str, target: Path) -> dict[str, Any]:
    """Writes a checkpoint of the store as an ONNX file."""
    with _told(target):
        version = ModelStore(folder).find(name)
        network, card = load_checkpoint(version.folder)
        export_onnx(network, card, target)
    return {"version": version.name, "sha256": version.sha256, "file": str(target)}


def promote_model(
    folder: Path, name: str, *, reason: str = "", force: bool = False
) -> dict[str, Any]:
    """Makes a checkpoint the champion, if the line can use it, and unless it has lost the golden
    picture that the champion knows; with ``force`` even then."""
    store = ModelStore(folder)
    with _told(folder):
        found = store.find(name)
        skill = golden_dice(Segmenter.load(found, CPU))
        before = 0.0 if force else _champions_skill(store)
        if before >= Rules.known and skill < before - LOST:
            raise ModelError(
                f"{name} cuts out the golden picture with Dice {skill:.3f}, where the champion "
                f"reaches {before:.3f}",
                cure="If that is meant, because your subjects are no cars: --force, and start the "
                "workers again",
            )
        version = store.promote(name, reason=reason, by=_person())
    return {"version": version.name, "sha256": version.sha256}


def _champions_skill(store: ModelStore) -> float:
    try:
        return golden_dice(Segmenter.load(store.champion(), CPU))
    except CheckpointError:
        return 0.0  # a damaged one may be replaced by whatever works


def roll_back(folder: Path, *, reason: str = "") -> dict[str, Any]:
    """Makes the champion before the present one champion again."""
    with _told(folder):
        version = ModelStore(folder).rollback(reason=reason, by=_person())
    return {"version": version.name, "sha256": version.sha256}


def list_history(folder: Path) -> list[dict[str, Any]]:
    """A row for each promotion and rollback, oldest first."""
    with _told(folder):
        return [row.model_dump(mode="json") for row in ModelStore(folder).history()]


def _card(source: Path, name: str, unsaid: Unsaid) -> Card:
    """The card of an imported file; how it sees is what it was told, or the tutorial's way."""
    if unsaid.squash and unsaid.long_side_px:
        raise ModelError(
            "--squash and --long-side contradict each other",
            cure="Give the one that the network was trained with",
        )
    sight: dict[str, Any] = {"squash_px": _size(unsaid.squash or TUTORIALS_SIZE)}
    if unsaid.long_side_px:
        sight = {"long_side_px": unsaid.long_side_px}
    return Card(
        version=name,
        data=unsaid.data_note or "",
        recipe={
            "imported": source.name,
            "sha256": file_sha256(source),
            "cyclorama": installed("cyclorama"),
        },
        **sight,
    )


def _size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT as (height, width)."""
    found = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text)
    if not found or min(size := (int(found[2]), int(found[1]))) < 16:
        raise ModelError(
            f"--squash {text} is no size", cure="Give WIDTHxHEIGHT in pixels: --squash 512x512"
        )
    return size


def _person() -> str:
    """Who does this, as well as the system knows."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no such user in this container
        user = "?"
    return f"{user}@{socket.gethostname()}"


@contextmanager
def _told(where: Path) -> Iterator[None]:
    """Errors of the network's side, as errors of the line."""
    try:
        yield
    except (CheckpointError, ExportError) as error:
        raise ModelError(str(error)) from error
    except OSError as error:
        raise ModelError(
            f"{where} cannot be used: {error}", cure="See that there is room and it can be written"
        ) from error
