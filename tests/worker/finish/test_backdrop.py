from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from worker.errors import PresetError
from worker.finish.backdrop import render_backdrop
from worker.finish.presets import ColourBackdrop, PictureBackdrop, Preset, load_preset


def _colour(colour: str) -> Preset:
    return Preset(backdrop=ColourBackdrop(kind="colour", colour=colour))


def _picture(path: Path) -> Preset:
    return Preset(backdrop=PictureBackdrop(kind="picture", picture=path))


def _halves(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Left half red, right half blue."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2, 0] = 200
    pixels[:, size[0] // 2 :, 2] = 200
    return pixels


def _srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_a_colour_is_that_colour_everywhere() -> None:
    backdrop = render_backdrop(_colour("#0a80ff"), (30, 20))
    assert backdrop.shape == (20, 30, 3)
    assert np.all(backdrop == (0x0A, 0x80, 0xFF))


@pytest.mark.parametrize("name", ["studio-grey", "studio-white", "showroom-dark"])
def test_a_studio_gradient_shows_no_bands(name: str) -> None:
    backdrop = render_backdrop(load_preset(name), (960, 640))[..., 1].astype(float)
    # A band is a run of rows with one value and a jump; with grain, means of rows move evenly.
    means = backdrop[:, 400:560].mean(axis=1)
    assert np.abs(np.diff(means)).max() < 0.75
    assert min(np.unique(row).size for row in backdrop) >= 3


def test_the_floor_under_the_car_is_lighter_than_the_corners() -> None:
    backdrop = render_backdrop(load_preset("studio-grey"), (960, 640)).astype(int)
    assert backdrop[340:440, 400:560].mean() > backdrop[600:, :80].mean() + 20


def test_a_picture_covers_the_frame_and_is_cropped_evenly_not_stretched(tmp_path: Path) -> None:
    Image.fromarray(_halves((400, 100))).save(tmp_path / "wide.png")
    backdrop = render_backdrop(_picture(tmp_path / "wide.png"), (200, 200))
    assert backdrop.shape == (200, 200, 3)
    assert np.all(backdrop[:, :95] == (200, 0, 0))
    assert np.all(backdrop[:, 105:] == (0, 0, 200))
    ring = Image.new("RGB", (300, 150))
    ring.paste((255, 255, 255), (120, 45, 180, 105))  # a square, which must stay one
    ring.save(tmp_path / "square.png")
    white = render_backdrop(_picture(tmp_path / "square.png"), (100, 100))[..., 0] > 128
    assert white.any(axis=0).sum() == white.any(axis=1).sum() == 40


def test_a_picture_on_its_side_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(_halves((200, 100))).save(tmp_path / "side.png", exif=exif)
    backdrop = render_backdrop(_picture(tmp_path / "side.png"), (100, 200))
    assert np.all(backdrop[:95] == (200, 0, 0))
    assert np.all(backdrop[105:] == (0, 0, 200))


def test_what_is_transparent_in_a_picture_becomes_white(tmp_path: Path) -> None:
    Image.new("RGBA", (80, 80), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert np.all(render_backdrop(_picture(tmp_path / "clear.png"), (80, 80)) == 255)


def test_a_cmyk_picture_is_used(tmp_path: Path) -> None:
    Image.new("CMYK", (80, 80), (0, 255, 255, 0)).save(tmp_path / "print.jpg")
    red, green, blue = render_backdrop(_picture(tmp_path / "print.jpg"), (80, 80))[40, 40]
    assert red > 200
    assert max(green, blue) < 80


def test_a_picture_that_is_tiny_or_none_is_a_preset_error(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "icon.png")
    with pytest.raises(PresetError, match="only 32×32"):
        render_backdrop(_picture(tmp_path / "icon.png"), (100, 100))
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    with pytest.raises(PresetError, match=r"torn\.jpg cannot be used"):
        render_backdrop(_picture(tmp_path / "torn.jpg"), (100, 100))
    with pytest.raises(PresetError, match="cannot be read"):
        render_backdrop(_picture(tmp_path / "gone.jpg"), (100, 100))


def test_a_photo_in_srgb_gets_the_same_backdrop_as_one_without_a_profile() -> None:
    preset = _colour("#3366cc")
    plain, tagged = (render_backdrop(preset, (8, 8), icc) for icc in (None, _srgb_profile()))
    assert np.abs(plain.astype(int) - tagged).max() <= 1


def test_a_photo_in_another_colour_space_gets_a_backdrop_that_looks_the_same() -> None:
    # No second RGB profile comes with Pillow: sRGB with red and blue swapped is as good.
    swapped = _srgb_profile().replace(b"rXYZ", b"tmp_").replace(b"bXYZ", b"rXYZ")
    swapped = swapped.replace(b"tmp_", b"bXYZ")
    backdrop = render_backdrop(_colour("#3366cc"), (8, 8), swapped)
    assert np.abs(backdrop.astype(int) - (0xCC, 0x66, 0x33)).max() <= 2
    image = Image.fromarray(backdrop)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(swapped))
    seen = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))
    assert seen is not None
    assert np.abs(np.asarray(seen).astype(int) - (0x33, 0x66, 0xCC)).max() <= 2


def test_a_damaged_profile_counts_as_srgb() -> None:
    assert np.all(render_backdrop(_colour("#3366cc"), (8, 8), b"torn") == (0x33, 0x66, 0xCC))


def test_frames_that_are_alike_share_one_backdrop_which_nobody_can_paint_on() -> None:
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda _: render_backdrop(_colour("#123456"), (90, 60)), range(32)))
    assert all(each is drawn[0] for each in drawn)
    with pytest.raises(ValueError, match="read-only"):
        drawn[0][0, 0] = 0


def test_another_size_is_another_backdrop() -> None:
    assert render_backdrop(_colour("#123456"), (91, 60)).shape == (60, 91, 3)


def test_a_preset_without_backdrop_has_none_to_draw() -> None:
    with pytest.raises(ValueError, match="no backdrop"):
        render_backdrop(load_preset("transparent"), (10, 10))
