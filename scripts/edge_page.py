"""The page of edges.py: pieces of a photo's outline, at 100 %, on colours that forgive nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unet_core.gallery import TILE_PX, Gallery
from unet_core.places import places, window
from worker.finish.colours import clean_foreground

Picture = NDArray[np.uint8]

BACKDROPS = {"black": (0, 0, 0), "white": (255, 255, 255), "green": (0, 190, 0)}
PIECE = (TILE_PX * 3 // 4, TILE_PX)
"""Height and width in pixels; the gallery shows it as it is, four beside each other."""


def add_row(gallery: Gallery, caption: str, pixels: Picture, mask: Picture) -> None:
    """A row for one photo (H, W, 3) uint8 sRGB and its mask (H, W) uint8: at each place worth a
    look the photo, and the cut-out on every backdrop."""
    colours = clean_foreground(pixels, mask)
    pictures: dict[str, Picture] = {}
    for name, place in places(mask).items():
        piece = window(place, mask.shape, size=PIECE)
        pictures[f"{name}, photo"] = pixels[piece]
        for backdrop, colour in BACKDROPS.items():
            pictures[f"{name}, on {backdrop}"] = on_colour(colours[piece], mask[piece], colour)
    note = "" if pictures else "Nothing was found on it."
    gallery.add(caption, pictures, note=note)


def on_colour(colours: Picture, mask: Picture, backdrop: tuple[int, int, int]) -> Picture:
    """The cut-out's colours (H, W, 3) uint8 over one flat colour, by its mask (H, W) uint8."""
    share = mask[..., None] / 255
    return np.asarray(np.rint(colours * share + np.array(backdrop) * (1 - share)), np.uint8)
