"""What can go wrong on the line, as one small tree.

CycloramaError              the message says what failed, on which value, and the cure
├── SettingsError           a setting is unknown or impossible            (exit code 2)
├── PresetError             a preset cannot be used                       (exit code 2)
├── PlateError              a photo of the empty booth cannot be used
├── FolderError             inbox, outbox or state folder cannot be used  (exit code 2)
├── BucketError             a bucket cannot be reached, or refuses
├── BrokerError             Redis cannot be reached or started            (exit code 2)
├── ModelError              no checkpoint or device that can be used      (exit code 2)
├── MessageError            a message on the queue is not one of ours
├── ShootError              a shoot was named that is not there, or cannot go on
├── CorrectionError         a corrected mask cannot be used
├── LeaseLost               somebody else has taken over the shoot
└── HandedBack              the worker is told to stop, and gives the shoot back unfinished
"""

from __future__ import annotations


class CycloramaError(Exception):
    """Base of all: ``CycloramaError(what failed on what, cure="what to do")``."""

    def __init__(self, message: str, *, cure: str = "") -> None:
        super().__init__(message)
        self.cure = cure

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}. {self.cure}" if self.cure else message


class SettingsError(CycloramaError):
    """A setting is unknown or impossible."""


class PresetError(CycloramaError):
    """A preset cannot be used."""


class PlateError(CycloramaError):
    """A photo of the empty booth cannot be used."""


class FolderError(CycloramaError):
    """Inbox, outbox or state folder cannot be used."""


class BucketError(CycloramaError):
    """A bucket cannot be reached, or refuses what was asked. ``away``: whatever else is asked now
    would go the same way."""

    def __init__(self, message: str, *, cure: str = "", away: bool = False) -> None:
        super().__init__(message, cure=cure)
        self.away = away


class BrokerError(CycloramaError):
    """Redis cannot be reached or started."""


class ModelError(CycloramaError):
    """There is no checkpoint or no device that can be used."""


class MessageError(CycloramaError):
    """A message on the queue is not one of ours."""


class ShootError(CycloramaError):
    """A shoot that was named is not there, or cannot go on."""


class CorrectionError(CycloramaError):
    """A corrected mask cannot be used."""


class LeaseLost(CycloramaError):
    """Somebody else has taken over the shoot; what we do for it no longer counts."""


class HandedBack(CycloramaError):
    """The worker is told to stop; the frames that it has finished are kept for the next one."""
