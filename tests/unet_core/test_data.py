"""Labelled folders: what is missing is named, and no car is ever on both sides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.carvana import disc, picture_of, write_cars, write_frame
from unet_core.data import (
    DataError,
    Pair,
    find_pairs,
    find_photos,
    is_holdout,
    read_layout,
    read_pair,
    split_by_car,
)

CARS = [f"car{number:03}" for number in range(200)]


def pairs_of(cars: list[str], *, rendered: bool = False) -> list[Pair]:
    return [
        Pair(Path(f"{car}_{angle:02}.jpg"), Path(f"{car}_{angle:02}_mask.gif"), car, rendered)
        for car in cars
        for angle in range(1, 4)
    ]


def test_pairs_know_their_files_car_and_angle_and_come_sorted(tmp_path: Path) -> None:
    write_cars(tmp_path, ["b_2", "a"], frames=2)

    pairs = find_pairs(tmp_path, rendered=True)

    assert [(pair.car, pair.angle) for pair in pairs] == [
        ("a", 1),
        ("a", 2),
        ("b_2", 1),
        ("b_2", 2),
    ]
    assert pairs[2].image == tmp_path / "train" / "b_2_01.jpg"
    assert pairs[2].mask == tmp_path / "train_masks" / "b_2_01_mask.gif"
    assert all(pair.rendered for pair in pairs)
    assert not any(pair.rendered for pair in find_pairs(tmp_path))


@pytest.mark.parametrize("gone", ["train/a_02.jpg", "train_masks/a_02_mask.gif"])
def test_a_picture_or_mask_without_its_partner_is_named(tmp_path: Path, gone: str) -> None:
    write_cars(tmp_path, ["a"], frames=3)
    (tmp_path / gone).unlink()

    with pytest.raises(DataError, match=r": 1 file cannot[^/]*/a_02.*; add ") as caught:
        find_pairs(tmp_path)
    assert "a_01" not in str(caught.value)


def test_of_many_problems_the_first_are_named_and_all_counted(tmp_path: Path) -> None:
    write_cars(tmp_path, ["a"], frames=9)
    for mask in (tmp_path / "train_masks").iterdir():
        mask.unlink()

    with pytest.raises(DataError, match=r": 9 files cannot(.|\n)*a_05(.|\n)*and 4 more") as caught:
        find_pairs(tmp_path)
    assert "a_06" not in str(caught.value)


def test_pictures_and_masks_of_other_kinds_count_and_the_rest_is_passed_over(
    tmp_path: Path,
) -> None:
    write_cars(tmp_path, ["a"], frames=1)
    for old, new in (
        ("train/a_01.jpg", "a_01.PNG"),
        ("train_masks/a_01_mask.gif", "a_01_mask.png"),
    ):
        (tmp_path / old).rename((tmp_path / old).with_name(new))
    for passed_over in ("._a_01.jpg", "Thumbs.db", "a_02.jpg.part", "notes.txt"):
        (tmp_path / "train" / passed_over).touch()

    layout = read_layout(tmp_path)

    assert [(pair.image.name, pair.mask.name) for pair in layout.pairs] == [
        ("a_01.PNG", "a_01_mask.png")
    ]
    assert layout.problems == []


@pytest.mark.parametrize(
    ("extra", "what"),
    [
        ("train/a_01.png", r"train/a_01\.png shares its name with a_01\.jpg"),
        ("train_masks/a_01_mask.png", r"a_01_mask\.png shares its name with a_01_mask\.gif"),
        ("train_masks/a_03.gif", r"a_03\.gif is not named like a mask; rename it to a_03_mask"),
    ],
)
def test_a_file_that_nobody_can_place_is_named(tmp_path: Path, extra: str, what: str) -> None:
    write_cars(tmp_path, ["a"], frames=2)
    (tmp_path / extra).touch()

    with pytest.raises(DataError, match=what):
        find_pairs(tmp_path)
    assert [pair.image.name for pair in read_layout(tmp_path).pairs][-1] == "a_02.jpg"


def test_a_folder_without_the_layout_is_named_with_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()

    with pytest.raises(DataError, match=rf"{tmp_path} .*train_masks/"):
        find_pairs(tmp_path)


def test_an_empty_layout_is_refused(tmp_path: Path) -> None:
    for name in ("train", "train_masks"):
        (tmp_path / name).mkdir()

    with pytest.raises(DataError, match=r"no \.jpg"):
        find_pairs(tmp_path)


@pytest.mark.parametrize("name", ["a_front", "a", "a_1²", "01", "_01"])
def test_a_name_without_an_angle_is_named(tmp_path: Path, name: str) -> None:
    mask = disc(32, 32, centre=(16, 16), radius=8)
    write_frame(tmp_path, name, mask, picture_of(mask))

    with pytest.raises(DataError, match=rf"train/{name}\.jpg is not .*end in _NN"):
        find_pairs(tmp_path)


def test_photos_are_found_below_a_folder_and_in_a_labelled_one_without_its_masks(
    tmp_path: Path,
) -> None:
    write_cars(tmp_path / "labelled", ["a"], frames=1)
    (tmp_path / "labelled/train_masks/b_01_mask.png").touch()
    for name in ("deep/x/b.JPG", "deep/a.webp", "deep/.hidden.jpg", "deep/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()

    names = [path.name for path in find_photos(tmp_path / "deep")]
    assert names == ["a.webp", "b.JPG"]
    labelled = find_photos(tmp_path / "labelled")
    assert labelled == [tmp_path / "labelled/train/a_01.jpg"] == find_photos(labelled[0])
    for place in ("empty", "not there"):
        with pytest.raises(DataError, match=rf"{place} holds no \.jpg"):
            find_photos(tmp_path / place)


def test_a_read_pair_is_the_picture_and_a_mask_of_0_and_255(tmp_path: Path) -> None:
    mask = disc(40, 60, centre=(18, 30), radius=12)
    write_frame(tmp_path, "a_01", mask, picture_of(mask))

    pixels, read = read_pair(find_pairs(tmp_path)[0])

    np.testing.assert_array_equal(read, np.where(mask >= 128, 255, 0))
    assert np.abs(pixels.astype(int) - picture_of(mask)).mean() < 6


def test_a_mask_of_another_size_is_named_with_both_sizes(tmp_path: Path) -> None:
    write_cars(tmp_path, ["a"], frames=1, size=(32, 48))
    Image.new("1", (48, 31)).save(tmp_path / "train_masks" / "a_01_mask.gif")

    with pytest.raises(DataError, match=r"a_01\.jpg is 48×32 px .*a_01_mask\.gif 48×31"):
        read_pair(find_pairs(tmp_path)[0])


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    write_cars(tmp_path, ["a"], frames=1)
    path = tmp_path / "train" / "a_01.jpg"
    path.write_bytes(path.read_bytes()[:400])

    with pytest.raises(DataError, match=r"a_01\.jpg"):
        read_pair(find_pairs(tmp_path)[0])


def test_no_car_is_on_both_sides_and_every_picture_on_one() -> None:
    pairs = pairs_of(CARS)
    training, holdout = split_by_car(pairs)

    assert not {pair.car for pair in training} & {pair.car for pair in holdout}
    assert sorted(training + holdout, key=str) == sorted(pairs, key=str)
    assert 0.08 < len(holdout) / len(pairs) < 0.22, "about the promised share of 0.15"


def test_adding_cars_moves_no_car_across() -> None:
    few = {pair.car for pair in split_by_car(pairs_of(CARS[:40]))[1]}
    many = {pair.car for pair in split_by_car(pairs_of(CARS))[1]}

    assert few
    assert many & set(CARS[:40]) == few


def test_the_split_is_the_same_in_every_version_of_the_program() -> None:
    # Changing the rule would let old checkpoints be measured on cars that they were trained on.
    assert [car for car in CARS[:20] if is_holdout(car)] == ["car004", "car005", "car006"]


def test_a_larger_share_keeps_out_the_same_cars_and_more() -> None:
    small, large = ({car for car in CARS if is_holdout(car, share=s)} for s in (0.1, 0.5))

    assert small < large
    assert not any(is_holdout(car, share=0) for car in CARS)
    assert all(is_holdout(car, share=1) for car in CARS)


def test_rendered_pictures_are_for_training_even_under_a_holdout_cars_name() -> None:
    held = [car for car in CARS if is_holdout(car)]
    rendered = pairs_of(held, rendered=True)

    training, holdout = split_by_car([*rendered, *pairs_of(held)])

    assert training == rendered
    assert holdout == [replace(pair, rendered=False) for pair in rendered]


def test_a_list_of_cars_takes_the_place_of_the_rule() -> None:
    pairs = pairs_of(CARS)
    held = {CARS[0], CARS[9], "a car that is not there"}
    assert not any(map(is_holdout, held))

    training, holdout = split_by_car(pairs, held)

    assert {pair.car for pair in holdout} == {CARS[0], CARS[9]}
    assert len(training) + len(holdout) == len(pairs)
    assert split_by_car(pairs, frozenset()) == (pairs, []), "an empty list keeps out nothing"
