"""One checkpoint: a folder with ``weights.safetensors`` and ``card.json``.

The card says how to build the network, what it may be fed, how good it is and what it was
trained on. A checkpoint is immutable: it is written under a temporary name and renamed into
place whole, and its hash is checked whenever it is read.

    CheckpointError
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from unet_core.model import UNet, UNetConfig

WEIGHTS, CARD = "weights.safetensors", "card.json"


class CheckpointError(Exception):
    """A checkpoint cannot be used; the message names the folder, what was expected, the cure."""


class Card(BaseModel):
    """What travels with the weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    version: str
    """Name of this checkpoint, unique in a store."""
    sha256: str = ""
    """Of the weights file; filled in by :func:`save_checkpoint`."""
    network: dict[str, Any] = Field(default_factory=dict)
    """The fields of :class:`UNetConfig`; filled in by :func:`save_checkpoint`."""
    long_side_px: int = Field(default=1920, ge=64)
    """Larger pictures are reduced to this before the network sees them; smaller ones are not."""
    input: str = "RGB, sRGB, [0, 1]"
    metrics: dict[str, float] = Field(default_factory=dict)
    measured_on: str = ""
    """The split that ``metrics`` were measured on."""
    holdout: list[str] = Field(default_factory=list)
    """The cars that no training saw."""
    data: str = ""
    """What it was trained on, and on which terms."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """Command, seed, steps and the versions of program and libraries."""
    parent: str | None = None
    """The checkpoint that training started from."""


def save_checkpoint(folder: Path, network: UNet, card: Card) -> Card:
    """Writes ``folder`` whole (half precision weights) and returns the completed card.

    Raises :class:`CheckpointError` when the folder is there already, or a weight is no number
    (in half precision: or beyond ±65504).
    """
    if folder.exists():
        raise CheckpointError(f"{folder} is there already; a checkpoint is never overwritten")
    weights = {
        name: value.detach().cpu().contiguous().to(torch.float16)
        if value.is_floating_point()
        else value.detach().cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    if broken := [name for name, value in weights.items() if not bool(value.isfinite().all())]:
        raise CheckpointError(
            f"{folder} is not written: {broken[0]} holds what is no number in half precision; "
            "go on from an earlier state with a lower learning rate"
        )
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        (part / WEIGHTS).write_bytes(save(weights))  # save_file hides it from other users
        card = card.model_copy(
            update={"sha256": file_sha256(part / WEIGHTS), "network": asdict(network.config)}
        )
        (part / CARD).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
        for file in part.iterdir():
            with file.open("rb+") as handle:
                os.fsync(handle.fileno())
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return card


def read_card(folder: Path) -> Card:
    """The card of a checkpoint folder; raises :class:`CheckpointError` if there is none."""
    path = folder / CARD
    try:
        return Card.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} is no checkpoint: it has no {CARD}") from error
    except (OSError, ValueError, ValidationError) as error:
        raise CheckpointError(f"{path} cannot be used: {error}") from error


def load_checkpoint(folder: Path) -> tuple[UNet, Card]:
    """The network (float32, evaluation mode, on the CPU) and its card.

    Raises :class:`CheckpointError` when the hash, the architecture or a tensor's shape is not
    what the card says.
    """
    card = read_card(folder)
    path = folder / WEIGHTS
    try:
        found = file_sha256(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if found != card.sha256:
        raise CheckpointError(
            f"{path} has sha256 {found[:12]}…, its card says {card.sha256[:12]}…: "
            "the file is damaged or was replaced; copy the checkpoint again"
        )
    try:
        network = UNet.from_config(UNetConfig(**card.network))
        network.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    except (TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: weights and card do not fit: {error}") from error
    return network.eval(), card


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
