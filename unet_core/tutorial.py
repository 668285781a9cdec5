"""The well-known Carvana tutorial as a recipe beside ours, so that the two can be compared.

All as it is there: pictures squashed to 512×512 whatever their shape, the classic network in
float32, no augmentation, binary cross-entropy, AdamW at one rate, ten epochs.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from unet_core.checkpoint import CheckpointError
from unet_core.data import Pair
from unet_core.model import UNet, UNetConfig
from unet_core.plots import Example, Measured
from unet_core.pth import load_pth
from unet_core.training import TrainingError
from unet_core.tutorial_data import Split, TutorialPictures

Phase = Literal["training", "validation", "test"]


@dataclass(frozen=True)
class TutorialRecipe:
    """How the tutorial trains; the defaults are its own."""

    epochs: int = 10
    batch: int = 8
    learning_rate: float = 3e-4
    image_size: int = 512
    """Side of the square in pixels that every picture is squashed to."""
    seed: int = 25
    """Of the split at random and of the order of the pictures."""
    workers: int = 4
    amp: bool = False
    """Whether to compute in bfloat16 where that is enough; the tutorial does not."""
    limit_seconds: float | None = None
    """Wall clock after which training ends with the batch that it is at."""


@dataclass
class Running:
    """Loss and Dice so far, each the mean over batches."""

    batches: int = 0
    loss: float = 0.0
    dice: float = 0.0

    def add(self, loss: float, dice: float) -> None:
        """Takes in one more batch."""
        self.batches += 1
        self.loss += (loss - self.loss) / self.batches
        self.dice += (dice - self.dice) / self.batches


@dataclass(frozen=True)
class BatchDone:
    """One finished batch of ``batches``; ``loss`` and ``dice`` are running means."""

    phase: Phase
    batch: int
    batches: int
    loss: float
    dice: float


OnBatch = Callable[[BatchDone], None]


@dataclass
class Trained:
    """What a run has done."""

    history: list[Measured] = field(default_factory=list)
    """A row an epoch, the last of them perhaps cut short."""
    pictures: int = 0
    """Pictures that the network has learned from, each as often as it was shown."""
    seconds: float = 0.0
    """Wall clock from the first batch to the last measurement."""


def train_tutorial(
    network: UNet,
    split: Split,
    recipe: TutorialRecipe,
    *,
    device: torch.device,
    on_batch: OnBatch = lambda done: None,
    on_epoch: Callable[[Measured], None] = lambda row: None,
) -> Trained:
    """Trains ``network`` where it is and leaves it on ``device`` in evaluation mode.

    Raises :class:`TrainingError` when a loss is no number, :class:`DataError` for a bad picture.
    """
    optimizer = torch.optim.AdamW(network.to(device).parameters(), lr=recipe.learning_rate)
    loader = batches(split.training, recipe, shuffle=True)
    trained, began = Trained(), time.monotonic()
    limit = math.inf if recipe.limit_seconds is None else recipe.limit_seconds
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        running, late = Running(), False
        for images, masks in loader:
            loss, dice = forward(network, images.to(device), masks.to(device), amp=recipe.amp)
            running.add(_number(loss, f"epoch {epoch}, batch {running.batches + 1}"), dice)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            trained.pictures += len(images)
            on_batch(_done("training", running, loader))
            if late := time.monotonic() - began >= limit:
                break
        measured = measure(
            network, split.validation, recipe, device=device, on_batch=on_batch, phase="validation"
        )
        trained.history.append(_row(epoch, running, measured))
        trained.seconds = time.monotonic() - began
        on_epoch(trained.history[-1])
        if late or trained.seconds >= limit:
            break
    network.eval()
    return trained


@torch.no_grad()
def measure(
    network: UNet,
    pairs: Sequence[Pair],
    recipe: TutorialRecipe,
    *,
    device: torch.device,
    on_batch: OnBatch = lambda done: None,
    phase: Phase = "test",
) -> Running:
    """Loss and Dice of ``pairs``; the network is left in evaluation mode.

    Raises :class:`TrainingError` when a loss is no number.
    """
    network.to(device).eval()
    loader, running = batches(pairs, recipe), Running()
    for images, masks in loader:
        loss, dice = forward(network, images.to(device), masks.to(device), amp=recipe.amp)
        running.add(_number(loss, f"{phase}, batch {running.batches + 1}"), dice)
        on_batch(_done(phase, running, loader))
    return running


@torch.no_grad()
def examples(
    network: UNet,
    pairs: Sequence[Pair],
    recipe: TutorialRecipe,
    *,
    device: torch.device,
    count: int = 10,
) -> list[Example]:
    """``count`` of ``pairs`` (or all, if there are less), drawn by the seed, with their masks."""
    network.to(device).eval()
    pictures, shown = TutorialPictures(pairs, recipe.image_size), []
    rng = torch.Generator().manual_seed(recipe.seed)
    for index in torch.randperm(len(pictures), generator=rng)[:count].tolist():
        image, mask = pictures[index]  # (3, S, S), (1, S, S)
        logits = network(image[None].to(device)).cpu()[0]
        planes = (image, (logits > 0).float(), mask)
        picture, prediction, truth = (
            plane.mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy() for plane in planes
        )
        name, dice = pairs[index].image.name, batch_dice(logits, mask)
        shown.append(Example(name, picture, prediction[..., 0], truth[..., 0], dice))
    return shown


def batches(
    pairs: Sequence[Pair], recipe: TutorialRecipe, *, shuffle: bool = False
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches (B, 3, S, S) and (B, 1, S, S) of all ``pairs``; the last one may be smaller."""
    return DataLoader(
        TutorialPictures(pairs, recipe.image_size),
        batch_size=recipe.batch,
        shuffle=shuffle and bool(pairs),
        num_workers=recipe.workers if pairs else 0,
        generator=torch.Generator().manual_seed(recipe.seed),
    )


