"""A photo under suspicion is opened in a process of its own first: what dies there is no worker.

The process reads a JSON list a line, [path, inbox, most pixels, seconds], and answers each with a
line, after a first one that says that it is there; it serves many photos, until one ends it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import select
import signal
import subprocess
import sys
from pathlib import Path

from unet_core.images import decode, encode_jpeg
from worker.queue.health import ending

log = logging.getLogger(__name__)
START_SECONDS = 120.0
TIMES = 2
"""A process may die of something else once; twice at the same photo is no chance."""


class Trial:
    """Opens photos in a process of its own. Not for several threads at once."""

    def __init__(self, inbox: Path, *, max_pixels: int, seconds: float) -> None:
        """A photo that takes more than ``seconds`` hangs."""
        self._inbox, self._max_pixels, self._seconds = inbox, max_pixels, seconds
        self._process: subprocess.Popen[bytes] | None = None

    def verdict(self, path: Path) -> str | None:
        """What the photo did to the process every time, in words; ``None`` when it came through,
        even as an error that the line knows how to tell."""
        reason = None
        for _ in range(TIMES):
            reason = self._opened(path)
            if reason is None:
                return None
            log.warning("%s %s on trial", path, reason)
        return reason

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _opened(self, path: Path) -> str | None:
        process = self._running()
        if process is None:
            return None
        assert process.stdin and process.stdout  # both are pipes
        case = json.dumps([str(path), str(self._inbox), self._max_pixels, self._seconds])
        try:
            process.stdin.write(case.encode() + b"\n")
            process.stdin.flush()
        except OSError:  # it died by itself, before it saw this photo
            self.close()
            return None
        if not _speaks(process, within=self._seconds):
            self.close()
            return f"was not opened within {self._seconds:g} seconds"
        if process.stdout.readline():
            return None
        code = process.wait()
        self.close()
        return f"ended the program that opened it ({ending(code)})"

    def _running(self) -> subprocess.Popen[bytes] | None:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker.line.trial"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            # What it needs to start is no photo's doing.
            if not _speaks(self._process, within=START_SECONDS):
                log.error("no photo can be tried: the process for it does not start")
                self.close()
            elif self._process.stdout:
                self._process.stdout.readline()
        return self._process


def _speaks(process: subprocess.Popen[bytes], *, within: float) -> bool:
    """Whether the process says something, or ends, within so many seconds."""
    assert process.stdout  # a pipe
    return bool(select.select([process.stdout], [], [], within)[0])


def serve() -> None:
    """The process: opens one photo after another as far as its own bytes have a say."""
    print(flush=True)
    for line in sys.stdin:
        path, inbox, max_pixels, seconds = json.loads(line)
        signal.alarm(math.ceil(seconds) + 5)  # ends us, should nobody be left who would
        with contextlib.suppress(Exception):  # the line tells of it
            photo = decode(Path(path), max_pixels=max_pixels, within=Path(inbox))
            photo.srgb()
            encode_jpeg(photo.pixels, quality=90, icc=photo.icc, exif=photo.exif)
        signal.alarm(0)
        print(flush=True)


if __name__ == "__main__":
    serve()
