"""How much of what a worker does at once, by its device."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import torch

from worker.settings import Settings


@dataclass(frozen=True)
class LineShape:
    """How much of what goes on at once in one worker."""

    batch: int
    """Pictures that go through the network together, at most."""
    lanes: int
    """Batches at once; none: every frame goes through the network in its own thread."""
    in_flight: int
    """Frames in memory."""
    at_work: int
    """Frames among them that may compute at once: the others wait for the device, for the disk,
    or for their turn."""

    def frames_per_job(self, jobs: int) -> int:
        """Frames of one shoot that may be under way: one shoot alone can keep all of it busy."""
        return max(1, self.at_work, self.in_flight // jobs)


def line_shape(settings: Settings, device: torch.device, *, cores: int) -> LineShape:
    """What suits the device, unless the settings say otherwise."""
    usual = {"cuda": 16, "cpu": 1}.get(device.type, 4)
    batch = settings.batch or usual
    lanes = cores if device.type == "cpu" else 1
    in_flight = settings.frames_in_flight or lanes + 2 * batch + min(4, cores)
    if device.type == "cpu" and batch == 1:
        lanes = 0
    return LineShape(batch, lanes, in_flight, at_work=min(cores, in_flight))


def share_cores(device: torch.device) -> None:
    """Tells OpenCV, and PyTorch on the CPU, to use one thread for one picture, in the whole
    process: every frame has a thread of its own, and more would get into each other's way."""
    cv2.setNumThreads(1)
    if device.type == "cpu":
        torch.set_num_threads(1)
