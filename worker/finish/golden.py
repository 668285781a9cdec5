"""A picture that comes along, with its true mask: whatever a network has learned, it must not lose
this car."""

from __future__ import annotations

from pathlib import Path

from unet_core.data import Pair

_PHOTO = Path(__file__).parent / "tryout_photo"
GOLDEN = Pair(_PHOTO / "car.jpg", _PHOTO / "mask.png", "golden", rendered=True)
