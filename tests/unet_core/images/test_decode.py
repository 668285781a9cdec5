"""What ``decode`` makes of every odd form of a good picture."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from unet_core import images

Pixels = npt.NDArray[np.uint8]
ORIENTATION = 0x0112

# What a viewer has to do with the stored picture, in numpy's words (EXIF 2.32, table 6).
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


def picture(height: int = 32, width: int = 48) -> Pixels:
    """Smooth, and different in every channel, row and column."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (x * 255 // width, y * 255 // height, (x + 2 * y) % 200)
    return np.stack(channels, axis=-1).astype(np.uint8)


def write(path: Path, image: Image.Image | Pixels, form: str = "PNG", **options: Any) -> Path:
    opened = image if isinstance(image, Image.Image) else Image.fromarray(image)
    opened.save(path, form, **options)
    return path


def oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_a_lossless_rgb_picture_keeps_every_bit(tmp_path: Path, form: str) -> None:
    photo = images.decode(write(tmp_path / "a", picture(), form))
    np.testing.assert_array_equal(photo.pixels, picture())
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.flags.c_contiguous and photo.pixels.flags.writeable
    assert photo.alpha is None and photo.icc is None and photo.exif is None


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF", "MPO"])
def test_a_lossy_picture_comes_close_to_its_source(tmp_path: Path, form: str) -> None:
    pixels = images.decode(write(tmp_path / "a", picture(), form, quality=95)).pixels
    assert pixels.shape == (32, 48, 3)
    assert np.abs(pixels.astype(int) - picture()).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_every_exif_orientation_is_applied(tmp_path: Path, form: str, orientation: int) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    path = write(tmp_path / "a", picture(), form, exif=oriented(orientation), **options)
    np.testing.assert_array_equal(images.decode(path).pixels, UPRIGHT[orientation](picture()))


@pytest.mark.parametrize("orientation", [0, 9, 77, 65535])
def test_a_nonsense_orientation_is_ignored(tmp_path: Path, orientation: int) -> None:
    path = write(tmp_path / "a", picture(), exif=oriented(orientation))
    np.testing.assert_array_equal(images.decode(path).pixels, picture())


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"", b"II", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\xff"])
def test_broken_exif_costs_the_exif_and_not_the_photo(tmp_path: Path, exif: bytes) -> None:
    path = write(tmp_path / "a.jpg", picture(), "JPEG", exif=b"Exif\0\0" + exif)
    photo = images.decode(path)
    assert photo.pixels.shape == (32, 48, 3)
    assert photo.exif is None


def test_exif_is_carried_with_orientation_one_into_every_output(tmp_path: Path) -> None:
    exif = oriented(6)
    exif[0x0110] = "Camera X"
    exif.get_ifd(0x8769)[0x829A] = 0.005
    for form in ("JPEG", "PNG", "TIFF", "WEBP"):
        photo = images.decode(write(tmp_path / form, picture(), form, exif=exif.tobytes()))
        for encode in (images.encode_jpeg, images.encode_png, images.encode_webp):
            encoded = Image.open(io.BytesIO(encode(photo.pixels, exif=photo.exif)))
            assert encoded.getexif()[0x0110] == "Camera X"
            assert encoded.getexif().get(ORIENTATION, 1) == 1
            assert encoded.getexif().get_ifd(0x8769)[0x829A] == pytest.approx(0.005)


def test_exif_of_a_tiff_says_nothing_about_how_the_file_was_laid_out(tmp_path: Path) -> None:
    exif = oriented(1)
    exif[0x0110] = "Camera X"
    photo = images.decode(write(tmp_path / "a.tif", picture(), "TIFF", exif=exif))
    loaded = Image.Exif()
    loaded.load(photo.exif or b"")
    assert dict(loaded) == {0x0110: "Camera X"}


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_scaled_and_not_clipped(
    tmp_path: Path, suffix: str, channels: int
) -> None:
    deep = np.linspace(0, 65535, 32 * 48 * channels).astype(np.uint16).reshape(32, 48, channels)
    path = tmp_path / f"deep{suffix}"
    path.write_bytes(bytes(cv2.imencode(suffix, deep)[1].data))
    photo = images.decode(path)
    shallow = (deep >> 8).astype(np.uint8)
    rgb = np.repeat(shallow, 3, axis=2) if channels == 1 else shallow[..., 2::-1]  # cv2 is BGR
    np.testing.assert_array_equal(photo.pixels, rgb)
    assert (photo.alpha is not None) == (channels == 4)


