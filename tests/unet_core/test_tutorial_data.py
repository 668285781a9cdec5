"""The tutorial's pictures are squashed squares; its split repeats, ours is by car."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.carvana import write_cars, write_frame
from unet_core.data import DataError, Pair, find_pairs
from unet_core.tutorial_data import TutorialPictures, split_at_random, split_by_cars


def named(count: int) -> list[Pair]:
    """Pairs of ``count`` pictures that are not read."""
    stems = [f"car{number // 16}_{number % 16 + 1:02}" for number in range(count)]
    return [Pair(Path(f"{stem}.jpg"), Path(f"{stem}_mask.gif"), stem[:-3]) for stem in stems]


def test_a_picture_of_any_shape_becomes_a_square_in_0_to_1(tmp_path: Path) -> None:
    write_cars(tmp_path, ["a"], frames=1, size=(48, 120))
    image, mask = TutorialPictures(find_pairs(tmp_path), 64)[0]
    assert image.shape == (3, 64, 64)
    assert mask.shape == (1, 64, 64)
    assert image.dtype == mask.dtype == torch.float32
    assert type(image) is torch.Tensor
    assert 0 <= image.min() < image.max() <= 1
    assert (mask.min(), mask.max()) == (0, 1)
    bright, dark = image.mean(0)[mask[0] == 1], image.mean(0)[mask[0] == 0]
    assert bright.min() > dark.max(), "picture and mask lie on each other"


def test_the_squash_is_what_pillow_makes_of_it(tmp_path: Path) -> None:
    write_cars(tmp_path, ["a"], frames=1, size=(160, 240))
    pair = find_pairs(tmp_path)[0]
    image, _ = TutorialPictures([pair], 64)[0]
    with Image.open(pair.image) as photo:
        theirs = np.array(photo.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR))
    assert np.abs(image.permute(1, 2, 0).numpy() - theirs / 255).max() < 2 / 255


@pytest.mark.parametrize("subject", [1, 255])
def test_masks_that_count_to_1_and_to_255_are_the_same(subject: int, tmp_path: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 8:24] = 255
    write_frame(tmp_path, "a_01", mask, np.full((32, 32, 3), 90, np.uint8))
    labels = Image.fromarray((mask // 255 * subject).astype(np.uint8), "L")
    labels.save(tmp_path / "train_masks" / "a_01_mask.gif")
    _, read = TutorialPictures(find_pairs(tmp_path), 32)[0]
    assert read.unique().tolist() == [0, 1]
    assert read.sum() == 256


def test_the_split_is_80_10_10_and_every_picture_is_in_one_part() -> None:
    pairs = named(100)
    split = split_at_random(pairs)
    assert [len(part) for part in (split.training, split.validation, split.test)] == [80, 10, 10]
    together = split.training + split.validation + split.test
    assert sorted(together, key=pairs.index) == pairs


def test_the_split_is_the_tutorials_own() -> None:
    pairs = named(40)
    rng = torch.Generator().manual_seed(25)
    order = torch.randperm(40, generator=rng).tolist()
    rest = [order[32:][i] for i in torch.randperm(8, generator=rng).tolist()]
    split = split_at_random(pairs)
    assert split.training == [pairs[i] for i in order[:32]]
    assert split.test == [pairs[i] for i in rest[:4]]
    assert split.validation == [pairs[i] for i in rest[4:]]


def test_the_split_repeats_and_follows_the_seed() -> None:
    assert split_at_random(named(50)) == split_at_random(named(50), seed=25)
    assert split_at_random(named(50)) != split_at_random(named(50), seed=26)


def test_the_random_split_leaks_siblings() -> None:
    split = split_at_random(named(160))
    assert {pair.car for pair in split.test} <= {pair.car for pair in split.training}


def test_ten_pictures_are_enough_and_nine_are_refused() -> None:
    split = split_at_random(named(10))
    assert split.training and split.validation and split.test
    with pytest.raises(DataError, match="9 pictures are too few"):
        split_at_random(named(9))


def test_by_car_trains_on_exactly_what_it_is_given() -> None:
    pairs = named(48)
    split = split_by_cars(pairs[:32], pairs[32:])
    assert (split.training, split.validation, split.test) == (pairs[:32], [], pairs[32:])


def test_a_car_on_both_sides_is_refused() -> None:
    pairs = named(48)
    with pytest.raises(DataError, match="car1 "):
        split_by_cars(pairs[:20], pairs[20:])


def test_a_split_by_car_with_an_empty_side_is_refused() -> None:
    with pytest.raises(DataError, match="0 of other cars"):
        split_by_cars(named(16), [])
    with pytest.raises(DataError, match="0 pictures to train on"):
        split_by_cars([], named(16))
