"""Training that reads top to bottom, repeats, and picks up after a kill where it was."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from unet_core.devices import is_out_of_memory, training_dtype
from unet_core.losses import segmentation_loss
from unet_core.model import UNet, UNetConfig
from unet_core.samples import Samples

OUR_NETWORK = UNetConfig(
    width=32, max_width=128, depth=5, norm="batch", fold=2, encoder="efficientnet-lite0"
)
OUR_LONG_SIDE_PX = 1536

Validate = Callable[[UNet], float]
"""Takes the averaged network in evaluation mode, gives a figure: more is better."""


class TrainingError(Exception):
    """Training cannot go on; the message says at which step, why, and what to do."""


@dataclass(frozen=True)
class Recipe:
    """How to train. ``steps`` batches of ``batch`` crops; learning rate warms up, then a cosine."""

    steps: int = 6_200
    batch: int = 8
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 100
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    edge_weight: float = 4.0
    dice_weight: float = 1.0
    rendered_share: float = 0.15
    half_size_share: float = 0.0
    """The first part of the run in which pictures are seen at half their size."""
    seed: int = 25
    measure_every: int = 620
    """Steps between two looks at the validation cars, and two saved states."""
    patience: int = 8
    """Looks without a better figure after which training stops early."""
    workers: int = 1

    @property
    def half_size_steps(self) -> int:
        """Steps at half size; the network cannot be judged at full size before their end."""
        return round(self.half_size_share * self.steps)


@dataclass(frozen=True)
class Progress:
    """One finished step."""

    step: int
    loss: float
    learning_rate: float
    seconds: float
    validation: float | None = None
    """What ``validate`` gave after this step; None where it was not asked."""


@dataclass
class State:
    """Everything that a run needs to go on."""

    network: UNet
    average: UNet
    """Exponential moving average of the weights: what is evaluated and kept."""
    optimizer: torch.optim.Optimizer
    recipe: Recipe
    samples: str = ""
    """Digest of what it learns from; empty before the first step."""
    step: int = 0
    best: dict[str, Tensor] | None = None
    """The average's weights when it was best."""
    best_figure: float = -math.inf
    looks_since_best: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    """A row a look: step, training loss since the look before, validation figure."""

    @property
    def is_done(self) -> bool:
        """Whether all steps are done, or nothing got better for too long."""
        return self.step >= self.recipe.steps or self.looks_since_best >= self.recipe.patience

    def save(self, path: Path) -> None:
        """Writes the state atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "recipe": asdict(self.recipe),
            "samples": self.samples,
            "step": self.step,
            "best": self.best,
            "best_figure": self.best_figure,
            "looks_since_best": self.looks_since_best,
            "history": self.history,
        }
        with part.open("wb") as handle:
            torch.save(state, handle)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)

    def load(self, path: Path) -> None:
        """Goes on from a saved state (tensors only: no pickled code is run).

        Raises :class:`TrainingError` when it is damaged, or of another network or recipe.
        """
        try:
            saved = torch.load(path, weights_only=True, map_location="cpu")
            self.network.load_state_dict(saved["network"])
            self.average.load_state_dict(saved["average"])
            self.optimizer.load_state_dict(saved["optimizer"])
            begun, self.samples = saved["recipe"], saved.get("samples", "")
            for name in ("step", "best", "best_figure", "looks_since_best", "history"):
                setattr(self, name, saved[name])
        except (OSError, EOFError, KeyError, ValueError, RuntimeError, UnpicklingError) as error:
            if is_out_of_memory(error):
                raise  # of the device, and the state is well
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise TrainingError(
                f"{path} cannot be gone on from ({reason}): it is damaged or of another network; "
                "move it away to begin anew"
            ) from error
        changed = {n: v for n, v in asdict(self.recipe).items() if begun.get(n) != v}
        changed.pop("workers", None)  # how many load pictures changes nothing in them
        if changed:
            name = next(iter(changed))
            raise TrainingError(
                f"{path} was begun with {name} = {begun.get(name)}, not {changed[name]}: go on "
                "with the same recipe, or move it away to begin anew"
            )


def train(
    state: State,
    samples: Samples,
    folder: Path,
    *,
    validate: Validate | None = None,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> UNet:
    """Trains to the recipe's end, or until ``validate`` finds nothing better for too long.

    Returns the averaged network (the best one by ``validate``), in evaluation mode on the CPU.
    ``folder/state.pt`` is written at every look, and ``state`` goes on from where it is. Raises
    :class:`TrainingError` when loss or gradients are no numbers any more (the last state is kept),
    and when ``state`` was begun on other samples.
    """
    recipe, device = state.recipe, next(state.network.parameters()).device
    if state.samples not in ("", samples.digest):
        raise TrainingError(
            f"{folder / 'state.pt'} was begun on other pictures or with another augmentation: go "
            "on with the same, or move it away to begin anew"
        )
    state.samples = samples.digest
    began, losses = time.monotonic(), list[float]()
    steps = range(state.step, recipe.steps) if not state.is_done else range(0)
    batches = samples.batches(recipe.batch, steps.start, steps.stop, workers=recipe.workers)
    for images, masks in batches:
        rate = learning_rate(state.step, recipe)
        loss = step(state, images.to(device), masks.to(device), rate)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at step {state.step}: the last good state is in {folder}; "
                "lower the learning rate and begin anew from a checkpoint"
            )
        state.step += 1
        losses.append(loss)
        figure = None
        if state.step % recipe.measure_every == 0 or state.step == recipe.steps:
            figure = look(state, sum(losses) / len(losses), validate)
            losses.clear()
            state.save(folder / "state.pt")
        on_step(Progress(state.step, loss, rate, time.monotonic() - began, figure))
        if state.is_done:
            break
    if state.best is not None:
        state.average.load_state_dict(state.best)
    return state.average.cpu().eval()


def start(network: UNet, recipe: Recipe, folder: Path, device: torch.device) -> State:
    """A fresh state on the device, or the one saved in ``folder``."""
    torch.manual_seed(recipe.seed)
    torch.backends.cudnn.deterministic = True  # a run that is gone on with ends as if never killed
    network = network.to(device).to(memory_format=torch.channels_last).train()
    decay: list[Tensor] = []
    plain: list[Tensor] = []
    for parameter in network.parameters():
        (decay if parameter.ndim > 1 else plain).append(parameter)
    groups: list[dict[str, Any]] = [{"params": decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    state = State(network, copy.deepcopy(network).eval(), optimizer, recipe)
    if (folder / "state.pt").exists():
        state.load(folder / "state.pt")
    return state


def step(state: State, images: Tensor, masks: Tensor, rate: float) -> float:
    """One batch (uint8) forward, backward and into the weights and their average; the loss.

    Where loss or gradients are no numbers, the weights stay as they are and the result is no
    number either.
    """
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    images = images.contiguous(memory_format=torch.channels_last).float().div_(255)
    dtype = training_dtype(images.device)
    with torch.autocast(images.device.type, dtype, dtype != torch.float32):
        logits = state.network(images)
    loss = segmentation_loss(
        logits.float(),
        masks.float().div_(255),
        edge_weight=state.recipe.edge_weight,
        dice_weight=state.recipe.dice_weight,
    )
    value = float(loss.detach())
    if not math.isfinite(value):
        return value
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), state.recipe.clip_norm)
    if not math.isfinite(float(norm)):
        return math.nan
    state.optimizer.step()
    update_average(state)
    return value


@torch.no_grad()
def update_average(state: State) -> None:
    """Moves the average towards the network; early on faster, so that it is never stale."""
    decay = min(state.recipe.ema_decay, (1 + state.step) / (10 + state.step))
    for average, value in zip(
        state.average.state_dict().values(), state.network.state_dict().values(), strict=True
    ):
        if average.is_floating_point():
            average.lerp_(value, 1 - decay)
        else:
            average.copy_(value)


def look(state: State, loss: float, validate: Validate | None) -> float | None:
    """Measures the average, keeps it if it is the best, and adds a row to the history."""
    row = {"step": state.step, "loss": loss}
    figure = None
    if validate and state.step > state.recipe.half_size_steps:
        figure = validate(state.average)
    if figure is not None:
        row["validation"] = figure
        state.looks_since_best += 1
        if figure > state.best_figure:
            state.best_figure, state.looks_since_best = figure, 0
            state.best = {
                n: v.detach().cpu().clone() for n, v in state.average.state_dict().items()
            }
    state.history.append(row)
    return figure


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine to nearly nothing (Loshchilov, Hutter 2017)."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
