"""Files that are broken, half written, or no pictures: what is said of them, and by whom."""

from __future__ import annotations

import io
import os
import pickle
import random
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from unet_core import images


def noise(size: int = 64) -> Image.Image:
    pixels = np.random.default_rng(7).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(form: str, image: Image.Image | None = None, **options: Any) -> bytes:
    image = image or noise()
    file = io.BytesIO()
    if form == "HEIC":
        heif = pytest.importorskip("pillow_heif")
        heif.from_pillow(image).save(file, **options)
    else:
        image.save(file, form, **options)
    return file.getvalue()


FORMS: list[tuple[str, dict[str, Any]]] = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("GIF", {}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ("AVIF", {}),
    ("HEIC", {}),
]
each_form = pytest.mark.parametrize(
    ("form", "options"), FORMS, ids=[" ".join(map(str, (f, *o.values()))) for f, o in FORMS]
)


def error_of(path: Path, data: bytes | None = None) -> images.ImageError:
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(images.ImageError) as caught:
        images.decode(path)
    error = caught.value
    assert error.cure and str(error).endswith(error.cure)
    assert "\n" not in str(error)
    return error


@each_form
def test_a_whole_file_is_complete_and_decodes(
    tmp_path: Path, form: str, options: dict[str, Any]
) -> None:
    path = tmp_path / "a"
    path.write_bytes(encoded(form, **options))
    assert images.decode(path).pixels.shape == (64, 64, 3)
    assert images.check_complete(path)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of half a tag directory
