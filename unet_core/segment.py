"""Pictures to masks: one network on one device.

pixels ─ prepare ─▶ (at most long_side) ─ segment, batched ─▶ mask ─ refine ─▶ full-size mask
                                            ├ upright, even if the photo is not (`orientation`)
                                            └ on a processor where the subject is (`region`)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unet_core.checkpoint import Card, CheckpointError, load_checkpoint
from unet_core.devices import Runtime, inference_dtype
from unet_core.fusion import fuse_activations, fuse_batch_norm
from unet_core.model import UNet
from unet_core.orientation import turned, upright
from unet_core.region import mask_by_region, reduced
from unet_core.store import Version

Picture = NDArray[np.uint8]
Masks = Callable[[Picture], Picture]
"""(N, h, w, 3) uint8 sRGB → (N, h, w) uint8, 255 = subject; from several threads at once."""
MOST_ENLARGED = 4.0
REGION_PX = 1000
"""Pictures of which the long side is shorter cost too little to look for their subject first."""
LONG_PX = 500
"""A pixel more or less on such a side changes nothing that is seen."""


@dataclass(frozen=True)
class Sighting:
    """What a network makes of a picture."""

    mask: Picture
    """(h, w) uint8, 255 = subject."""
    turned: int = 0
    """By how many times 90° anticlockwise the picture was turned to be looked at upright, 0 to 3;
    the mask is turned back."""


class Segmenter:
    """A network ready to cut out: pictures in, masks out; many at a time where that is faster."""

    def __init__(
        self, network: UNet, card: Card, device: torch.device, runtime: Runtime = "torch"
    ) -> None:
        """``network`` stays as it is. Raises ``ImportError`` where ``runtime`` is not installed;
        :func:`choose_device` says so before."""
        self.card, self.device, self.runtime = card, device, runtime
        self._stride = network.config.stride
        self.by_region = device.type == "cpu" and not card.squash_px
        """Whether of a large picture only the subject's region is looked at in full."""
        self._masks = _by_openvino(network) if runtime == "openvino" else _ByTorch(network, device)

    @classmethod
    def load(cls, version: Version, device: torch.device, runtime: Runtime = "torch") -> Segmenter:
        """The segmenter of a stored checkpoint; raises :class:`CheckpointError` if unfit."""
        network, card = load_checkpoint(version.folder)
        config = network.config
        if (config.in_channels, config.out_channels, config.padding) != (3, 1, "same"):
            raise CheckpointError(
                f"{version.folder}: the line needs a network from RGB to one mask of the same size"
            )
        return cls(network, card, device, runtime)

    @property
    def place(self) -> str:
        """Where the network runs, for people: ``cuda:0``, ``cpu``, ``cpu by openvino``."""
        return str(self.device) if self.runtime == "torch" else f"{self.device} by {self.runtime}"

    def prepare(self, pixels: Picture) -> Picture:
        """(H, W, 3) uint8 sRGB, any size → the same picture with its long side ``long_side_px`` of
        the card, which is the size of car that the network knows; enlarged ``MOST_ENLARGED``
        times at most. Or as ``card.squash_px`` says."""
        height, width = pixels.shape[:2]
        if self.card.squash_px:
            size = self.card.squash_px[::-1]
        else:
            scale = min(self.card.long_side_px / max(height, width), MOST_ENLARGED)
            size = (self._side(width * scale), self._side(height * scale))
        if size == (width, height):
            return pixels
        how = cv2.INTER_AREA if size[0] < width else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)

    def _side(self, wanted_px: float) -> int:
        """The nearest side. A long one that is just a pixel more than a multiple of the stride is
        that: the network would pad it to the next one, up to a tenth of its work."""
        side = max(1, round(wanted_px))
        return side - 1 if side >= LONG_PX and side % self._stride == 1 else side

    def segment(self, pictures: Sequence[Picture]) -> list[Picture]:
        """N pictures (h, w, 3) uint8 sRGB of one size → N masks (h, w) uint8, 255 = subject."""
        return [seen.mask for seen in self.look(pictures)]

    def look(self, pictures: Sequence[Picture]) -> list[Sighting]:
        """The same, with what else is seen.

        A large picture is looked at in small first: one that does not stand upright is turned, and
        a processor, which gains nothing from batches, looks at the rest only where its subject is.
        """
        if self.card.squash_px or max(pictures[0].shape) < REGION_PX:
            return [Sighting(mask) for mask in self.segment_whole(pictures)]
        small = [reduced(picture) for picture in pictures]
        ways = upright(small, self.segment_whole(small), self.segment_whole)
        standing = [turned(p, times) for p, (times, _) in zip(pictures, ways, strict=True)]
        if self.by_region:
            masks = [
                mask_by_region(picture, mask, self._whole)
                for picture, (_, mask) in zip(standing, ways, strict=True)
            ]
        else:
            masks = self._by_shape(standing)
        return [
            Sighting(turned(m, -times), times) for m, (times, _) in zip(masks, ways, strict=True)
        ]

    def segment_whole(self, pictures: Sequence[Picture]) -> list[Picture]:
        """The same, with all of each picture looked at, as one batch."""
        batch = pictures[0][None] if len(pictures) == 1 else np.stack(pictures)
        return list(self._masks(batch))

    def _by_shape(self, pictures: Sequence[Picture]) -> list[Picture]:
        """The same, for pictures of two sizes: upright ones and those that were turned by 90°."""
        masks = dict[int, Picture]()
        for shape in {picture.shape for picture in pictures}:
            alike = [number for number, each in enumerate(pictures) if each.shape == shape]
            found = self.segment_whole([pictures[number] for number in alike])
            masks.update(zip(alike, found, strict=True))
        return [masks[number] for number in range(len(pictures))]

    def _whole(self, picture: Picture) -> Picture:
        return self.segment_whole([picture])[0]


class _ByTorch:
    """The network in PyTorch, in the type that suits the device."""

    def __init__(self, network: UNet, device: torch.device) -> None:
        self._device, self._dtype = device, inference_dtype(device)
        fused = fuse_batch_norm(network)
        if device.type == "cpu":
            fused = fuse_activations(fused, self._dtype)
        self._network = fused.to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, pictures: Picture) -> Picture:
        batch = torch.from_numpy(pictures).to(self._device)  # (N, h, w, 3)
        x = batch.permute(0, 3, 1, 2).to(self._dtype).div_(255)  # channels last in memory
        with torch.autocast(self._device.type, self._dtype, self._dtype != torch.float32):
            logits = self._network(x)  # (N, 1, h, w)
        masks: Tensor = torch.sigmoid(logits.float()).mul_(255).round_().to(torch.uint8)
        return np.asarray(masks[:, 0].cpu().numpy(), np.uint8)


def _by_openvino(network: UNet) -> Masks:
    from unet_core.openvino_network import OpenVinoNetwork  # an extra, and slow to import

    return OpenVinoNetwork(network, inference_dtype(torch.device("cpu")))
