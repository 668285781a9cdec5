"""Makes the picture at the head of the README: a rendered frame beside its finished composite."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from unet_core.booth import Booth
from unet_core.devices import choose_device
from unet_core.images import encode_jpeg
from unet_core.refine import refine
from unet_core.segment import Segmenter
from unet_core.store import SHIPPED, ModelStore
from worker.finish.composite import compose
from worker.finish.presets import load_preset

PICTURE = Path(__file__).parent.parent / ".readme" / "before-after.jpg"


def main() -> int:
    """Writes the picture with the champion's mask, not with the rendered one."""
    photo = Booth(seed=15, width=960, height=640).render(3).image
    segmenter = Segmenter.load(ModelStore(SHIPPED).champion(), choose_device())
    mask = refine(segmenter.segment([photo])[0], photo)
    finished = compose(photo, mask, load_preset("studio-white")).composite
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_bytes(encode_jpeg(np.hstack([photo, finished]), quality=90))
    print(PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
