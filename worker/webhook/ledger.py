"""Which events were heard, in a file that survives kill -9 and power cuts."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from unet_core.files import write_file
from worker.errors import FolderError


class Ledger:
    """Id of the last event that was heard, by place: a line each, the last line of a place counts.

    A line that was cut short counts for nothing: its event is told again.
    """

    def __init__(self, path: Path) -> None:
        """Reads the file. Raises :class:`FolderError` when it is there and cannot be read."""
        self._path = path
        self._heard: dict[str, str] = {}
        self.is_new = not path.exists()
        try:
            lines = [] if self.is_new else path.read_bytes().splitlines()
            for line in lines:
                with contextlib.suppress(ValueError):
                    place, event = json.loads(line)
                    self._heard[str(place)] = str(event)
            if not self.is_new:
                self._write()
        except OSError as error:
            raise FolderError(
                f"{path} cannot be read and written ({error.strerror})",
                cure="Give the program the right to",
            ) from error

    def begin(self, heard: Mapping[str, str]) -> None:
        """Starts the file with what counts as heard. Raises :class:`FolderError`."""
        self._heard = dict(heard)
        with self._writing():
            self._write()
        self.is_new = False

    def holds(self, place: str, event: str) -> bool:
        """Whether the event is the last one that was heard of this place."""
        return self._heard.get(place) == event

    def add(self, place: str, event: str) -> None:
        """Notes that the event was heard; it is on the disk when this returns.

        Raises :class:`FolderError` when it cannot be written; until a restart it is known still.
        """
        self._heard[place] = event
        with self._writing(), self._path.open("ab") as handle:
            handle.write(_line(place, event))
            handle.flush()
            os.fsync(handle.fileno())

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FolderError(
                f"{self._path} cannot be written ({error.strerror})",
                cure="Make room on its disk, or give the program the right to write there",
            ) from error

    def _write(self) -> None:
        write_file(self._path, b"".join(_line(*pair) for pair in self._heard.items()))


def _line(place: str, event: str) -> bytes:
    return json.dumps([place, event]).encode() + b"\n"
