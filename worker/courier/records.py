"""Small notes on shoots that outlive the courier: a JSON file each, in a hidden folder."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from unet_core.files import sha256, write_file


class Records:
    """A note for each name. One that is lost costs work and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, name: str) -> dict[str, Any]:
        """What was noted; empty where nothing was, or nothing that can be read."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._file(name).read_bytes())
            if isinstance(found, dict):
                return found
        return {}

    def write(self, name: str, note: dict[str, Any]) -> None:
        """Replaces what was noted; it is on the disk when this returns."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_file(self._file(name), json.dumps(note).encode())

    def drop(self, name: str) -> None:
        """Forgets what was noted."""
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self._folder / f"{sha256(name.encode())[:32]}.json"  # a name may fill 255 bytes
