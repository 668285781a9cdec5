"""A checkpoint as an ONNX file, for programs that have no PyTorch."""

from __future__ import annotations

import importlib.util
import warnings
from importlib.metadata import version as installed
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor, nn

from unet_core.checkpoint import Card
from unet_core.files import sync
from unet_core.fusion import fuse_batch_norm
from unet_core.model import UNet
from unet_core.segment import MOST_ENLARGED

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
TOLERANCE = 1e-3
"""Probability that the file may differ by from the network: a quarter of a level of 255."""


class ExportError(Exception):
    """A checkpoint cannot be exported; the message says why and what to do."""


class AnySize(nn.Module):
    """(N, 3, H, W) RGB in [0, 1] → (N, 1, H, W) probability of the subject, for H and W ≥ 1.

    Pads like the network does, in a form that an exporter can follow: by taking the last row and
    column again, always, to a size that is plainly a multiple of the stride.
    """

    def __init__(self, network: nn.Module, stride: int) -> None:
        super().__init__()
        self.network, self.stride = network, stride

    def forward(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[-2:]
        x = picture.index_select(2, self._padded(height)).index_select(3, self._padded(width))
        return torch.sigmoid(self.network(x))[..., :height, :width]

    def _padded(self, side: int) -> Tensor:
        """0, 1, …, side - 1, side - 1, side - 1, as many as the network needs."""
        blocks = (side + self.stride - 1) // self.stride
        return torch.arange(self.stride * blocks).clamp(max=side - 1)


def export_onnx(network: UNet, card: Card, target: Path) -> None:
    """Writes ``target``: input ``picture``, output ``mask``, as in :class:`AnySize`; N, H and W
    are free, and the metadata say from which checkpoint it is and how to feed it.

    Raises :class:`ExportError` when the file is there, the network is not from RGB to one mask of
    the same size, the packages are missing, or the file does not give the network's masks.
    """
    config = network.config
    if target.exists():
        raise ExportError(f"{target} is there already; remove it or choose another name")
    if (config.in_channels, config.out_channels, config.padding) != (3, 1, "same"):
        raise ExportError(
            f"{target} is not written: {card.version} is {config}; "
            "a network from RGB to one mask of the same size is needed"
        )
    if missing := [name for name in PACKAGES if not importlib.util.find_spec(name)]:
        raise ExportError(
            f"{target} is not written, for want of {', '.join(missing)}; "
            'install the extra: pip install "cyclorama[onnx]"'
        )
    program = _trace(AnySize(fuse_batch_norm(network), config.stride).eval())
    program.model.metadata_props.update(metadata(card))
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{uuid4().hex}.part")
    try:
        program.save(part)
        if (apart := difference(network, part)) > TOLERANCE:
            raise ExportError(
                f"{target} is not written: its probabilities would be up to {apart:.3f} off; "
                'install the exporter again: pip install --upgrade "cyclorama[onnx]"'
            )
        sync(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def difference(network: UNet, path: Path) -> float:
    """How far the file's probabilities are from the network's at most, on noise of an odd size:
    exporters have been known to write another network without a word."""
    import onnxruntime

    picture = torch.rand(1, 3, 75, 109, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = torch.sigmoid(network(picture)).numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(["mask"], {"picture": picture.numpy()})
    return float(np.abs(found - expected).max())


def metadata(card: Card) -> dict[str, str]:
    """What the file says of itself."""
    if card.squash_px:
        height, width = card.squash_px
        size = f"squash to {width}x{height} px (width x height), whatever the shape"
    else:
        px, most = card.long_side_px, f"{MOST_ENLARGED:g}"
        size = f"resize to a long side of {px} px; enlarge small pictures {most} times at most"
    return {
        "cyclorama": installed("cyclorama"),
        "version": card.version,
        "sha256": card.sha256,
        "size": size,
        "input": f"picture: {card.input}, float32 (N, 3, H, W), no mean or deviation taken off",
        "output": "mask: probability of the subject in [0, 1], float32 (N, 1, H, W)",
    }


def _trace(network: AnySize) -> torch.onnx.ONNXProgram:
    free = {0: torch.export.Dim("n"), 2: torch.export.Dim("h"), 3: torch.export.Dim("w")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's, about its own parts
        program = torch.onnx.export(
            network,
            (torch.zeros(2, 3, 100, 150),),  # each axis its own length, none 1
            dynamo=True,
            input_names=["picture"],
            output_names=["mask"],
            dynamic_shapes=(free,),
            verbose=False,
        )
    assert program is not None
    (picture,), (mask,) = program.model.graph.inputs, program.model.graph.outputs
    assert picture.shape is not None
    mask.shape = picture.shape.copy()  # as simple as it is: the exporter keeps it as a formula
    mask.shape[1] = 1
    return program
