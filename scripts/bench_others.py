"""What a studio would use instead: the tutorial's network in the loop that everybody writes, and
rembg on a network that costs what ours costs."""

from __future__ import annotations

import importlib.util
import math
import os
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from unet_core.checkpoint import load_checkpoint
from unet_core.fusion import fuse_batch_norm
from unet_core.images import decode
from unet_core.model import UNet
from unet_core.segment import Segmenter
from unet_core.store import SHIPPED, ModelStore

Picture = NDArray[np.uint8]
TUTORIAL_PX = (512, 512)
REMBG_PX = 320
"""Side of the square that rembg gives a network of one's own."""
REMBG_NEEDS = ("rembg", "onnx", "onnxruntime", "onnxscript")


def tutorial(photo: Picture, device: torch.device, *, width: int) -> Callable[[], Picture]:
    """The tutorial's network as it is used there: the photo squashed to 512×512, float32, one at
    a time, cut at one half. Its weights are random: the time does not depend on them."""
    network = UNet(3, 1, width=width).eval().to(device)

    @torch.inference_mode()
    def cut_out() -> Picture:
        small = cv2.resize(photo, TUTORIAL_PX, interpolation=cv2.INTER_AREA)
        x = torch.from_numpy(small).to(device).permute(2, 0, 1)[None].float() / 255
        mask: Picture = (network(x) > 0).to(torch.uint8)[0, 0].cpu().numpy()  # (512, 512)
        return mask

    return cut_out


class NaiveLoop:
    """Open, resize, network, threshold, resize, composite, save; and then the next."""

    def __init__(self, device: torch.device, out: Path, *, width: int) -> None:
        self._device, self._out = device, out
        self._network = UNet(3, 1, width=width).eval().to(device)
        out.mkdir(parents=True, exist_ok=True)

    @torch.inference_mode()
    def seconds(self, paths: Sequence[Path]) -> float:
        """For these photos."""
        began = time.perf_counter()
        for number, path in enumerate(paths):
            photo = Image.open(path).convert("RGB")
            small = np.asarray(photo.resize(TUTORIAL_PX))
            x = torch.from_numpy(small.copy()).to(self._device).permute(2, 0, 1)[None].float() / 255
            mask = (torch.sigmoid(self._network(x)) > 0.5)[0, 0].cpu().numpy()
            alpha = Image.fromarray(mask.astype(np.uint8) * 255).resize(photo.size)
            backdrop = Image.new("RGB", photo.size, (200, 200, 200))
            Image.composite(photo, backdrop, alpha).save(self._out / f"{number}.png")
        return time.perf_counter() - began


class AsExpensive(nn.Module):
    """Our network behind rembg's square: it gets as many pixels as it sees on the line."""

    def __init__(self, network: nn.Module, size: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.size = network, size

    def forward(self, square: Tensor) -> Tensor:
        x = F.interpolate(square, self.size, mode="bilinear")
        mask = torch.sigmoid(self.network(x))
        return F.interpolate(mask, (REMBG_PX, REMBG_PX), mode="bilinear")


class Rembg:
    """rembg as its folder mode works: read, remove, write PNG; and then the next."""

    def __init__(self, folder: Path, photos: Sequence[Path], device: torch.device) -> None:
        """Raises ``ImportError`` that names what is not installed."""
        if missing := [name for name in REMBG_NEEDS if not importlib.util.find_spec(name)]:
            raise ImportError(f"not installed: {', '.join(missing)}")
        from rembg.sessions.u2net_custom import U2netCustomSession

        self._out = folder / "rembg"
        self._out.mkdir(parents=True, exist_ok=True)
        path = folder / "network.onnx"
        _export(path, photos, device)
        import onnxruntime

        os.environ["U2NET_HOME"] = str(folder)  # it takes networks from there alone
        self._session = U2netCustomSession(
            "u2net_custom", onnxruntime.SessionOptions(), model_path=str(path)
        )

    def seconds(self, paths: Sequence[Path]) -> float:
        """For these photos."""
        from rembg import remove

        began = time.perf_counter()
        for number, path in enumerate(paths):
            cut_out = remove(path.read_bytes(), session=self._session)
            (self._out / f"{number}.png").write_bytes(cut_out)
        return time.perf_counter() - began


class _Counting(Segmenter):
    seen_px = 0
    """How many pixels the network has looked at."""

    def segment_whole(self, pictures: Sequence[Picture]) -> list[Picture]:
        self.seen_px += sum(picture.shape[0] * picture.shape[1] for picture in pictures)
        return super().segment_whole(pictures)


def _export(path: Path, photos: Sequence[Path], device: torch.device) -> None:
    network, card = load_checkpoint(ModelStore(SHIPPED).champion().folder)
    segmenter, area = _Counting(network, card, device), 0
    for photo in (decode(each).srgb() for each in photos):
        segmenter.segment([segmenter.prepare(photo)])
        area += photo.shape[0] * photo.shape[1]
    scale, stride = math.sqrt(segmenter.seen_px / area), network.config.stride
    size = tuple(stride * max(1, round(side * scale / stride)) for side in photo.shape[:2])
    wrapped = AsExpensive(fuse_batch_norm(network), size).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's, about its own parts
        program = torch.onnx.export(
            wrapped, (torch.zeros(1, 3, REMBG_PX, REMBG_PX),), dynamo=True, verbose=False
        )
    assert program is not None
    program.save(path)
