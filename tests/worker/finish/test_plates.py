from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from worker.errors import PlateError
from worker.finish.plates import Plates

SHAPE = (40, 60, 3)


def plate(folder: Path, name: str, level: int, size: tuple[int, int] = (60, 40)) -> None:
    folder.mkdir(exist_ok=True)
    Image.new("RGB", size, (level,) * 3).save(folder / name)


def test_without_a_folder_there_are_no_plates(tmp_path: Path) -> None:
    assert Plates().of(1, SHAPE) is None
    assert Plates(tmp_path / "plate").of(1, SHAPE) is None


def test_a_single_plate_serves_every_angle(tmp_path: Path) -> None:
    plate(tmp_path, "empty_01.png", 200)
    plates = Plates(tmp_path)
    for angle in (1, 7):
        found = plates.of(angle, SHAPE)
        assert found is not None
        assert (found == 200).all()


def test_what_finder_leaves_beside_a_plate_is_none(tmp_path: Path) -> None:
    plate(tmp_path, "DSC_0042.png", 200)
    (tmp_path / "._DSC_0042.png").write_bytes(b"Mac OS X")
    assert Plates(tmp_path).of(1, SHAPE) is not None


def test_no_more_than_two_plates_lie_in_memory(tmp_path: Path) -> None:
    for angle in range(1, 17):
        plate(tmp_path, f"booth_{angle:02}.png", angle)
    plates = Plates(tmp_path)
    for angle in [*range(1, 17), 1]:
        found = plates.of(angle, SHAPE)
        assert found is not None and (found == angle).all()
        assert len(plates._kept) <= 2


def test_plates_by_number_serve_their_angle_and_an_unnumbered_one_the_rest(tmp_path: Path) -> None:
    for name, level in (("booth_01.png", 10), ("booth_02.png", 20), ("booth.png", 99)):
        plate(tmp_path, name, level)
    plates = Plates(tmp_path)
    found = [plates.of(angle, SHAPE) for angle in (1, 2, 3)]
    assert [int(each[0, 0, 0]) for each in found if each is not None] == [10, 20, 99]


def test_a_plate_of_the_same_view_at_another_size_is_resized(tmp_path: Path) -> None:
    plate(tmp_path, "empty.png", 50, (120, 80))
    found = Plates(tmp_path).of(1, SHAPE)
    assert found is not None
    assert found.shape == SHAPE


def test_a_plate_of_another_shape_is_refused_by_name(tmp_path: Path) -> None:
    plate(tmp_path, "empty.png", 50, (40, 60))
    with pytest.raises(PlateError, match=r"empty\.png is 40×60, the photo 60×40"):
        Plates(tmp_path).of(1, SHAPE)


def test_a_plate_that_is_no_picture_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"nothing")
    with pytest.raises(PlateError, match=r"empty\.jpg cannot be used"):
        Plates(tmp_path).of(1, SHAPE)


def test_what_is_no_photo_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("booth 3")
    plate(tmp_path, "empty.png", 50)
    found = Plates(tmp_path).of(1, SHAPE)
    assert found is not None
    assert np.all(found == 50)
