"""What travels on the queue: one message, one shoot. JSON only, and checked on arrival."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from worker.errors import MessageError
from worker.shoots import Frame, Shoot, Source, inner_path, one_name

MAX_FRAMES = 10_000
"""In one message; the setting ``max_frames`` goes up to it."""


class FrameMessage(BaseModel):
    """One frame: its name, and the photo in the state in which the watcher saw it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=255)
    angle: int = Field(ge=0)
    path: str = Field(min_length=1, max_length=4096)
    size: int = Field(ge=0)
    mtime_ns: int

    @field_validator("name")
    @classmethod
    def _one_name(cls, name: str) -> str:
        return one_name(name)

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        return inner_path(path)


class JobMessage(BaseModel):
    """One shoot to be made; the worker leaves out what is done already."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    job: str = Field(default_factory=lambda: uuid.uuid4().hex, pattern="^[0-9a-f]{32}$")
    shoot: str = Field(min_length=1, max_length=255)
    attempt: int = Field(default=1, ge=1)
    deaths: int = Field(default=0, ge=0)
    """How many workers in a row died on the shoot without getting on with it."""
    retry: bool = False
    """Whether frames that failed are tried again."""
    frames: tuple[FrameMessage, ...] = Field(max_length=MAX_FRAMES)

    @field_validator("shoot")
    @classmethod
    def _one_name(cls, name: str) -> str:
        return one_name(name)

    @classmethod
    def of(
        cls, shoot: Shoot, *, attempt: int = 1, deaths: int = 0, retry: bool = False
    ) -> JobMessage:
        """The message for a shoot."""
        return cls(
            shoot=shoot.name,
            attempt=attempt,
            deaths=deaths,
            retry=retry,
            frames=tuple(
                FrameMessage(
                    name=frame.name,
                    angle=frame.angle,
                    path=frame.source.path,
                    size=frame.source.size,
                    mtime_ns=frame.source.mtime_ns,
                )
                for frame in shoot.frames
            ),
        )

    @property
    def photos(self) -> str:
        """Digest of the photos in their states: another one means that something was mended."""
        states = sorted((frame.path, frame.size, frame.mtime_ns) for frame in self.frames)
        return hashlib.sha256(repr(states).encode()).hexdigest()[:16]

    def to_frames(self) -> list[Frame]:
        """The frames of the message."""
        return [Frame(f.name, f.angle, Source(f.path, f.size, f.mtime_ns)) for f in self.frames]


def parse(payload: Any) -> JobMessage:
    """The message in a task's argument; raises :class:`MessageError` for anything else."""
    try:
        return JobMessage.model_validate(payload)
    except ValidationError as error:
        rows = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise MessageError(f"this is no job of ours ({rows})") from error
