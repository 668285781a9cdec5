"""From a corrected mask in its folder to the frame in the outbox, in its parts.

    .venv/bin/python scripts/correction.py [--photos FOLDER] [--size W H] [--repeats N] [--json]

`cyclorama run` with its defaults has published two shoots of 16. Then masks are dropped. In the
first shoot a spot inside of the car changes in one frame, for which only this one is made anew,
then in all of them; the second has a preset that frames the turn as a whole, and the mask of its
widest frame is wider each time, for which all frames are made anew.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from bench_cold import PATIENCE_SECONDS, moments
from bench_frames import TURN, Frames, given, rendered
from bench_line import BenchError
from rich.console import Console

from unet_core.images import read_mask
from worker.crew import environment
from worker.errors import CycloramaError
from worker.finish import presets
from worker.outbox.manifest import FrameRow, read_manifest
from worker.outbox.publish import SHEET
from worker.queue.app import connect
from worker.queue.broker import EmbeddedRedis
from worker.queue.leases import Leases
from worker.settings import Settings, read_settings
from worker.shoots import PRESET

err = Console(stderr=True)
Draw = Callable[[np.ndarray, FrameRow], np.ndarray]
BUILTIN = Path(presets.__file__).with_name("presets")
SPOT_PART, WIDER_PX = 4, 3
FITTING = "marketplace"


def main() -> int:
    """Exit code 0: measured; 1: the line failed; 2: wrong usage."""
    parser = argparse.ArgumentParser(prog="correction.py", description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="photos to take; rendered ones without it")
    parser.add_argument("--size", type=int, nargs=2, default=(1918, 1280), metavar=("W", "H"))
    parser.add_argument("--repeats", type=int, default=3, help="of each kind [default: 3]")
    parser.add_argument("--json", action="store_true", help="print JSON for a program")
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error("--repeats must be 1 or more")
    with tempfile.TemporaryDirectory(prefix="cyclorama-correction-") as folder:
        root = Path(folder)
        settings = read_settings(
            inbox=root / "inbox", outbox=root / "outbox", state=root / "state", broker_url=""
        )
        try:
            if options.photos:
                frames = given(settings.inbox, options.photos, 2 * TURN)
            else:
                frames = rendered(settings.inbox, tuple(options.size), 2 * TURN, distinct=TURN)
            report = measured(frames, settings, options.repeats)
        except (CycloramaError, OSError) as error:
            err.print(str(error), style="red", markup=False)
            return 1
    if options.json:
        print(json.dumps(report))
    else:
        for kind, seconds in report.items():
            print(kind, *(f"{part}={value}" for part, value in seconds.items()))
    return 0


def measured(frames: Frames, settings: Settings, repeats: int) -> dict[str, dict[str, float]]:
    """For each kind of correction: seconds since a mask was dropped at which the shoot is queued,
    taken up, the corrected frame's picture is there, all of the turn is there, and it is published
    (medians); and the most that the last took."""
    settings.outbox.mkdir(parents=True)
    plain, fitting = (message.shoot for message in frames.messages())
    shutil.copyfile(BUILTIN / f"{FITTING}.toml", settings.inbox / fitting / PRESET)
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "run"],
        env=os.environ | environment(settings, ""),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def delivered() -> bool:
        return all(read_manifest(settings.outbox / shoot) for shoot in (plain, fitting))

    try:
        moments({"delivery": delivered}, time.perf_counter(), settings.state)
        found = {
            "one frame": [_drop(plain, settings, 1, _spotted) for _ in range(repeats)],
            "all frames": [_drop(plain, settings, TURN, _spotted) for _ in range(repeats)],
            "framed anew": [_drop(fitting, settings, 1, _wider) for _ in range(repeats)],
        }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)
    return {kind: _summary(rows) for kind, rows in found.items()}


def _drop(shoot: str, settings: Settings, count: int, draw: Draw) -> dict[str, float]:
    """Corrects the ``count`` widest frames of a published shoot, and waits for its next edition."""
    published = settings.outbox / shoot
    rows = _widest_first(published)[:count]
    masks = [draw(read_mask(published / row.outputs["mask"].path), row) for row in rows]
    targets = [settings.corrections_folder / shoot / f"{row.name}.png" for row in rows]
    targets[0].parent.mkdir(exist_ok=True)
    leases = Leases(connect(EmbeddedRedis(settings.state).url), seconds=settings.lease_seconds)
    staging = settings.outbox / ".staging" / shoot

    def answered() -> bool:
        manifest = read_manifest(published)  # none between two renames
        corrections = [row.correction for row in manifest.frames] if manifest else []
        times = {correction.mtime_ns for correction in corrections if correction}
        return {target.stat().st_mtime_ns for target in targets} <= times

    def there(name: str) -> Callable[[], bool]:
        return lambda: any(staging.glob(f"*/{name}")) or answered()

    began = time.perf_counter()
    for target, mask in zip(targets, masks, strict=True):
        cv2.imwrite(str(target), mask)
    return moments(
        {
            "queued": lambda: leases.note(shoot) is not None or answered(),
            "taken up": lambda: any(staging.glob("*")) or answered(),
            "frame": there(rows[0].outputs["composite"].path),
            "turn": there(SHEET),
            "published": answered,
        },
        began,
        settings.state,
    )


def _widest_first(published: Path) -> list[FrameRow]:
    """The frames with a car; the one that is widest says how large all are drawn."""
    manifest = read_manifest(published)
    rows = [row for row in manifest.frames if row.box] if manifest else []
    if not rows:
        raise BenchError("no car was found in any photo; nothing was measured")
    return sorted(rows, key=lambda row: row.box[0] - row.box[2] if row.box else 0)


def _spotted(mask: np.ndarray, row: FrameRow) -> np.ndarray:
    """The mask with a spot changed in the middle of its car: so large that it is held against the
    other frames' masks too, and inside of its box."""
    assert row.box
    left, top, right, bottom = row.box
    y, x = (top + bottom) // 2, (left + right) // 2
    changed = mask.copy()
    high, wide = (bottom - top) // SPOT_PART, (right - left) // SPOT_PART
    changed[y : y + high, x : x + wide] = 255 - changed[y, x]
    return changed


def _wider(mask: np.ndarray, _: FrameRow) -> np.ndarray:
    kernel = np.ones((2 * WIDER_PX + 1, 2 * WIDER_PX + 1), np.uint8)
    # Two levels, as people draw: the soft edge of a small photo is too much of its area to pass.
    return np.asarray(cv2.inRange(cv2.dilate(mask, kernel), 128, 255), np.uint8)


def _summary(rows: list[dict[str, float]]) -> dict[str, float]:
    found = {part: round(median(row[part] for row in rows), 2) for part in rows[0]}
    return found | {"published at most": max(row["published"] for row in rows)}


if __name__ == "__main__":
    sys.exit(main())
