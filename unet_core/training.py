"""Training that reads top to bottom, repeats, and picks up after a kill where it was.

Sample *k* of a run is a pure function of (seed, k): which picture, and every choice of its
augmentation. So a resumed run sees exactly what the uninterrupted one would have seen.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from unet_core.augment import Augmentation
from unet_core.data import DataError, Pair, Picture, read_pair
from unet_core.losses import segmentation_loss
from unet_core.model import UNet, UNetConfig

OUR_NETWORK = UNetConfig(width=16, depth=5, norm="batch", fold=2)
OUR_LONG_SIDE_PX = 960


class TrainingError(Exception):
    """Training cannot go on; the message says at which step, why, and what to do."""


@dataclass(frozen=True)
class Recipe:
    """How to train. ``steps`` batches of ``batch`` crops; learning rate warms up, then a cosine."""

    steps: int = 2000
    batch: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 100
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    rendered_share: float = 0.25
    seed: int = 25
    save_every: int = 100
    workers: int = 1


class Samples(Dataset[tuple[Tensor, Tensor]]):
    """Sample *k* of a run, for every k ≥ 0: float32 (3, H, W) and (1, H, W), both in [0, 1]."""

    def __init__(self, pairs: Sequence[Pair], recipe: Recipe, augmentation: Augmentation) -> None:
        self.real = [pair for pair in pairs if not pair.rendered]
        self.rendered = [pair for pair in pairs if pair.rendered]
        if not pairs:
            raise DataError("there is no picture to train on: every car is in the holdout")
        self.recipe, self.augmentation = recipe, augmentation
        self._kept: dict[Pair, tuple[Picture, Picture]] = {}

    def __getitem__(self, k: int) -> tuple[Tensor, Tensor]:
        rng = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + k)
        pixels, mask = self._reduced(self._choose(k, rng))
        image = torch.from_numpy(pixels).permute(2, 0, 1)
        return self.augmentation(image, torch.from_numpy(mask)[None], rng)

    def _reduced(self, pair: Pair) -> tuple[Picture, Picture]:
        """The pair at the largest size that any scale asks for; read once, then kept in memory
        (a few MB a picture), because decoding would take longer than the network's step."""
        if pair not in self._kept:
            pixels, mask = read_pair(pair)
            factor = self.augmentation.reduced_px / max(mask.shape)
            if factor < 1:
                pixels, mask = (
                    np.asarray(
                        cv2.resize(x, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA),
                        np.uint8,
                    )
                    for x in (pixels, mask)
                )
            self._kept[pair] = pixels, mask
        return self._kept[pair]

    def _choose(self, k: int, rng: torch.Generator) -> Pair:
        drawn = float(torch.rand((), generator=rng))
        use_rendered = self.rendered and (drawn < self.recipe.rendered_share or not self.real)
        pairs = self.rendered if use_rendered else self.real
        epoch, place = divmod(k, len(pairs))
        order = np.random.default_rng((self.recipe.seed, epoch)).permutation(len(pairs))
        return pairs[int(order[place])]


@dataclass
class State:
    """Everything that a run needs to go on."""

    network: UNet
    average: UNet
    """Exponential moving average of the weights: what is evaluated and kept."""
    optimizer: torch.optim.Optimizer
    step: int = 0

    def save(self, path: Path) -> None:
        """Writes the state atomically."""
        part = path.with_suffix(".part")
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        with part.open("wb") as handle:
            torch.save(state, handle)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)

    def load(self, path: Path) -> None:
        """Goes on from a saved state (tensors only: no pickled code is run)."""
        try:
            saved = torch.load(path, weights_only=True, map_location="cpu")
            self.network.load_state_dict(saved["network"])
            self.average.load_state_dict(saved["average"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step = saved["step"]
        except (OSError, EOFError, KeyError, ValueError, RuntimeError, UnpicklingError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise TrainingError(
                f"{path} cannot be gone on from ({reason}): it is damaged or of another network; "
                "move it away to begin anew"
            ) from error


@dataclass(frozen=True)
class Progress:
    """One finished step."""

    step: int
    loss: float
    learning_rate: float
    seconds: float


def train(
    network: UNet,
    samples: Samples,
    recipe: Recipe,
    *,
    folder: Path,
    device: torch.device,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> UNet:
    """Trains ``network`` and returns the averaged one, in evaluation mode on the CPU.

    The state lies in ``folder/state.pt``; when it is there, training goes on from it. Raises
    :class:`TrainingError` when loss or gradients are no numbers any more (the last state is kept).
    """
    state = start(network, recipe, folder, device)
    began = time.monotonic()
    for images, masks in batches(samples, recipe, state.step):
        rate = learning_rate(state.step, recipe)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        loss = step(state, images.to(device), masks.to(device), recipe)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at step {state.step}: the last good state is in {folder}; "
                "lower the learning rate and go on from there"
            )
        state.step += 1
        if state.step % recipe.save_every == 0 or state.step == recipe.steps:
            folder.mkdir(parents=True, exist_ok=True)
            state.save(folder / "state.pt")
        on_step(Progress(state.step, loss, rate, time.monotonic() - began))
    return state.average.cpu().eval()


def start(network: UNet, recipe: Recipe, folder: Path, device: torch.device) -> State:
    """A fresh state on the device, or the saved one."""
    torch.manual_seed(recipe.seed)
    network = network.to(device).to(memory_format=torch.channels_last).train()
    decay: list[Tensor] = []
    plain: list[Tensor] = []
    for parameter in network.parameters():
        (decay if parameter.ndim > 1 else plain).append(parameter)
    groups: list[dict[str, Any]] = [{"params": decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    state = State(network, copy.deepcopy(network).eval(), optimizer)
    if (folder / "state.pt").exists():
        state.load(folder / "state.pt")
    return state


def batches(samples: Samples, recipe: Recipe, step: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches from ``step`` to the end: (B, 3, H, W) and (B, 1, H, W)."""
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        samples,
        batch_size=recipe.batch,
        sampler=range(step * recipe.batch, recipe.steps * recipe.batch),
        num_workers=recipe.workers,
        worker_init_fn=_one_thread,
        prefetch_factor=4 if recipe.workers else None,
    )
    yield from loader


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
    if hasattr(os, "nice"):  # not on Windows
        os.nice(1)


def step(state: State, images: Tensor, masks: Tensor, recipe: Recipe) -> float:
    """One batch forward, backward and into the weights and their average; returns the loss.

    Where loss or gradients are no numbers, the weights stay as they are and the result is no
    number either.
    """
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast(images.device.type, torch.bfloat16):
        logits = state.network(images)
    loss = segmentation_loss(logits.float(), masks)
    value = float(loss.detach())
    if not math.isfinite(value):
        return value
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), recipe.clip_norm)
    if not math.isfinite(float(norm)):
        return math.nan
    state.optimizer.step()
    update_average(state, recipe)
    return value


@torch.no_grad()
def update_average(state: State, recipe: Recipe) -> None:
    """Moves the average towards the network; early on faster, so that it is never stale."""
    decay = min(recipe.ema_decay, (1 + state.step) / (10 + state.step))
    for average, value in zip(
        state.average.state_dict().values(), state.network.state_dict().values(), strict=True
    ):
        if average.is_floating_point():
            average.lerp_(value, 1 - decay)
        else:
            average.copy_(value)


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine to nearly nothing (Loshchilov, Hutter 2017)."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
