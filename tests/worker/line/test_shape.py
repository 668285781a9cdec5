"""How much of what a worker does at once."""

from __future__ import annotations

import pytest
import torch

from worker.line.shape import line_shape
from worker.settings import Settings


@pytest.mark.parametrize(
    ("device", "cores", "shape"),
    [
        ("cpu", 2, (1, 0, 6, 2)),
        ("cpu", 32, (1, 0, 38, 32)),
        ("cuda", 16, (16, 1, 37, 16)),
        ("mps", 8, (4, 1, 13, 8)),
    ],
)
def test_a_processor_works_on_a_picture_a_core_and_a_gpu_on_one_large_batch(
    device: str, cores: int, shape: tuple[int, ...]
) -> None:
    found = line_shape(Settings(), torch.device(device), cores=cores)

    assert (found.batch, found.lanes, found.in_flight, found.at_work) == shape


@pytest.mark.parametrize(("device", "cores"), [("cpu", 1), ("cpu", 32), ("cuda", 16), ("mps", 8)])
def test_one_shoot_alone_can_keep_cores_and_device_busy(device: str, cores: int) -> None:
    found = line_shape(Settings(), torch.device(device), cores=cores)

    assert found.frames_per_job(Settings().jobs) >= max(found.at_work, found.batch)


def test_no_more_frames_compute_than_may_be_in_memory() -> None:
    found = line_shape(Settings(frames_in_flight=3), torch.device("cpu"), cores=8)

    assert (found.at_work, found.frames_per_job(2)) == (3, 3)


def test_the_studio_may_say_otherwise() -> None:
    settings = Settings(batch=8, frames_in_flight=5)

    found = line_shape(settings, torch.device("cpu"), cores=4)

    assert (found.batch, found.lanes, found.in_flight) == (8, 4, 5)
