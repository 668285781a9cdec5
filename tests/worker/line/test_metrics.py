from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from tests.parts import photo_bytes
from tests.worker.line.bench import Bench
from worker.line.batcher import Batcher
from worker.line.metrics import LineMetrics, LineState
from worker.queue.messages import JobMessage


@pytest.fixture
def metrics(bench: Bench, batcher: Batcher) -> CollectorRegistry:
    """The registry of a worker that has done nothing yet."""
    metrics = LineMetrics()
    bench.line.listeners.append(metrics)
    metrics.registry.register(LineState(bench.line, bench.slot, batcher))  # type: ignore[arg-type]
    return metrics.registry


def test_all_that_may_be_counted_begins_at_zero(metrics: CollectorRegistry) -> None:
    sources = "".join(
        path.read_text() for folder in ("worker", "unet_core/images") for path in _python(folder)
    )
    codes = set(re.findall(r'[( ]code="([a-z-]+)"', sources))
    codes |= set(re.findall(r'_failed\([^"()]*, "([a-z-]+)"', sources)) | {"odd-ground"}
    there = {
        sample.labels.get("outcome") or sample.labels.get("flag"): sample.value
        for family in metrics.collect()
        for sample in family.samples
        if sample.name in ("cyclorama_frames_total", "cyclorama_flags_total")
    }
    assert len(codes) > 20
    assert codes <= set(there)
    assert set(there.values()) == {0}


def _python(folder: str) -> list[Path]:
    return sorted((Path(__file__).parents[3] / folder).rglob("*.py"))


def test_frames_are_counted_by_their_outcome(
    bench: Bench, car: Path, metrics: CollectorRegistry
) -> None:
    (car / "04.jpg").write_bytes(photo_bytes(4)[:300])
    bench.work()
    assert metrics.get_sample_value("cyclorama_frames_total", {"outcome": "made"}) == 3
    assert metrics.get_sample_value("cyclorama_frames_total", {"outcome": "truncated"}) == 1
    assert metrics.get_sample_value("cyclorama_shoots_total", {"status": "incomplete"}) == 1


@pytest.mark.usefixtures("car")
def test_every_stage_of_every_frame_is_timed(bench: Bench, metrics: CollectorRegistry) -> None:
    bench.work()
    rows = bench.manifest().frames
    for stage in ("decode", "network", "refine", "composite", "encode", "write"):
        label = {"stage": stage}
        assert metrics.get_sample_value("cyclorama_stage_seconds_count", label) == 3
        seconds = sum(row.seconds[stage] for row in rows)
        assert metrics.get_sample_value("cyclorama_stage_seconds_sum", label) == pytest.approx(
            seconds
        )


def test_frames_that_are_kept_are_not_counted_again(
    bench: Bench, car: Path, metrics: CollectorRegistry
) -> None:
    bench.work()
    (car / "02.jpg").write_bytes(photo_bytes(9))
    bench.work()
    assert metrics.get_sample_value("cyclorama_frames_total", {"outcome": "made"}) == 4
    decoded = metrics.get_sample_value("cyclorama_stage_seconds_count", {"stage": "decode"})
    assert decoded == 4


@pytest.mark.usefixtures("car")
def test_flags_are_counted_as_the_manifest_has_them(
    bench: Bench, metrics: CollectorRegistry
) -> None:
    bench.work()
    codes = [flag.code for row in bench.manifest().frames for flag in row.flags]
    assert codes, "noise is no car: something must be flagged"
    for code in set(codes):
        counted = metrics.get_sample_value("cyclorama_flags_total", {"flag": code})
        assert counted == codes.count(code)


@pytest.mark.usefixtures("car")
def test_state_is_that_of_the_moment(
    bench: Bench, batcher: Batcher, metrics: CollectorRegistry
) -> None:
    assert metrics.get_sample_value("cyclorama_last_frame_timestamp_seconds") is None
    card = bench.segmenters["first"].card
    labels = {"version": "first", "sha256": str(card.sha256), "device": "cpu"}
    assert metrics.get_sample_value("cyclorama_checkpoint_info", labels) == 1
    bench.line.shoots["car"] = JobMessage.model_validate(bench.message())
    assert metrics.get_sample_value("cyclorama_shoots_in_work") == 1
    bench.line.shoots.clear()
    bench.work()
    at = metrics.get_sample_value("cyclorama_last_frame_timestamp_seconds")
    assert at == bench.line.last_frame_at
    for size, count in batcher.sizes.items():
        label = {"size": str(size)}
        assert metrics.get_sample_value("cyclorama_batches_total", label) == count
