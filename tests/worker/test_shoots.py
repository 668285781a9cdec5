from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.shoots import (
    Source,
    frames,
    group,
    odd_angles,
    output_names,
    shoot_of,
    turn_remarks,
)

STEMS = st.one_of(
    st.sampled_from(["a", "A", "a-png", "a-jpg-2", "contact-sheet", "ß", "ss", "É", "É", "J̌", "ǰ"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1),
    st.text("xX", min_size=100, max_size=300),
    st.just("é" * 126),
)
PATHS = st.builds(
    lambda stem, suffix: f"car/{stem}{suffix}", STEMS, st.sampled_from([".jpg", ".JPG", ".png"])
)


def source(path: str) -> Source:
    return Source(path, 1, 1)


def folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


@pytest.mark.parametrize(
    ("path", "shoot"),
    [
        ("car/01.jpg", "car"),
        ("red car/IMG_0007.JPG", "red car"),
        ("car_07.jpg", "car"),
        ("red_car_7.jpg", "red_car"),
        ("car.jpg", "car"),
        ("car07.jpg", "car07"),
        ("car_20240131.jpg", "car_20240131"),
        ("_01.jpg", "_01"),
    ],
)
def test_a_shoot_is_a_folder_or_what_loose_names_share_before_their_number(
    path: str, shoot: str
) -> None:
    assert shoot_of(path) == shoot


def test_a_single_photo_is_a_shoot_of_one() -> None:
    (shoot,) = group([source("car.jpg")])
    assert (shoot.name, len(shoot.frames), shoot.frames[0].angle) == ("car", 1, 1)


def test_shoots_come_by_name_and_a_folder_takes_in_loose_files_of_its_name() -> None:
    found = group(map(source, ["van/1.jpg", "car_2.jpg", "car/1.jpg"]))
    assert [(shoot.name, len(shoot.frames)) for shoot in found] == [("car", 2), ("van", 1)]


def test_angles_are_sorted_by_number_and_not_by_text() -> None:
    found = frames(map(source, ["car/10.jpg", "car/2.jpg", "car/1.jpg"]))
    assert [(frame.angle, frame.name) for frame in found] == [(1, "1"), (2, "2"), (10, "10")]


def test_the_number_at_the_end_of_a_camera_name_is_the_angle() -> None:
    found = frames(map(source, ["car/DSC-0010.jpg", "car/DSC-0009.jpg"]))
    assert [frame.angle for frame in found] == [9, 10]


def test_photos_without_a_number_follow_in_order_of_their_names() -> None:
    found = frames(map(source, ["car/rear.jpg", "car/front.jpg", "car/7.jpg"]))
    assert [(frame.name, frame.angle) for frame in found] == [("7", 7), ("front", 2), ("rear", 3)]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["car/a.jpg", "car/a.png"], ["a", "a-png"]),
        (["car/a.jpg", "car/A.jpg"], ["a", "A-jpg"]),
        (["car/caf\u00e9.jpg", "car/cafe\u0301.jpg"], ["caf\u00e9", "cafe\u0301-jpg"]),
        (["car/a.jpg", "car/a.png", "car/a.PNG"], ["a", "a-png", "a-png-2"]),
        (["car/a-png.jpg", "car/a.jpg", "car/a.png"], ["a-png", "a", "a-png-2"]),
        (["car/contact-sheet.jpg"], ["contact-sheet-jpg"]),
        (["car/Contact-Sheet.png"], ["Contact-Sheet-png"]),
    ],
)
def test_outputs_of_names_that_would_collide_stay_apart(paths: list[str], names: list[str]) -> None:
    assert list(output_names(paths).values()) == names


@given(st.lists(PATHS, unique=True, max_size=12))
def test_output_names_are_unique_on_any_file_system_and_always_the_same(paths: list[str]) -> None:
    names = output_names(paths)
    assert list(names) == paths
    assert len({folded(name) for name in names.values()} | {"contact-sheet"}) == len(paths) + 1
    assert all(len(f"{name}.webp".encode()) <= 255 for name in names.values())
    assert output_names(paths) == names


@pytest.mark.parametrize(
    "names",
    [
        ["DSC09998", "DSC09999", "DSC10000"],
        ["IMG_20240101_125958", "IMG_20240101_130001", "IMG_20240101_130010"],
        ["car_2", "car_10", "car_100"],
    ],
)
def test_frames_follow_their_numbers_however_long_these_are(names: list[str]) -> None:
    found = frames([Source(f"car/{name}.jpg", 1, 1) for name in reversed(names)])
    assert [frame.name for frame in found] == names


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([f"{n:02}.jpg" for n in range(1, 17)], []),
        ([f"{n:02}.jpg" for n in range(16)], []),
        ([f"{n:02}.jpg" for n in range(1, 17) if n != 7], ["missing: angle 7"]),
        ([f"{n:02}.jpg" for n in range(1, 15)], ["missing: angles 15, 16"]),
        ([f"{n:02}.jpg" for n in range(15)], ["missing: angle 15"]),
        (
            ["05.jpg", "car_05.jpg", *(f"{n:02}.jpg" for n in (*range(1, 5), *range(6, 17)))],
            ["angle 5 is there 2 times (05.jpg, car_05.jpg)"],
        ),
        ([f"DSC_{n}.jpg" for n in range(4711, 4727)], []),
        ([f"DSC_{n}.jpg" for n in range(4711, 4728) if n != 4713], ["missing: angle 4713"]),
        (["01.jpg", "02.jpg"], []),
        (["01.jpg", "03.jpg", "04.jpg"], ["missing: angle 2"]),
        (["front.jpg", "rear.jpg", "left.jpg"], []),
        (["03.jpg", "04.jpg", "05.jpg", "front.jpg"], []),  # no second angle 4
        (["1.jpg", "IMG_20261125074100123456.jpg"], []),
        ([], []),
    ],
)
def test_angles_that_are_missing_or_there_twice_are_named(
    names: list[str], told: list[str]
) -> None:
    assert odd_angles(frames(source(f"car/{name}") for name in names), 16) == told


def test_a_finished_turn_with_fewer_frames_than_expected_says_so() -> None:
    some = frames(source(f"car/{n:02}.jpg") for n in (1, 2, 4))
    assert turn_remarks(some, 16) == ["3 of 16 frames", "missing: angle 3"]
    assert turn_remarks(some, 3) == ["missing: angle 3"]
