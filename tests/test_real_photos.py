"""The line on real shoots, where some are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from tests.studio import drop, make_studio

ROOT = os.environ.get("CYCLORAMA_REAL_PHOTOS", "")

pytestmark = [
    pytest.mark.real_photos,
    pytest.mark.skipif(not ROOT, reason="CYCLORAMA_REAL_PHOTOS names no folder of real photos"),
]


@pytest.mark.timeout(600)
def test_every_real_shoot_comes_out_complete_and_in_full_size(tmp_path: Path) -> None:
    studio = make_studio(tmp_path)
    shoots = sorted(path for path in (Path(ROOT) / "shoots").iterdir() if path.is_dir())
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