@each_form
def test_a_file_cut_anywhere_is_truncated(
    tmp_path: Path, form: str, options: dict[str, Any]
) -> None:
    data, path = encoded(form, **options), tmp_path / "a.jpg"
    cuts = {1, 2, 3, 5, 9, 11, 13, 20, 40, 100, 300, *range(600, len(data) - 1, len(data) // 15)}
    for cut in sorted(cuts | {len(data) - 1, len(data) - 2}):
        if form == "GIF" and cut > len(data) - 4:
            continue  # only the trailer is missing, the picture is all there
        error = error_of(path, data[:cut])
        assert (error.code, type(error)) == ("truncated", images.UnreadableImage), cut
        assert not images.check_complete(path), cut


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@each_form
def test_a_reserved_size_still_filled_with_zeros_is_truncated(
    tmp_path: Path, form: str, options: dict[str, Any]
) -> None:
    if form in ("BMP", "TIFF") and not options:
        pytest.skip("zeros are black pixels in a format without compression")
    data, path = encoded(form, noise(128), **options), tmp_path / "a.jpg"
    for done in (0, 2, 200, len(data) // 3, len(data) * 3 // 4):
        error = error_of(path, data[:done] + bytes(len(data) - done))
        assert error.code == "truncated", done
        assert not images.check_complete(path), done


@each_form
def test_bytes_after_the_end_do_no_harm(tmp_path: Path, form: str, options: dict[str, Any]) -> None:
    if form in ("AVIF", "HEIC"):
        pytest.skip("boxes fill the file to its end")
    path = tmp_path / "a"
    path.write_bytes(encoded(form, **options) + b"appended by the camera" + bytes(64))
    assert images.decode(path).pixels.shape == (64, 64, 3)
    assert images.check_complete(path)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@each_form
def test_damage_gives_a_photo_or_an_image_error_and_nothing_else(
    tmp_path: Path, form: str, options: dict[str, Any]
) -> None:
    data, path, chance = encoded(form, **options), tmp_path / "a", random.Random(form)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(chance.choice((1, 3, 30))):
            reach = chance.choice((64, 700, len(data)))
            damaged[chance.randrange(min(reach, len(data)))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            assert images.decode(path, max_pixels=10_000_000).pixels.ndim == 3
        except images.ImageError as error:
            assert error.code and error.cure
        assert images.check_complete(path) in (True, False)


def test_a_jpeg_with_a_false_mark_in_its_scan_is_corrupt_and_never_half_grey(
    tmp_path: Path,
) -> None:
    data = bytearray(encoded("JPEG"))
    data[len(data) // 2 : len(data) // 2 + 2] = b"\xff\x3a"
    assert error_of(tmp_path / "a.jpg", bytes(data)).code == "corrupt"
    assert images.check_complete(tmp_path / "a.jpg")


def test_a_png_with_one_flipped_bit_in_its_pixels_is_corrupt(tmp_path: Path) -> None:
    data = bytearray(encoded("PNG"))
    data[len(data) // 2] ^= 4
    assert error_of(tmp_path / "a.png", bytes(data)).code == "corrupt"


def test_a_jpeg_whose_scan_never_ends_is_truncated_although_its_size_is_right(
    tmp_path: Path,
) -> None:
    data = encoded("JPEG")
    assert error_of(tmp_path / "a.jpg", data[:-600] + b"\x55" * 600).code == "truncated"


def test_a_jpeg_with_restart_marks_and_a_thumbnail_is_whole(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a thumbnail: \xff\xd9"
    plain = encoded("JPEG", restart_marker_blocks=1, exif=exif)
    path = tmp_path / "a.jpg"
    path.write_bytes(plain)
    assert b"\xff\xd0" in plain and images.check_complete(path)
    assert images.decode(path).pixels.shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty-file"),
        (b"Dear studio, the car is red.", "not-an-image"),
        (b"<!doctype html><title>Sign in</title>", "not-an-image"),
        (b"PK\x03\x04" + bytes(99), "not-an-image"),
        (b"BM but no bitmap at all, only text", "not-an-image"),
        (b"x", "not-an-image"),
        (bytes(5000), "truncated"),
        (b"8BPS\0\1" + bytes(99), "unsupported-format"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(99), "unsupported-format"),
        (b"%PDF-1.7\n", "unsupported-format"),
        (b"\xff\xd8\xff\xd9" * 9, "corrupt"),
        (b"\x89PNG\r\n\x1a\n" + b"nonsense" * 99, "truncated"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\1\1\2\3\4" + b"nonsense" * 99, "corrupt"),
    ],
)
def test_each_kind_of_non_photo_has_its_code(tmp_path: Path, data: bytes, code: str) -> None:
    path = tmp_path / "IMG 1.jpg"
    error = error_of(path, data)
    assert error.code == code
    assert "IMG 1.jpg" in str(error)
    assert images.check_complete(path) is (code not in ("empty-file", "truncated"))


def test_a_folder_in_place_of_a_file_is_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    assert error_of(tmp_path / "a.jpg").code == "not-an-image"
    assert images.check_complete(tmp_path / "a.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_not_an_image_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert error_of(tmp_path / "a.jpg").code == "not-an-image"


@pytest.mark.parametrize("name", ["gone.jpg", "gone\n.jpg", "no/such/folder.jpg", "nul\0.jpg"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    error = error_of(tmp_path / name)
    assert error.code == ("read-failed" if "\0" in name else "missing")


def test_check_complete_raises_oserror_for_a_vanished_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        images.check_complete(tmp_path / "gone.jpg")


def test_a_file_that_may_not_be_read_is_the_workers_to_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded("JPEG"))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root, who runs many CI jobs, may read anything
    assert error_of(path).code == "no-permission"
    assert images.check_complete(path)


def test_a_file_with_absurdly_many_bytes_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    path.write_bytes(encoded("BMP"))
    os.truncate(path, 1 << 40)  # a sparse file: no disk is used
    error = error_of(path)
    assert isinstance(error, images.ImageTooLarge) and error.code == "too-large"


@pytest.mark.parametrize(("side", "code"), [(50_000, "too-large"), (7_100, "truncated")])
def test_whether_a_very_large_file_is_whole_is_left_to_time(
    tmp_path: Path, side: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    data = cv2.imencode(".bmp", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    path.write_bytes(data[:18] + side.to_bytes(4, "little") * 2 + data[26:])
    assert error_of(path).code == code
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    assert not images.check_complete(path)


def test_memory_that_runs_out_is_told_as_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(_: ImageFile.ImageFile) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", exhausted)
    (tmp_path / "a").write_bytes(encoded("BMP"))
    assert error_of(tmp_path / "a").code == "too-large"


def test_a_heic_photo_without_the_extra_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded("HEIC")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    error = error_of(tmp_path / "a.heic", data)
    assert (error.code, type(error)) == ("needs-heic", images.UnsupportedImage)
    assert "pip install pillow-heif" in error.cure
    assert images.check_complete(tmp_path / "a.heic")


def test_read_mask_raises_the_same_errors(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(encoded("PNG")[:-20])
    with pytest.raises(images.UnreadableImage) as caught:
        images.read_mask(path)
    assert caught.value.code == "truncated"


def test_errors_keep_their_cause_and_survive_the_way_between_processes(tmp_path: Path) -> None:
    error = error_of(tmp_path / "a.gif", encoded("GIF")[:700])
    assert error.__cause__ is not None
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.code) == (type(error), str(error), error.code)
