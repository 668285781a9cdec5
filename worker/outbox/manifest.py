"""``manifest.json``: what was made, from what, by which checkpoint, and what went wrong.

The manifests are the memory of the program: the watcher queues whatever has no row in one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from worker.shoots import Source, inner_path, one_name

MANIFEST = "manifest.json"
# People can write to the outbox: what a manifest names is read and copied, so it may lead nowhere.
Name = Annotated[str, AfterValidator(one_name)]
InnerPath = Annotated[str, AfterValidator(inner_path)]


Status = Literal["complete", "incomplete", "held"]
"""Of a finished shoot."""


class _Record(BaseModel):
    # A newer program may know more fields: that is no reason to make its shoots again.
    model_config = ConfigDict(extra="ignore", frozen=True)


class SourceRecord(_Record):
    """A file as it was read."""

    path: InnerPath
    size: int
    mtime_ns: int
    sha256: str | None = None

    def source(self) -> Source:
        """The state of the file that a row answers for."""
        return Source(self.path, self.size, self.mtime_ns)


class Output(_Record):
    """One file of the shoot's folder."""

    path: InnerPath
    sha256: str
    bytes: int


class Flag(_Record):
    """A reason to look at a frame."""

    code: str
    value: float
    sentence: str


class Failure(_Record):
    """Why a frame has no picture, and what to do."""

    code: str
    message: str


class Batch(_Record):
    """The batch that a frame went through the network in."""

    number: int
    size: int
    jobs: int
    """How many jobs had frames in it."""


class FrameRow(_Record):
    """One frame: its outputs, or its failure."""

    name: Name
    angle: int
    source: SourceRecord
    checkpoint: str | None = None
    preset: str | None = None
    """Digest of the preset that the frame was made with."""
    width: int | None = None
    """Of the photo and its mask, in px; ``height`` likewise."""
    height: int | None = None
    picture_size: tuple[int, int] | None = None
    """Width and height of the composite, where framing makes it another than the photo's."""
    outputs: dict[str, Output] = {}
    mask_area: float | None = None
    """Share of the picture that is subject, in [0, 1]."""
    box: tuple[int, int, int, int] | None = None
    """Left, top, right and bottom of the subject in the photo, in px; right and bottom lie just
    outside. None where nothing was found."""
    confidence: float | None = None
    """The Dice that the network itself expects of its mask, in [0, 1]."""
    edge_certainty: float | None = None
    """How sure the network was along the mask's edge, in [0, 1]."""
    turned: int = 0
    """By how many times 90° anticlockwise the network turned the photo to see the car on its
    wheels, 0 to 3; its mask and pictures lie as the photo does."""
    booth: str | None = None
    """What the photo shows of the booth around the car; see ``worker.booth.view``."""
    flags: list[Flag] = []
    masked_by: Literal["network", "stored"] = "network"
    """``stored``: the pictures were made anew from a mask that was there already."""
    mask: Literal["network", "corrected"] = "network"
    """Who drew the mask: ``corrected`` is a person, in the file that ``correction`` names."""
    correction: SourceRecord | None = None
    """The corrected mask as it was read; its path is relative to the corrections folder."""
    untouched_paint: bool | None = None
    """Whether pixels well inside the mask are the photo's own, bit for bit before encoding; not so
    where framing has resampled them."""
    seconds: dict[str, float] = {}
    batch: Batch | None = None
    error: Failure | None = None


class PresetRecord(_Record):
    name: str
    digest: str
    chosen: Name | None = None
    """The preset that ``reprocess --preset`` named: later editions are made with it too."""
    pictures: list[str] = []
    """Pictures of the shoot's own preset, relative to its folder: they are no frames."""


class CheckpointRecord(_Record):
    version: str
    sha256: str


class Manifest(_Record):
    """A finished shoot."""

    format: Literal[1] = 1
    shoot: Name
    status: Status
    preset: PresetRecord
    checkpoint: CheckpointRecord
    program: str
    started: str
    """ISO 8601, UTC; ``finished`` likewise."""
    finished: str
    attempts: int = 1
    remarks: list[str] = []
    """What a person should know of the shoot as a whole: how many frames there are where more are
    expected, and angles that are missing or there twice."""
    frames: list[FrameRow]

    def sources(self) -> set[Source]:
        """The states of photos that this manifest answers for."""
        return {row.source.source() for row in self.frames}

    def lean(self) -> Manifest:
        """The same without the views of the booth, which are most of it: for whoever keeps the
        manifests of thousands of shoots in memory."""
        rows = [row.model_copy(update={"booth": None}) for row in self.frames]
        return self.model_copy(update={"frames": rows})

    def failed(self) -> list[FrameRow]:
        """The frames without a picture."""
        return [row for row in self.frames if row.error]


@dataclass(frozen=True)
class Edition:
    """A finished shoot and where it lies."""

    folder: Path
    manifest: Manifest


def status_of(rows: Iterable[FrameRow], on_failed_frame: Literal["publish", "hold"]) -> Status:
    """The status of a shoot with these rows, under a preset's rule."""
    if not any(row.error for row in rows):
        return "complete"
    return "held" if on_failed_frame == "hold" else "incomplete"


def now() -> str:
    """The time as manifests have it: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def load_manifest(folder: Path) -> Manifest | None:
    """The manifest of a published shoot; ``None`` when there is none, or a damaged one. Raises
    :class:`OSError` when it cannot be read now: then nobody knows what was delivered."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a published shoot; ``None`` when there is none that can be read."""
    try:
        return load_manifest(folder)
    except OSError:
        return None
