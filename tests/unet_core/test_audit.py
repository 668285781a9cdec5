"""The audit: what would spoil or stop a training is named before it starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.carvana import disc, write_cars
from unet_core.audit import audit, wrong_mask
from unet_core.data import DataError, find_pairs

Picture = NDArray[np.uint8]
SIZE = (64, 96)
DISC = disc(256, 384, centre=(128, 192), radius=80)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_cars(tmp_path, ["a", "b"], frames=3, size=SIZE)


def write_mask(data: Path, levels: Picture) -> None:
    """Gives the second frame of car a mask in which level 0 to 255 is just that."""
    (data / "train_masks" / "a_02_mask.gif").unlink()
    Image.fromarray(levels).save(data / "train_masks" / "a_02_mask.png")


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def test_a_good_folder_has_no_problem_and_every_pair(data: Path) -> None:
    calls: list[tuple[int, int]] = []

    found = audit(data, rendered=True, on_file=lambda done, total: calls.append((done, total)))

    assert found.pairs == find_pairs(data, rendered=True)
    assert found.usable("strict") == found.usable("skip") == found.pairs
    assert found.problems == []
    assert calls == [(2 * pair, 12) for pair in range(1, 7)]


SPOIL: dict[str, tuple[Callable[[Path], object], str]] = {
    "inverted": (
        lambda data: write_mask(data, 255 - disc(*SIZE, centre=(32, 48), radius=20)),
        r"train_masks/a_02_mask\.png is inverted: .*; exchange subject and background",
    ),
    "no mask": (
        lambda data: (data / "train_masks/a_02_mask.gif").unlink(),
        r"train/a_02\.jpg has no mask; add train_masks/a_02_mask\.gif",
    ),
    "no picture": (
        lambda data: (data / "train/a_02.jpg").unlink(),
        r"train_masks/a_02_mask\.gif is a mask without a picture; add train/a_02\.jpg",
    ),
    "truncated picture": (
        lambda data: cut(data / "train/a_02.jpg", 700),
        r"train/a_02\.jpg ends before the picture does .*; copy it again",
    ),
    "truncated mask": (
        lambda data: cut(data / "train_masks/a_02_mask.gif", 60),
        r"train_masks/a_02_mask\.gif .*; export or draw the mask again",
    ),
    "zero bytes": (
        lambda data: cut(data / "train/a_02.jpg", 0),
        r"train/a_02\.jpg is empty \(0 bytes\); copy it again",
    ),
    "mask of zero bytes": (
        lambda data: cut(data / "train_masks/a_02_mask.gif", 0),
        r"train_masks/a_02_mask\.gif is empty \(0 bytes\); export",
    ),
    "no picture at all": (
        lambda data: (data / "train/a_02.jpg").write_text("<html>not found</html>"),
        r"train/a_02\.jpg is not a picture",
    ),
    "a folder": (
        lambda data: ((data / "train/a_02.jpg").unlink(), (data / "train/a_02.jpg").mkdir()),
        r"train/a_02\.jpg is not a picture: a folder",
    ),
    "another size": (
        lambda data: write_mask(data, disc(63, 96, centre=(30, 50), radius=15)),
        r"a_02_mask\.png is 96×63 px, its picture a_02\.jpg 96×64 px upright; draw it again",
    ),
    "a photo as mask": (
        lambda data: write_mask(
            data, np.random.default_rng(1).integers(0, 256, SIZE, dtype=np.uint8)
        ),
        r"a_02_mask\.png is grey on 8.*%.* \(256 levels from 0 to 255\); draw .*two levels",
    ),
    "an empty mask": (
        lambda data: write_mask(data, np.zeros(SIZE, np.uint8)),
        r"a_02_mask\.png is empty: .*; draw the subject",
    ),
    "a full mask": (
        lambda data: write_mask(data, np.full(SIZE, 255, np.uint8)),
        r"a_02_mask\.png is full: .*; draw the background",
    ),
    "two pictures": (
        lambda data: (data / "train/a_02.png").touch(),
        r"train/a_02\.png shares its name with a_02\.jpg",
    ),
}


@pytest.mark.parametrize("spoil", SPOIL)
def test_one_bad_file_in_the_middle_is_named_with_its_cure_and_costs_one_pair(
    data: Path, spoil: str
) -> None:
    spoiling, expected = SPOIL[spoil]
    spoiling(data)

    found = audit(data)

    assert [pair.image.stem for pair in found.pairs] == ["a_01", "a_03", "b_01", "b_02", "b_03"]
    with pytest.raises(DataError, match=rf"(?s){data}: 1 file cannot be trained on.*{expected}"):
        found.usable("strict")
    assert found.usable("skip") == found.pairs


def test_a_name_without_an_angle_costs_its_pair(data: Path) -> None:
    (data / "train/a_02.jpg").rename(data / "train/a_front.jpg")
    (data / "train_masks/a_02_mask.gif").rename(data / "train_masks/a_front_mask.gif")

    found = audit(data)

    assert [problem.file.name for problem in found.problems] == ["a_front.jpg"]


def test_both_files_of_a_pair_are_named(data: Path) -> None:
    cut(data / "train/b_01.jpg", 0)
    cut(data / "train_masks/b_01_mask.gif", 0)

    names = [problem.file.name for problem in audit(data).problems]

    assert names == ["b_01.jpg", "b_01_mask.gif"]


def test_nothing_left_is_refused_even_when_problems_are_skipped(data: Path) -> None:
    for photo in (data / "train").iterdir():
        cut(photo, 0)

    with pytest.raises(DataError, match=r"6 files cannot(.|\n)*and 1 more"):
        audit(data).usable("skip")


def test_a_folder_without_the_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Carvana layout"):
        audit(tmp_path)


def jpeg(mask: Picture, quality: int) -> Picture:
    data = cv2.imencode(".jpg", mask, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


GOOD_MASKS = {
    "two levels": np.where(DISC >= 128, np.uint8(255), np.uint8(0)),
    "a soft edge": DISC,
    "reduced by area": np.asarray(cv2.resize(DISC, (201, 134), interpolation=cv2.INTER_AREA)),
    "saved as JPEG": jpeg(DISC, 90),
    "cut off at the border": disc(256, 384, centre=(128, 380), radius=80),
    "a few stray pixels": np.where(np.arange(DISC.size).reshape(DISC.shape) < 90, 128, DISC),
}


@pytest.mark.parametrize("name", GOOD_MASKS)
def test_a_mask_may_be_soft_along_its_edge(name: str) -> None:
    assert wrong_mask(np.asarray(GOOD_MASKS[name], np.uint8)) is None


def with_window(level: int) -> Picture:
    return np.where(disc(256, 384, centre=(120, 190), radius=30) > 0, np.uint8(level), DISC)


JUNK_MASKS = {
    "subject at 100 of 255": (DISC // 255) * np.uint8(100),
    "subject at 200 of 255": (DISC // 255) * np.uint8(200),
    "half-transparent windows": with_window(128),
    "three labels": with_window(90),
    "a wide blur": cv2.GaussianBlur(DISC, (0, 0), 12),
    "a gradient": np.tile(np.linspace(0, 255, 384).astype(np.uint8), (256, 1)),
    "noise": np.random.default_rng(3).integers(0, 256, (256, 384)),
}


@pytest.mark.parametrize("name", JUNK_MASKS)
def test_grey_away_from_the_edge_is_junk(name: str) -> None:
    found = wrong_mask(np.asarray(JUNK_MASKS[name], np.uint8))

    assert found
    assert found[0].startswith("is grey on ")


def test_labels_that_count_beyond_one_are_not_taken_for_subject() -> None:
    found = wrong_mask(np.where(DISC >= 128, np.uint8(2), np.uint8(1)))

    assert found
    assert "2 levels from 1 to 2" in found[0]


def test_a_speck_is_no_subject() -> None:
    assert wrong_mask(disc(256, 384, centre=(9, 9), radius=3)) is not None
