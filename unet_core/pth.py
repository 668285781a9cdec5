"""Plain PyTorch files (``.pth``) of the classic layout: the network that their tensors make up.

The names are those of the well-known tutorial code: ``down_convolution_1.conv.conv_op.0.weight``,
``bottle_neck.conv_op.0.weight``, ``up_convolution_1.up.weight``, ``out.weight``. A ``.pth`` file is
a pickle, which may hold any program: it is read with PyTorch's own reader of tensors alone, and
whatever needs more is refused unread.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unet_core.checkpoint import CheckpointError, assemble
from unet_core.model import UNet, UNetConfig

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts keep the state dict beside other things."""
PREFIXES = ("module.", "_orig_mod.")
"""What ``DataParallel`` and ``torch.compile`` put before every name."""
PICTURE_CHANNELS = (1, 3, 4)
"""Channels of pictures as there are: grey, RGB, RGB with one more."""


def load_pth(path: Path, *, fold: int | None = None) -> UNet:
    """The network of a ``.pth`` file: float32, evaluation mode, on the CPU.

    ``fold`` settles what shapes alone leave open. That convolutions are padded (``same``) is taken
    for granted, as weights do not say. Raises :class:`CheckpointError` that names the file, what
    was expected and found, and the cure.
    """
    tensors = read_state_dict(path)
    try:
        config = infer_config(tensors, fold=fold)
    except ValueError as error:
        raise CheckpointError(f"{path} is no U-Net of the classic layout: {error}") from error
    try:
        return assemble(config, tensors)
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} does not fit the network that its first and last layers tell of "
            f"({config}): {error}; save the whole state dict of such a network"
        ) from error


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth`` file by their plain names; no code of the file is ever run.

    Raises :class:`CheckpointError`.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror or error}; "
            "give a .pth file or the folder of a checkpoint"
        ) from error
    except Exception as error:  # the reader fails in many ways on what is not meant for it
        raise CheckpointError(
            f"{path} is no plain state dict ({_reason(error)}); none of its code was run. "
            "Where you trust it, save the tensors alone: torch.save(network.state_dict(), FILE)"
        ) from error
    return _plain_names(path, loaded)


def infer_config(tensors: Mapping[str, Tensor], *, fold: int | None = None) -> UNetConfig:
    """The shape of the network that ``tensors`` belong to, told by a few of them.

    Raises ``ValueError`` when these are not there, or the fold cannot be told.
    """
    depth = 0
    while _first_of_level(depth + 1) in tensors:
        depth += 1
    width, folded_in = _channels(tensors, _first_of_level(1))
    deepest, _ = _channels(tensors, "bottle_neck.conv_op.0.weight")
    folded_out, _ = _channels(tensors, "out.weight")
    fold = fold or _fold(folded_in, folded_out)
    if folded_in % fold**2 or folded_out % fold**2:
        raise ValueError(
            f"{folded_in} channels in and {folded_out} out do not go with a fold of {fold}: "
            f"both must be multiples of {fold**2}"
        )
    batch = "down_convolution_1.conv.conv_op.1.running_mean" in tensors
    capped = deepest < width << depth
    return UNetConfig(
        in_channels=folded_in // fold**2,
        out_channels=folded_out // fold**2,
        width=width,
        depth=depth,
        norm="batch" if batch else "none",
        fold=fold,
        max_width=deepest if capped else UNetConfig.max_width,
    )


def _channels(tensors: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    """Channels (out, in) of the convolution whose weight is ``name``."""
    if name not in tensors:
        found = ", ".join(list(tensors)[:3]) or "nothing"
        raise ValueError(f"{name} was expected; found {found}, … ({len(tensors)} tensors)")
    shape = tuple(tensors[name].shape)
    if len(shape) != 4:
        raise ValueError(f"{name} is {shape}; 4 dimensions were expected")
    return shape[0], shape[1]


def _first_of_level(level: int) -> str:
    return f"down_convolution_{level}.conv.conv_op.0.weight"


def _fold(folded_in: int, folded_out: int) -> int:
    """The one fold that leaves the channels of a picture; 1 if none does."""
    sides = range(1, math.isqrt(max(1, folded_in)) + 1)
    folds = [
        side
        for side in sides
        if folded_in in [channels * side**2 for channels in PICTURE_CHANNELS]
        and folded_out % side**2 == 0
    ]
    if len(folds) > 1:
        raise ValueError(
            f"{folded_in} channels in and {folded_out} out may be a fold of "
            f"{' or '.join(map(str, folds))}; say which (--fold)"
        )
    return folds[0] if folds else 1


def _plain_names(path: Path, loaded: Any) -> dict[str, Tensor]:
    """The state dict without what training scripts wrap around it."""
    for key in WRAPPERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not loaded:
        raise CheckpointError(
            f"{path} holds {type(loaded).__name__} and no state dict; "
            "save one: torch.save(network.state_dict(), FILE)"
        )
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path} holds {name!r}: {type(value).__name__}, where names with tensors were "
                f"expected (or these under one of {', '.join(WRAPPERS)}); "
                "save the tensors alone: torch.save(network.state_dict(), FILE)"
            )
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in loaded):
            loaded = {name.removeprefix(prefix): value for name, value in loaded.items()}
    return {name: value.detach() for name, value in loaded.items()}


def _reason(error: Exception) -> str:
    """What PyTorch found, without its advice to run the file's code after all."""
    found = re.search(r"WeightsUnpickler error: ([^\n]*?)(\. |\n|$)", str(error))
    text = found[1] if found else str(error).partition("\n")[0].partition(". ")[0]
    return text or type(error).__name__
