"""What a corrected mask may be, and in which words others are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.carvana import disc
from unet_core.images import read_mask
from worker.corrections.check import Known, read_correction
from worker.errors import CorrectionError

Pixels = NDArray[np.uint8]
HEIGHT, WIDTH = 64, 96


def car(x: float = 48, *, height: int = HEIGHT, width: int = WIDTH, radius: float = 18) -> Pixels:
    scale = height / HEIGHT
    return disc(height, width, centre=(32 * scale, x * scale), radius=radius * scale)


def saved(folder: Path, name: str, picture: Image.Image) -> Path:
    picture.save(folder / name)
    return folder / name


@pytest.fixture
def known(tmp_path: Path) -> Known:
    """A frame whose mask is at hand, and another frame of its shoot."""
    (tmp_path / "masks").mkdir()
    own = saved(tmp_path / "masks", "01.png", Image.fromarray(car()))
    other = saved(tmp_path / "masks", "02.png", Image.fromarray(car(58)))
    return Known(WIDTH, HEIGHT, own, {"02": other})


def in_alpha(mask: Pixels) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (*mask.shape, 3), dtype=np.uint8)
    return Image.fromarray(np.dstack([noise, mask]))


@pytest.mark.parametrize(
    "exported",
    [
        Image.fromarray,
        lambda mask: Image.fromarray(np.uint8(mask >= 128)),
        lambda mask: Image.fromarray(mask >= 128),
        lambda mask: Image.fromarray(mask).convert("RGB"),
        lambda mask: Image.fromarray(mask).convert("RGBA"),
        lambda mask: Image.fromarray(np.uint16(mask) * 257),
        in_alpha,
    ],
    ids=["soft", "0 and 1", "1 bit", "RGB", "opaque RGBA", "16 bit", "alpha channel"],
)
def test_a_mask_is_read_however_it_was_exported(
    tmp_path: Path, known: Known, exported: Callable[[Pixels], Image.Image]
) -> None:
    path = saved(tmp_path, "01.png", exported(car(radius=19)))
    found = read_correction(path, known)
    assert (found.shape, found.dtype) == ((HEIGHT, WIDTH), np.uint8)
    assert ((found >= 128) == (car(radius=19) >= 128)).all()


@pytest.mark.parametrize("height", [32, 128, 63])
def test_a_mask_of_another_size_and_the_same_shape_is_read_as_it_is(
    tmp_path: Path, known: Known, height: int
) -> None:
    width = round(height * WIDTH / HEIGHT)
    path = saved(tmp_path, "01.png", Image.fromarray(car(height=height, width=width)))
    assert read_correction(path, known).shape == (height, width)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (car(height=64, width=64), r"64×64 and its photo 96×64.*not the same shape"),
        (np.rot90(car()), r"64×96 and its photo 96×64"),
        (car(height=14, width=21), r"21×14, too small"),
        (np.zeros((HEIGHT, WIDTH), np.uint8), "is empty"),
        (np.full((HEIGHT, WIDTH), 255, np.uint8), "is full"),
        (255 - car(), "is inverted.*Export it with the car white"),
        (np.full((HEIGHT, WIDTH), 100, np.uint8) + car() // 4, "is grey on"),
        (car(58), r"is the mask of the frame 02 .*Name it 02\.png"),
        (car(12, radius=10), r"something quite different.*another car's\?"),
    ],
    ids=["cropped", "turned", "tiny", "empty", "full", "inverted", "photo", "sibling", "stranger"],
)
def test_what_is_no_mask_of_the_frame_is_refused_in_words(
    tmp_path: Path, known: Known, mask: Pixels, words: str
) -> None:
    path = saved(tmp_path, "01.png", Image.fromarray(np.ascontiguousarray(mask)))
    with pytest.raises(CorrectionError, match=words):
        read_correction(path, known)


def test_grey_that_was_delivered_is_no_fault_of_who_corrects_another_place(
    tmp_path: Path, known: Known
) -> None:
    unsure = car()
    unsure[28:36, 44:52] = 140  # inside of the car
    assert known.own
    Image.fromarray(unsure).save(known.own)
    corrected = unsure.copy()
    corrected[20:26, 40:46] = 0
    path = saved(tmp_path, "01.png", Image.fromarray(corrected))
    assert (read_correction(path, known) == corrected).all()
    with pytest.raises(CorrectionError, match="is grey on"):
        read_correction(path, Known(WIDTH, HEIGHT))


def test_a_file_that_is_no_picture_or_cut_off_is_refused(tmp_path: Path, known: Known) -> None:
    whole = saved(tmp_path, "01.png", Image.fromarray(car())).read_bytes()
    for content, words in ((b"no picture", "is not a picture"), (whole[:-20], "ends before")):
        (tmp_path / "01.png").write_bytes(content)
        with pytest.raises(CorrectionError, match=words):
            read_correction(tmp_path / "01.png", known)


def test_a_frame_in_which_nothing_was_found_can_be_given_any_car(
    tmp_path: Path, known: Known
) -> None:
    assert known.own
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(known.own)
    path = saved(tmp_path, "01.png", Image.fromarray(car(12, radius=10)))
    assert read_correction(path, known).any()


def test_without_an_edition_a_mask_that_fills_the_border_is_inverted(tmp_path: Path) -> None:
    path = saved(tmp_path, "01.png", Image.fromarray(255 - car()))
    with pytest.raises(CorrectionError, match="is inverted"):
        read_correction(path, Known(WIDTH, HEIGHT))


def test_a_mask_that_was_made_anew_is_compared_as_it_is_now(tmp_path: Path, known: Known) -> None:
    path = saved(tmp_path, "01.png", Image.fromarray(car(radius=17)))
    assert read_correction(path, known).any()
    assert known.own
    Image.fromarray(car(12, radius=10)).save(known.own)
    with pytest.raises(CorrectionError, match="something quite different"):
        read_correction(path, known)


def test_masks_of_the_edition_are_read_once_for_all_corrections_of_a_shoot(
    tmp_path: Path, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def noting(path: Path) -> Pixels:
        read.append(path.parent.name)
        return read_mask(path)

    monkeypatch.setattr("worker.corrections.check.read_mask", noting)
    path = saved(tmp_path, "01.png", Image.fromarray(car(50, radius=16)))  # unlike enough
    for _ in range(3):
        read_correction(path, known)
    assert read.count("masks") == 2
    assert len(read) == 5
