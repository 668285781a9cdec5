"""The micro-batcher: frames of every job at work meet here on their way through the network.

No timer is needed to fill a batch: while the device works on one, the next collects. A GPU has one
lane and large batches. A processor gains nothing from batches and loses by sharing one picture
among its cores: there each frame goes through the network in the thread that it is in already.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from unet_core.devices import is_out_of_memory
from unet_core.segment import Sighting
from worker.outbox.manifest import Batch

log = logging.getLogger(__name__)
GROWS_AFTER = 500
"""Batches in a row that fit, after which a device that had too little memory is given more."""
Picture = NDArray[np.uint8]


class Network(Protocol):
    """Looks at pictures of one size at once: (h, w, 3) uint8 each."""

    def look(self, pictures: Sequence[Picture]) -> list[Sighting]: ...


@dataclass(frozen=True)
class Masked:
    """What was seen and the batch that it came in."""

    seen: Sighting
    batch: Batch


@dataclass(frozen=True)
class _Waiting:
    network: Network
    picture: Picture
    job: str
    result: Future[Masked] = field(default_factory=Future)

    def fits(self, other: _Waiting) -> bool:
        return self.network is other.network and self.picture.shape == other.picture.shape


class Batcher:
    """Threads that feed the device; :meth:`submit` may be called from any thread."""

    def __init__(
        self, *, size: int, lanes: int = 1, is_lost: Callable[[], bool] = lambda: False
    ) -> None:
        """At most ``size`` pictures in a batch, for a while fewer once so many did not fit into the
        device's memory; ``lanes`` batches at once. Without lanes each picture goes through alone,
        in the thread that brings it. ``is_lost`` is asked after an error: whether the device
        computes nothing any more."""
        self.size = self._largest = size
        self._fitted = 0
        """Batches in a row that fit."""
        self.device_lost = False
        """Whether nothing that is submitted can be served any more."""
        self._is_lost = is_lost
        self.sizes: Counter[int] = Counter()
        """How many batches of each size went through."""
        self.shared = 0
        """How many of them held pictures of more than one job."""
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._numbers = itertools.count(1)
        self._lanes = [
            threading.Thread(target=self._run, name=f"lane-{number}", daemon=True)
            for number in range(1, lanes + 1)
        ]
        for lane in self._lanes:
            lane.start()

    def submit(self, network: Network, picture: Picture, *, job: str) -> Future[Masked]:
        """Queues a picture; the future gives its mask, or the error that the picture caused."""
        waiting = _Waiting(network, picture, job)
        with self._changed:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            if self._lanes:
                self._waiting.append(waiting)
                self._changed.notify()
                return waiting.result
            self.sizes[1] += 1
        self._serve([waiting], next(self._numbers))
        return waiting.result

    def close(self) -> None:
        """Finishes what waits and ends the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for lane in self._lanes:
            lane.join()

    def _run(self) -> None:
        while batch := self._next_batch():
            self._serve(batch, next(self._numbers))

    def _next_batch(self) -> list[_Waiting]:
        """The oldest picture that waits and the next ones that fit it; empty when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return []
            first = self._waiting[0]
            batch = [w for w in self._waiting if w.fits(first)][: self.size]
            taken = set(map(id, batch))
            self._waiting = deque(w for w in self._waiting if id(w) not in taken)
            self.sizes[len(batch)] += 1
            self.shared += len({w.job for w in batch}) > 1
            return batch

    def _serve(self, batch: list[_Waiting], number: int) -> None:
        jobs = len({waiting.job for waiting in batch})
        record = Batch(number=number, size=len(batch), jobs=jobs)
        try:
            found = batch[0].network.look([waiting.picture for waiting in batch])
            served = list(zip(batch, found, strict=True))
        except Exception as error:
            if not is_out_of_memory(error) and self._is_lost():
                self.device_lost = True
            if self.device_lost or len(batch) == 1:
                for waiting in batch:
                    waiting.result.set_exception(error)
                return
            together = self._together_after(error, batch, number)
        else:
            for waiting, seen in served:
                waiting.result.set_result(Masked(seen, record))
            self._grow()
            return
        # Only now: as long as the error was at hand, so was all that the batch had computed.
        with contextlib.suppress(RuntimeError):
            torch.cuda.empty_cache()
        while batch:
            part, batch = batch[:together], batch[together:]
            self._serve(part, number)
            together = min(together, self.size)  # which may shrink on the way

    def _grow(self) -> None:
        """Whatever took the device's memory may be gone."""
        self._fitted += 1
        if self.size < self._largest and self._fitted >= GROWS_AFTER:
            self.size, self._fitted = min(2 * self.size, self._largest), 0
            log.info("batches of %d pictures are tried again", self.size)

    def _together_after(self, error: Exception, batch: list[_Waiting], number: int) -> int:
        """How many pictures of a batch that failed go together in the next try."""
        if not is_out_of_memory(error):
            log.warning("batch %d failed (%s); its pictures go one by one", number, error)
            return 1
        self.size, self._fitted = min(self.size, len(batch) // 2), 0
        log.warning(
            "%d pictures were too many for the device; for a while %d at most go together",
            len(batch),
            self.size,
        )
        return self.size