def test_a_big_endian_sixteen_bit_tiff_is_read_like_a_little_endian_one(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 32 * 48).astype(">u2").reshape(32, 48)
    path = write(tmp_path / "a.tif", Image.frombytes("I;16B", (48, 32), deep.tobytes()), "TIFF")
    np.testing.assert_array_equal(images.decode(path).pixels[..., 1], deep >> 8)


def grey_tiff(levels: npt.NDArray[np.uint16], *, bits: int, photometric: int) -> bytes:
    """An uncompressed little-endian TIFF with one strip; 12-bit levels lie two in three bytes."""
    height, width = levels.shape
    if bits == 12:
        first, second = levels[:, ::2].astype(int), levels[:, 1::2].astype(int)
        packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1)
        data = packed.astype(np.uint8).tobytes()
    else:
        data = levels.astype("<u2").tobytes()
    tags = {
        256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1,
        278: height, 279: len(data),
    }  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + directory


@pytest.mark.parametrize(("bits", "photometric"), [(12, 1), (16, 1), (16, 0)])
def test_grey_levels_of_a_tiff_are_what_its_tags_say(
    tmp_path: Path, bits: int, photometric: int
) -> None:
    shades = np.linspace(0, 255, 32 * 48).astype(np.uint8).reshape(32, 48)
    deep = shades.astype(np.uint16) << bits - 8
    levels = deep if photometric else np.invert(deep)  # 0 is white
    path = tmp_path / "scan.tif"
    path.write_bytes(grey_tiff(levels, bits=bits, photometric=photometric))
    np.testing.assert_array_equal(images.decode(path).pixels[..., 0], shades)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_a_tiff_with_32_bits_a_channel_is_named_unsupported(tmp_path: Path, mode: str) -> None:
    path = write(tmp_path / "a.tif", Image.new(mode, (32, 32), 1), "TIFF")
    with pytest.raises(images.UnsupportedImage) as caught:
        images.decode(path)
    assert caught.value.code == "unsupported-format"


