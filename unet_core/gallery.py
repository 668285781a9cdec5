"""A page of pictures to look at: rows of small pictures under a caption.

<folder>/index.html     the page; it needs nothing but its folder
<folder>/001-1.jpg      first picture of the first row
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from string import Template

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_core.images import encode_jpeg

Picture = NDArray[np.uint8]

TILE_PX = 320
_MAGENTA = (255, 0, 200)
_GREY = 128


class Gallery:
    """Takes one row after the other, then writes the page."""

    def __init__(self, folder: Path, *, title: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.title = folder, title
        self._rows: list[str] = []

    def add(self, caption: str, pictures: Mapping[str, Picture], *, note: str = "") -> None:
        """A row: pictures (H, W, 3) or (H, W) uint8 by the words that stand under them."""
        cells = []
        for number, (words, picture) in enumerate(pictures.items(), start=1):
            file = f"{len(self._rows) + 1:03}-{number}.jpg"
            small = reduced(picture)
            if small.ndim == 2:
                small = np.repeat(small[..., None], 3, axis=2)
            # Thin outlines in colour smear when subsampled.
            (self.folder / file).write_bytes(encode_jpeg(small, subsampling="4:4:4"))
            words = html.escape(words)
            cells.append(
                f'<figure><img src="{file}" alt=""><figcaption>{words}</figcaption></figure>'
            )
        head = f"<h2>{html.escape(caption)}</h2>\n<p>{html.escape(note)}</p>\n"
        self._rows.append(f'{head}<div class="row">{"".join(cells)}</div>\n')

    def write(self) -> Path:
        """Writes ``index.html`` and says where it is."""
        path = self.folder / "index.html"
        values = {"title": html.escape(self.title), "rows": "".join(self._rows)}
        path.write_text(_PAGE.substitute(values), encoding="utf-8", errors="replace")
        return path


def outlined(pixels: Picture, mask: Picture) -> Picture:
    """(H, W, 3) uint8 sRGB and its mask (H, W) uint8 → the small photo, the mask's edge on it."""
    small = np.ascontiguousarray(reduced(pixels))
    found = (reduced(mask) >= 128).astype(np.uint8)
    edges, _ = cv2.findContours(found, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # A copy: where nothing was reduced, the caller's photo must stay as it is.
    return np.asarray(cv2.drawContours(small.copy(), edges, -1, _MAGENTA, 2), np.uint8)


def on_grey(pixels: Picture, mask: Picture) -> Picture:
    """(H, W, 3) uint8 sRGB and its mask (H, W) uint8 → the small cut-out on middle grey."""
    small, alpha = reduced(pixels), reduced(mask)[..., None] / 255
    return np.asarray(np.rint(small * alpha + _GREY * (1 - alpha)), np.uint8)


def reduced(picture: Picture) -> Picture:
    """(H, W) or (H, W, 3) uint8 with its long side at most ``TILE_PX``, smaller ones as is."""
    height, width = picture.shape[:2]
    scale = TILE_PX / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
:root { color-scheme: light dark; --grey: #6b7076 }
@media (prefers-color-scheme: dark) { :root { --grey: #9aa0a6 } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1340px; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.05rem; margin: 1.8rem 0 0 }
p, figcaption { color: var(--grey); margin: 0 0 0.4rem; font-variant-numeric: tabular-nums }
.row { display: flex; flex-wrap: wrap; gap: 10px; align-items: flex-start }
figure { margin: 0; max-width: 320px } img { display: block; max-width: 100% }
</style>
<h1>$title</h1>
$rows</html>
""")
