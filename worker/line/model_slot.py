"""The checkpoint that the worker uses, and how a new champion takes its place."""

from __future__ import annotations

import logging
import threading

import torch

from unet_core.checkpoint import CheckpointError
from unet_core.data import read_pair
from unet_core.devices import Runtime, is_out_of_memory
from unet_core.gate import Rules
from unet_core.metrics import dice
from unet_core.refine import refine
from unet_core.segment import Segmenter
from unet_core.store import ModelStore
from worker.errors import ModelError
from worker.finish.golden import GOLDEN

log = logging.getLogger(__name__)

UNLIKELY = 0.5
"""Dice of the golden picture below which a worker asks at its start whether that is meant."""
LOST = 0.1
"""Where the champion before knew the golden picture, a new one with so much less Dice on it is
refused, whoever named it."""


class ModelSlot:
    """Holds one loaded segmenter; jobs take it when they begin and keep it to their end."""

    def __init__(self, store: ModelStore, device: torch.device, runtime: Runtime = "torch") -> None:
        """Loads the champion; raises :class:`ModelError` when there is none that can be used."""
        self._store, self._device, self._runtime = store, device, runtime
        self._bad: set[str] = set()
        self._skill = 0.0
        try:
            self._current = self._load_champion()
        except CheckpointError as error:
            raise ModelError(str(error)) from error
        if self._skill < UNLIKELY:
            log.warning(
                "%s cuts out the golden picture with Dice %.3f: is it the right checkpoint?",
                self._current.card.version,
                self._skill,
            )

    @property
    def skill(self) -> float:
        """Dice of the golden picture by the checkpoint in use."""
        return self._skill

    @property
    def current(self) -> Segmenter:
        """The segmenter for a job that begins now."""
        return self._current

    def refresh(self) -> bool:
        """Takes over a new champion, if there is one that works; the old one stays otherwise.

        Returns whether the checkpoint changed. A checkpoint that failed is not tried again.
        """
        try:
            champion = self._store.champion()
            if champion.sha256 in self._bad | {self._current.card.sha256}:
                return False
            fresh = self._load_champion()
        except (CheckpointError, OSError) as error:
            log.error(
                "the champion cannot be used, %s stays: %s", self._current.card.version, error
            )
            return False
        self._current = fresh
        log.info("checkpoint %s is in use from the next job on", fresh.card.version)
        return True

    def follow(self, stop: threading.Event, *, every_seconds: float) -> None:
        """Refreshes until ``stop`` is set; meant for a thread of its own."""
        while not stop.wait(every_seconds):
            self.refresh()

    def _load_champion(self) -> Segmenter:
        champion = self._store.champion()
        try:
            segmenter = Segmenter.load(champion, self._device, self._runtime)
            skill = golden_dice(segmenter)  # which warms it up, too
            if self._skill >= Rules.known and skill < self._skill - LOST:
                raise CheckpointError(
                    f"{champion.folder} cuts out the golden picture with Dice {skill:.3f}, "
                    f"where {self._current.card.version} reaches {self._skill:.3f}"
                )
            self._skill = skill
        except CheckpointError as error:
            if not isinstance(error.__cause__, OSError):  # a disk may read it the next time
                self._bad.add(champion.sha256)
            raise
        except RuntimeError as error:
            if is_out_of_memory(error):  # others hold it: not for ever
                raise CheckpointError(
                    f"{champion.folder} does not fit into the memory that {self._device} has now"
                ) from error
            self._bad.add(champion.sha256)
            raise CheckpointError(f"{champion.folder} does not run: {error}") from error
        return segmenter


def golden_dice(segmenter: Segmenter) -> float:
    """Dice of the golden picture, in [0, 1]."""
    pixels, truth = read_pair(GOLDEN)
    (mask,) = segmenter.segment([segmenter.prepare(pixels)])
    return dice(refine(mask, pixels), truth)
