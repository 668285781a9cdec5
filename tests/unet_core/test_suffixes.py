from __future__ import annotations

import pytest

from unet_core.suffixes import PHOTO_SUFFIXES


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".tif", ".heic", ".avif", ".cr3", ".nef"])
def test_photo_suffixes_are_lower_case_with_their_dot(suffix: str) -> None:
    assert suffix in PHOTO_SUFFIXES
    assert all(each == each.lower() and each[0] == "." for each in PHOTO_SUFFIXES)
    assert not {".txt", ".part", ".toml", ""} & PHOTO_SUFFIXES
