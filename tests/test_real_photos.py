"""The line on real shoots, where some are at hand."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from PIL import Image

from tests.studio import copy_flat, copy_slowly, drop, make_studio

ROOT = os.environ.get("CYCLORAMA_REAL_PHOTOS", "")

pytestmark = [
    pytest.mark.real_photos,
    pytest.mark.skipif(not ROOT, reason="CYCLORAMA_REAL_PHOTOS names no folder of real photos"),
]


def real_shoots() -> list[Path]:
    return sorted(path for path in (Path(ROOT) / "shoots").iterdir() if path.is_dir())


@pytest.mark.timeout(600)
def test_every_real_shoot_comes_out_complete_and_in_full_size(tmp_path: Path) -> None:
    studio = make_studio(tmp_path)
    shoots = real_shoots()
    for shoot in shoots:
        drop(shoot, studio)
    done = studio.cyclorama("run", "--once", seconds=580)
    assert done.returncode == 0, done.stderr
    for shoot in shoots:
        manifest = studio.assert_whole(shoot.name)
        assert manifest.status == "complete"
        assert len(manifest.frames) == 16
        for row in manifest.frames:
            with Image.open(studio.inbox / row.source.path) as photo:
                size = photo.size
            for kind in ("composite", "mask"):
                with Image.open(studio.outbox / shoot.name / row.outputs[kind].path) as made:
                    assert made.size == size
            assert row.mask_area is not None
            assert 0.05 < row.mask_area < 0.5


@pytest.mark.timeout(600)
def test_real_shoots_that_arrive_in_different_ways_are_made_once_and_whole(tmp_path: Path) -> None:
    """A slow copy, a moved folder and flat files at the same time, into a watched inbox."""
    studio = make_studio(tmp_path)
    shoots = real_shoots()[:4]
    frames = sum(len(list(shoot.iterdir())) for shoot in shoots)
    with studio.running("run"):
        copies = []
        for place, shoot in enumerate(shoots):
            if place % 2 == 0:
                target = studio.inbox / shoot.name
                copies.append(threading.Thread(target=copy_slowly, args=(shoot, target)))
                copies[-1].start()
            elif place == 1:
                drop(shoot, studio)
            else:
                copy_flat(shoot, studio.inbox, name=shoot.name)
        names = [shoot.name for shoot in shoots]
        studio.wait_for(lambda: all(studio.manifest(name) for name in names), seconds=500)
        for copy in copies:
            copy.join()
        made = sum(worker["frames"] for worker in studio.beats(at_least=frames))
    assert made == frames, "a frame was made twice"
    for name in names:
        manifest = studio.assert_whole(name)
        assert (manifest.status, manifest.attempts) == ("complete", 1)
