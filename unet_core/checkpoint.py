"""One checkpoint: a folder with ``weights.safetensors`` and ``card.json``.

The card says how to build the network, what it may be fed, how good it is and what it was
trained on. A checkpoint is immutable: it is written under a temporary name and renamed into
place whole, and its hash is checked whenever it is read.

    CheckpointError
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from unet_core.files import sync
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
    """Pictures are resized to this before the network sees them, small ones enlarged within
    limits (:meth:`~unet_core.segment.Segmenter.prepare`)."""
    squash_px: tuple[int, int] | None = None
    """(height, width) that every picture is squashed to, whatever its shape, instead of
    ``long_side_px``: how the tutorial's network sees."""
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
    history: list[dict[str, Any]] = Field(default_factory=list)
    """What was measured on the way to this network: a row for each candidate."""


def save_checkpoint(folder: Path, network: UNet, card: Card) -> Card:
    """Writes ``folder`` whole (half precision weights) and returns the completed card.

    Raises :class:`CheckpointError` when the folder is there already, or a weight is no number
    (in half precision: or beyond ±65504).
    """
    weights = {
        name: value.detach().cpu().contiguous().to(torch.float16)
        if value.is_floating_point()
        else value.detach().cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    if broken := [name for name, value in weights.items() if not bool(value.isfinite().all())]:
        raise CheckpointError(
            f"{folder} is not written: {broken[0]} holds what is no number in half precision; "
            "train it anew with a lower learning rate"
        )
    with appears_whole(folder) as part:
        (part / WEIGHTS).write_bytes(save(weights))  # save_file hides it from other users
        card = card.model_copy(
            update={"sha256": file_sha256(part / WEIGHTS), "network": asdict(network.config)}
        )
        write_card(part, card)
    return card


@contextmanager
def appears_whole(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill: when the block ends it is safe on disk and named ``folder``.

    Raises :class:`CheckpointError` when ``folder`` is there already, or somebody else was faster.
    """
    taken = CheckpointError(f"{folder} is there already; a checkpoint is never overwritten")
    if folder.exists():
        raise taken
    part = folder.with_name(f".{folder.name}.{uuid4().hex}.part")
    part.mkdir(parents=True)
    try:
        yield part
        for path in (*part.iterdir(), part):
            sync(path)
        try:
            part.rename(folder)
        except OSError as error:
            if folder.exists():
                raise taken from error
            raise
        sync(folder.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_card(folder: Path, card: Card) -> None:
    """Writes ``card.json``; for a folder that nobody watches yet."""
    (folder / CARD).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")


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
    what the card says; it names the tensors, and what was expected and found.
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
        network = assemble(UNetConfig(**card.network), load_file(path))
    except (TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder}: weights and card do not fit: {error}; "
            "copy the whole checkpoint again, or use the program that it was made with"
        ) from error
    return network, card


def assemble(config: UNetConfig, tensors: Mapping[str, Tensor]) -> UNet:
    """The network of ``config`` with copies of ``tensors`` as its weights (float32, evaluation
    mode, on the CPU).

    Raises ``ValueError`` that names the tensors that are missing, unexpected, of another shape or
    no numbers, with what was expected and found.
    """
    with torch.device("meta"):  # shapes alone: nothing is drawn or allocated before they fit
        network = UNet.from_config(config)
    expected = network.state_dict()
    if misfit := describe_misfit(expected, tensors):
        raise ValueError(misfit)
    if broken := [name for name in expected if not bool(tensors[name].isfinite().all())]:
        raise ValueError(f"{_some(broken)}: it holds what is no number")
    kept = {
        name: tensors[name].to(value.dtype, copy=True, memory_format=torch.contiguous_format)
        for name, value in expected.items()
    }
    network.load_state_dict(kept, assign=True)
    return network.eval()


def describe_misfit(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """How the names and shapes found differ from those expected, in words; empty if they fit."""
    kinds = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "of another shape": [
            f"{name} is {tuple(found[name].shape)}, expected {tuple(value.shape)}"
            for name, value in expected.items()
            if name in found and found[name].shape != value.shape
        ],
    }
    return "; ".join(f"{len(some)} {kind}: {_some(some)}" for kind, some in kinds.items() if some)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
