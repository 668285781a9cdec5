"""What training sees: sample *k* of a run is a pure function of (seed, k).

Which picture, and every choice of its augmentation, follow from these two numbers alone. So a
resumed run sees exactly what the uninterrupted one would have seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from unet_core.augment import Augmentation
from unet_core.cores import available_bytes
from unet_core.data import DataError, Pair, Picture, read_pair

KEPT_SHARE = 0.5
"""Of the memory that is available at the start; training itself needs the rest."""


class Samples(Dataset[tuple[Tensor, Tensor]]):
    """Sample *k*, for every k ≥ 0: (3, H, W) uint8 RGB and (1, H, W) uint8, 255 = subject."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        augmentation: Augmentation,
        *,
        seed: int = 25,
        rendered_share: float = 0.0,
        half_size_until: int = 0,
    ) -> None:
        """Below sample ``half_size_until`` the picture is seen at half its size, in crops of half
        the sides: a quarter of the work, while the network still learns what a car is."""
        self.real = [pair for pair in pairs if not pair.rendered]
        self.rendered = [pair for pair in pairs if pair.rendered]
        if not pairs:
            raise DataError("there is no picture to train on: every car is in the holdout")
        self.seed, self.rendered_share, self.half_size_until = seed, rendered_share, half_size_until
        self.full = augmentation
        height, width = augmentation.crop
        self.half = replace(
            augmentation,
            crop=(height // 2, width // 2),
            long_side_px=augmentation.long_side_px // 2,
        )
        self.keep_bytes = int(KEPT_SHARE * available_bytes())
        self._kept: dict[Pair, tuple[Picture, Picture]] = {}
        self._kept_bytes = 0

    @property
    def digest(self) -> str:
        """The same for two that give the same samples, wherever their pictures lie."""
        pictures = sorted((p.rendered, p.car, p.image.name) for p in (*self.real, *self.rendered))
        seen = (pictures, self.full, self.seed, self.rendered_share, self.half_size_until)
        return hashlib.sha256(repr(seen).encode()).hexdigest()

    def __getitem__(self, k: int) -> tuple[Tensor, Tensor]:
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + k)
        pixels, mask = self._reduced(self._choose(k, rng))
        image = torch.from_numpy(pixels).permute(2, 0, 1)
        augmentation = self.half if k < self.half_size_until else self.full
        return augmentation(image, torch.from_numpy(mask)[None], rng)

    def batches(
        self, size: int, start: int, stop: int, *, workers: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches ``start`` to ``stop`` (exclusive): (size, 3, H, W) and (size, 1, H, W) uint8."""
        loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
            self,
            batch_size=size,
            sampler=range(start * size, stop * size),
            num_workers=workers,
            worker_init_fn=_one_thread,
            prefetch_factor=4 if workers else None,
            # A fork would copy the thread pools of OpenCV and OpenMP without their threads.
            multiprocessing_context="spawn" if workers else None,
        )
        yield from loader

    def _reduced(self, pair: Pair) -> tuple[Picture, Picture]:
        """The pair at the largest size that most samples ask for; read once and then kept in memory
        (a few MB a picture) while there is room, because decoding would take longer than the
        network's step."""
        if pair in self._kept:
            return self._kept[pair]
        pixels, mask = read_pair(pair)
        factor = self.full.reduced_px / max(mask.shape)
        if factor < 1:
            pixels, mask = (
                np.asarray(
                    cv2.resize(x, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA),
                    np.uint8,
                )
                for x in (pixels, mask)
            )
        loader = get_worker_info()  # each of its workers keeps pictures of its own
        room = self.keep_bytes // (loader.num_workers if loader else 1)
        if self._kept_bytes + pixels.nbytes + mask.nbytes <= room:
            self._kept[pair] = pixels, mask
            self._kept_bytes += pixels.nbytes + mask.nbytes
        return pixels, mask

    def _choose(self, k: int, rng: torch.Generator) -> Pair:
        drawn = float(torch.rand((), generator=rng))
        use_rendered = self.rendered and (drawn < self.rendered_share or not self.real)
        pairs = self.rendered if use_rendered else self.real
        epoch, place = divmod(k, len(pairs))
        order = np.random.default_rng((self.seed, epoch)).permutation(len(pairs))
        return pairs[int(order[place])]


def _one_thread(_: int) -> None:
    """A loader's worker takes one core: the network needs the others."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
