"""A gallery needs nothing but its folder, and shows what it was given."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from tests.carvana import disc, picture_of
from unet_core.gallery import Gallery, on_grey, outlined

MASK = disc(400, 600, centre=(200, 300), radius=80)
PHOTO = picture_of(MASK)


def test_a_page_shows_each_picture_small_in_its_row(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "page", title="Two & more")
    gallery.add("a <b>.jpg", {"photo": PHOTO, "mask": MASK}, note="fine")
    gallery.add("c.jpg", {"photo": PHOTO})

    text = gallery.write().read_text(encoding="utf-8")

    assert "<h1>Two &amp; more</h1>" in text
    assert "a &lt;b&gt;.jpg" in text
    files = re.findall(r'src="([^"]+)"', text)
    assert files == ["001-1.jpg", "001-2.jpg", "002-1.jpg"]
    for file in files:
        with Image.open(tmp_path / "page" / file) as picture:
            assert picture.size == (320, 213)


def test_an_outline_runs_along_the_mask_and_leaves_the_photo_as_it_was() -> None:
    photo, mask = np.ascontiguousarray(PHOTO[100:300, 150:450]), MASK[100:300, 150:450]
    before = photo.copy()

    drawn = outlined(photo, mask)

    np.testing.assert_array_equal(photo, before)
    y, x = np.nonzero((drawn != photo).any(axis=2))
    assert y.size
    assert np.abs(np.hypot(y - 100, x - 150) - 80).max() < 4


def test_a_cut_out_stands_on_grey() -> None:
    shown = on_grey(PHOTO, MASK)

    assert (shown[:10] == 128).all()
    assert shown[106, 160].mean() > 180
