"""Where things lie: inbox, outbox, and the hidden folders inside the outbox."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path

from worker.errors import FolderError


@dataclass(frozen=True)
class Places:
    """The folders of one studio. Staging lies inside the outbox, so that publishing is a rename."""

    inbox: Path
    outbox: Path

    def published(self, shoot: str) -> Path:
        """The folder of a finished shoot."""
        return self.outbox / shoot

    def held(self, shoot: str) -> Path:
        """The folder of a shoot that waits for a person."""
        return self.outbox / ".held" / shoot

    def staging(self, shoot: str) -> Path:
        """The folder in which a shoot is made."""
        return self.outbox / ".staging" / shoot

    def retired(self, shoot: str) -> Path:
        """Where the older edition of a shoot goes while the newer one takes its place."""
        key = hashlib.sha256(shoot.encode()).hexdigest()[:16]  # a name may fill all 255 bytes
        return self.outbox / ".staging" / f".old-{key}"

    @property
    def replaced(self) -> Path:
        """The folder of older editions that people had touched."""
        return self.outbox / ".replaced"

    def check(self) -> None:
        """Creates outbox and staging and writes a file there; raises :class:`FolderError`."""
        if not self.inbox.is_dir():
            raise FolderError(
                f"the inbox {self.inbox} is no folder",
                cure="Create it, or set CYCLORAMA_INBOX (--inbox) to the right one",
            )
        inner, outer = self.outbox.resolve(), self.inbox.resolve()
        if inner.is_relative_to(outer) or outer.is_relative_to(inner):
            raise FolderError(
                f"inbox {self.inbox} and outbox {self.outbox} lie one in the other",
                cure="Use two separate folders",
            )
        probe = self.outbox / ".staging" / f".probe-{uuid.uuid4().hex}"
        try:
            probe.parent.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise FolderError(
                f"the outbox {self.outbox} cannot be written ({error.strerror})",
                cure="Give the program the right to write there, or set CYCLORAMA_OUTBOX "
                "(--outbox) to another folder",
            ) from error

    def require_outbox(self) -> None:
        """Raises :class:`FolderError` when the outbox that was there is gone: what is left is the
        bare folder on which its share was mounted."""
        staging = self.outbox / ".staging"
        if not staging.is_dir() and not any(self.outbox.iterdir()):
            raise FolderError(
                f"the outbox {self.outbox} has become an empty folder",
                cure="Mount its share again; if you emptied it, start the program again",
            )