def forward(
    network: UNet, images: Tensor, masks: Tensor, *, amp: bool = False
) -> tuple[Tensor, float]:
    """Loss (scalar, binary cross-entropy with logits) and Dice of one batch."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=amp):
        logits = network(images).float()
    return F.binary_cross_entropy_with_logits(logits, masks), batch_dice(logits.detach(), masks)


def batch_dice(logits: Tensor, masks: Tensor, *, epsilon: float = 1e-7) -> float:
    """Dice in [0, 1] as the tutorial has it: all pixels of a batch at once, hard prediction
    against the soft truth (any shape, in [0, 1]). Nothing predicted where nothing is: 1."""
    prediction = (logits > 0).to(masks.dtype)
    overlap, total = (prediction * masks).sum(), prediction.sum() + masks.sum()
    return float((2 * overlap + epsilon) / (total + epsilon))


def save_weights(path: Path, network: UNet) -> None:
    """Writes the state dict, whole or not at all; a file of that name is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as handle:
            torch.save({name: value.cpu() for name, value in network.state_dict().items()}, handle)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_weights(path: Path) -> UNet:
    """The classic network ``UNet(3, 1)`` with the weights of a state dict (tensors only: no
    pickled code is run), on the CPU in evaluation mode.

    Raises :class:`CheckpointError` when the file cannot be read or is of another network.
    """
    network = load_pth(path)
    if network.config != UNetConfig():
        raise CheckpointError(
            f"{path} is of another network ({network.config}); the tutorial's is UNet(3, 1): "
            "give the unet.pth of a run of this recipe"
        )
    return network


def _number(loss: Tensor, where: str) -> float:
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(f"the loss is {value} ({where}); train anew with a lower learning rate")
    return value


def _done(phase: Phase, running: Running, loader: DataLoader[tuple[Tensor, Tensor]]) -> BatchDone:
    return BatchDone(phase, running.batches, len(loader), running.loss, running.dice)


def _row(epoch: int, training: Running, validation: Running) -> Measured:
    if not validation.batches:
        return Measured(epoch, training.loss, training.dice)
    return Measured(epoch, training.loss, training.dice, validation.loss, validation.dice)