def test_a_float_rgb_tiff_is_named_unsupported(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(bytes(cv2.imencode(".tiff", np.ones((32, 32, 3), np.float32))[1].data))
    with pytest.raises(images.UnsupportedImage) as caught:
        images.decode(path)
    assert caught.value.code == "unsupported-format"


def test_a_palette_picture_takes_its_colours_and_its_transparent_index(tmp_path: Path) -> None:
    image = Image.fromarray((picture()[..., 0] // 64), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    photo = images.decode(write(tmp_path / "a.png", image, transparency=1))
    index = picture()[..., 0] // 64
    palette = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
    np.testing.assert_array_equal(photo.pixels, palette[index])
    np.testing.assert_array_equal(photo.alpha, np.where(index == 1, 0, 255))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_kept_beside_the_full_colours(tmp_path: Path, mode: str) -> None:
    alpha = picture()[..., 2]
    image = Image.fromarray(picture()).convert(mode)
    image.putalpha(Image.fromarray(alpha))
    photo = images.decode(write(tmp_path / "a.png", image))
    np.testing.assert_array_equal(photo.alpha, alpha)
    np.testing.assert_array_equal(photo.pixels, np.array(image.convert("RGB")))


def test_on_white_a_transparent_photo_is_mixed_as_a_camera_mixes(tmp_path: Path) -> None:
    alpha = np.tile(np.arange(256, dtype=np.uint8), (32, 1))
    colours = np.full((32, 256, 3), (0, 100, 255), np.uint8)
    image = Image.fromarray(np.dstack([colours, alpha]))
    photo = images.decode(write(tmp_path / "a.png", image))
    mixed = 255 + (colours.astype(float) - 255) * alpha[..., None] / 255
    np.testing.assert_array_equal(photo.on_white().pixels, np.rint(mixed))
    np.testing.assert_array_equal(photo.on_white().alpha, alpha)
    plain = images.decode(write(tmp_path / "b.png", Image.fromarray(colours)))
    assert plain.on_white() is plain


def test_an_alpha_that_is_opaque_throughout_counts_as_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(picture()).convert("RGBA"))
    assert images.decode(path).alpha is None


def test_alpha_is_turned_upright_with_the_colours(tmp_path: Path) -> None:
    image = Image.fromarray(np.dstack([picture(), picture()[..., 2]]))
    photo = images.decode(write(tmp_path / "a.png", image, exif=oriented(6)))
    np.testing.assert_array_equal(photo.alpha, np.rot90(picture()[..., 2], -1))


def test_a_one_bit_picture_becomes_black_and_white(tmp_path: Path) -> None:
    bits = picture()[..., 0] > 99
    photo = images.decode(write(tmp_path / "a.png", Image.fromarray(bits)))
    np.testing.assert_array_equal(photo.pixels, np.repeat(bits[..., None] * 255, 3, axis=2))


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_counts(tmp_path: Path, form: str) -> None:
    red, blue = (Image.new("RGB", (32, 32), colour) for colour in ("red", "blue"))
    path = write(tmp_path / "a", red, form, save_all=True, append_images=[blue, blue])
    np.testing.assert_allclose(images.decode(path).pixels[16, 16], (255, 0, 0), atol=3)


def test_a_multi_picture_camera_file_gives_its_first_picture(tmp_path: Path) -> None:
    red, blue = (Image.new("RGB", (32, 32), colour) for colour in ("red", "blue"))
    path = write(tmp_path / "a.jpg", red, "MPO", save_all=True, append_images=[blue])
    np.testing.assert_allclose(images.decode(path).pixels[16, 16], (255, 0, 0), atol=3)


@pytest.mark.parametrize(
    "name",
    ["with space.jpg", "new\nline.jpg", "🚗.JPG", "-rf.jpg", "ü" * 100, "no suffix", "a.txt"],
)
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, picture())  # a PNG, whatever the name says
    np.testing.assert_array_equal(images.decode(path).pixels, picture())


def test_heic_photos_are_read_with_their_orientation_applied_once(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    source = heif.from_pillow(Image.fromarray(picture(64, 96)))
    source.save(tmp_path / "a.jpg", quality=95, exif=oriented(6).tobytes())
    photo = images.decode(tmp_path / "a.jpg")
    expected = np.rot90(picture(64, 96), -1)
    assert photo.pixels.shape == expected.shape
    assert np.abs(photo.pixels.astype(int) - expected).mean() < 6
    carried = Image.open(io.BytesIO(images.encode_jpeg(photo.pixels, exif=photo.exif)))
    assert carried.getexif()[ORIENTATION] == 1


def test_many_threads_decode_at_once_without_mixing(tmp_path: Path) -> None:
    paths = []
    for number, form in enumerate(["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"] * 4):
        shifted = np.roll(picture(64, 64), number, axis=1)
        paths.append(write(tmp_path / f"{number}", shifted, form))
    alone = [images.decode(path).pixels for path in paths]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda path: images.decode(path).pixels, paths))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_importing_the_module_brings_no_torch_and_no_opencv() -> None:
    code = "import sys, unet_core.images; print({'torch', 'cv2'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(Path(images.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert done.stdout.strip() == b"set()", done.stderr


def header_only_png(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(header_only_png(2_000_000, 2_000_000))
    with pytest.raises(images.ImageTooLarge) as caught:
        images.decode(path)
    assert caught.value.code == "too-large"
    assert "2,000,000" in str(caught.value) and "200 million" in str(caught.value)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "AVIF"])
def test_the_pixel_limit_holds_for_every_format(tmp_path: Path, form: str) -> None:
    path = write(tmp_path / "a", picture(), form)
    assert images.decode(path, max_pixels=32 * 48).pixels.shape == (32, 48, 3)
    with pytest.raises(images.ImageTooLarge):
        images.decode(path, max_pixels=32 * 48 - 1)


@pytest.mark.parametrize("size", [(1, 1), (15, 400), (400, 15), (30000, 1)])
def test_a_side_under_sixteen_pixels_is_too_small(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(images.ImageTooSmall) as caught:
        images.decode(write(tmp_path / "a.png", Image.new("RGB", size)))
    assert caught.value.code == "too-small"
    assert f"{size[0]}×{size[1]}" in str(caught.value)
