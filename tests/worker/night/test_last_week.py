"""Which photos a candidate is tried on beside those whose truth is known."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.parts import drop_photos, manifest_with, row_of, shoot_in
from unet_core.differences import Seen
from unet_core.segment import Segmenter
from unet_core.store import ModelStore
from worker.night import last_week
from worker.night.last_week import DAY_SECONDS, delivered, sampled_photos
from worker.outbox.manifest import MANIFEST
from worker.settings import Settings

NOW = 100 * DAY_SECONDS


@pytest.fixture(scope="module")
def network(tiny_store: ModelStore) -> Segmenter:
    return Segmenter.load(tiny_store.champion(), torch.device("cpu"))


@pytest.fixture
def settings(no_settings: Path) -> Settings:
    (no_settings / "inbox").mkdir()
    return Settings()


def deliver(
    settings: Settings, shoot: str, count: int, *, days_ago: float, **changes: object
) -> None:
    """A shoot in inbox and outbox; ``changes`` are made to its first row."""
    drop_photos(settings.inbox / shoot, count)
    frames = shoot_in(settings.inbox, shoot).frames
    rows = [row_of(frame.source, frame.name) for frame in frames]
    rows[0] = row_of(frames[0].source, frames[0].name, **changes)
    path = settings.outbox / shoot / MANIFEST
    path.parent.mkdir(parents=True)
    path.write_text(manifest_with(shoot, rows).model_dump_json())
    os.utime(path, (NOW - days_ago * DAY_SECONDS,) * 2)


def sampled(settings: Settings, network: Segmenter) -> list[Seen]:
    return list(sampled_photos(settings, network, NOW, pause=lambda: None))


def names(found: list[Seen]) -> list[str]:
    return sorted(f"{each.shoot}/{each.frame}" for each in found)


def test_the_last_seven_days_count_and_frames_that_failed_or_were_corrected_do_not(
    settings: Settings,
) -> None:
    deliver(settings, "old", 2, days_ago=7.1)
    deliver(settings, "bad", 2, days_ago=6.9, error={"code": "x", "message": "x"})
    deliver(settings, "mended", 2, days_ago=1, mask="corrected")
    assert [(shoot, row.name) for shoot, row in delivered(settings.outbox, NOW)] == [
        ("bad", "02"),
        ("mended", "02"),
    ]


def test_a_photo_that_is_gone_changed_or_damaged_is_passed_over(
    settings: Settings, network: Segmenter
) -> None:
    deliver(settings, "car", 4, days_ago=1)
    (settings.inbox / "car/01.jpg").unlink()
    (settings.inbox / "car/02.jpg").write_bytes(b"another")
    kept = (settings.inbox / "car/03.jpg").stat()
    damaged = (settings.inbox / "car/03.jpg").read_bytes()[: kept.st_size // 2]
    (settings.inbox / "car/03.jpg").write_bytes(damaged.ljust(kept.st_size, b"\0"))
    os.utime(settings.inbox / "car/03.jpg", ns=(kept.st_mtime_ns, kept.st_mtime_ns))
    assert names(sampled(settings, network)) == ["car/04"]


def test_the_sample_is_bounded_mixes_shoots_and_is_the_same_again(
    settings: Settings, network: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_week, "MOST_FRAMES", 12)
    for number in range(6):
        deliver(settings, f"car-{number}", 8, days_ago=1)
    first = sampled(settings, network)
    assert len(first) == 12 and names(first) == names(sampled(settings, network))
    assert len({each.shoot for each in first}) >= 4
    assert len({each.frame for each in first}) >= 4


def test_it_ends_when_its_time_is_up_and_waiting_for_the_device_is_not_its_time(
    settings: Settings, network: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(last_week.time, "monotonic", lambda: clock[0])
    deliver(settings, "car", 8, days_ago=1)

    def wait() -> None:
        clock[0] += 1000

    taken = 0
    for _ in sampled_photos(settings, network, NOW, pause=wait):
        taken += 1
        clock[0] += last_week.MOST_SECONDS / 2.5
    assert taken == 3


def test_photos_come_at_the_size_that_the_network_sees(
    settings: Settings, network: Segmenter
) -> None:
    deliver(settings, "car", 1, days_ago=1)
    (only,) = sampled(settings, network)
    assert max(only.pixels.shape) == network.card.long_side_px


def test_an_empty_outbox_gives_nothing(settings: Settings, network: Segmenter) -> None:
    found: Iterator[Seen] = sampled_photos(settings, network, NOW, pause=lambda: None)
    assert list(found) == []
