"""A line on real folders, a real Redis and a tiny checkpoint, and what a test asks of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from tests.parts import shoot_in
from unet_core.segment import Segmenter
from worker.line.batcher import Batcher
from worker.line.pipeline import Line, LineOptions
from worker.outbox.manifest import Manifest, read_manifest
from worker.outbox.places import Places
from worker.queue.leases import Leases, queued
from worker.queue.messages import JobMessage


class Slot:
    """Holds the segmenter that a test has chosen."""

    def __init__(self, current: Segmenter) -> None:
        self.current = current


class Bench:
    def __init__(
        self,
        places: Places,
        leases: Leases,
        segmenters: dict[str, Segmenter],
        batcher: Batcher,
        *,
        presets: Path,
    ) -> None:
        self.places, self.leases, self.segmenters = places, leases, segmenters
        self.slot = Slot(segmenters["first"])
        self.corrections = places.inbox.parent / "corrections"
        options = LineOptions(
            "test", presets, self.corrections, frames_per_job=2, max_pixels=10**6, worker="w-1"
        )
        self.line = Line(places, leases, self.slot, batcher, options)  # type: ignore[arg-type]
        self._presets = presets
        self.preset("")

    def preset(self, toml: str) -> None:
        """Replaces the default preset."""
        self._presets.mkdir(exist_ok=True)
        flat = '[backdrop]\nkind = "colour"\ncolour = "#808080"\n[shadow]\nkind = "none"\n'
        (self._presets / "test.toml").write_text(toml + flat)

    def message(self, shoot: str = "car", **changes: Any) -> dict[str, Any]:
        """The message that the watcher would send now."""
        return JobMessage.of(shoot_in(self.places.inbox, shoot), **changes).model_dump(mode="json")

    def work(self, shoot: str = "car", **changes: Any) -> None:
        """Handles the message that the watcher would send now, with its note."""
        message = self.message(shoot, **changes)
        self.leases.write(shoot, queued(JobMessage.model_validate(message), at=0.0))
        self.line.handle(message)

    def manifest(self, shoot: str = "car") -> Manifest:
        """The manifest of a published shoot."""
        manifest = read_manifest(self.places.published(shoot))
        assert manifest, f"{shoot} is not published"
        return manifest

    def files(self, folder: Path) -> dict[str, str]:
        """Every file below a folder with its hash."""
        return {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


class Crash(BaseException):
    """Ends the process, as far as the line can tell."""


def assert_clean(bench: Bench, shoot: str = "car") -> None:
    """Nothing is left in staging, no temporary file, no lease and no note."""
    assert list((bench.places.outbox / ".staging").iterdir()) == []
    assert [p for p in bench.places.outbox.rglob("*") if p.name.endswith(".part")] == []
    assert not bench.leases.held(shoot)
    assert bench.leases.note(shoot) is None
