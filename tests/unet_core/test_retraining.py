"""What a night is trained on, and how much of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from unet_core.augment import Augmentation
from unet_core.checkpoint import Card
from unet_core.data import DataError, Pair
from unet_core.retraining import Material, Plan, augmentation_of, mixed, read_plan, sample


def pairs(prefix: str, count: int, *, rendered: bool = False) -> list[Pair]:
    names = [f"{prefix}{number}" for number in range(count)]
    return [Pair(Path(f"{n}_01.jpg"), Path(f"{n}_01_mask.png"), n, rendered) for n in names]


def test_corrections_are_a_third_of_what_a_night_sees() -> None:
    material = Material(pairs("blue", 4), pairs("car", 40), pairs("booth", 5, rendered=True))
    found = mixed(material, kept_out=())
    counts = [sum(pair.car.startswith(kind) for pair in found) for kind in ("blue", "car", "booth")]
    assert counts == [20, 40, 5]
    assert len(mixed(Material(pairs("blue", 4), [], []), kept_out=())) == 4


def test_cars_that_are_kept_out_are_never_among_them() -> None:
    material = Material(pairs("blue", 4), pairs("car", 8), pairs("booth", 1, rendered=True))
    cars = {pair.car for pair in mixed(material, kept_out={"blue1", "car3"})}
    assert not cars & {"blue1", "car3"}
    assert {"blue0", "car0", "booth0"} <= cars
    with pytest.raises(DataError, match="nothing to learn"):
        mixed(material, kept_out={f"blue{number}" for number in range(4)})


def test_the_sample_is_the_same_every_night_whatever_the_order() -> None:
    some = pairs("car", 50)
    assert sample(some, 8, seed=0) == sample(some[::-1], 8, seed=0)
    assert len(set(sample(some, 8, seed=0))) == 8
    assert len(sample(some, 80, seed=0)) == 50


def test_pictures_are_put_through_what_the_parent_was_used_to() -> None:
    calm = Augmentation(light=0.5, scales=(0.9, 1.1))
    card = Card(version="parent", long_side_px=640, recipe={"augmentation": asdict(calm)})
    card = Card.model_validate_json(card.model_dump_json())
    found = augmentation_of(card, (64, 96))
    assert (found.light, found.scales) == (0.5, (0.9, 1.1))
    assert (found.crop, found.long_side_px) == ((64, 96), 640)
    assert augmentation_of(Card(version="x"), (64, 96)).light == Augmentation.light


def test_a_plan_is_read_as_it_was_written_and_half_a_plan_is_none(tmp_path: Path) -> None:
    plan = Plan(
        version="night",
        parent="first",
        parent_sha256="0",
        corrections=["1"],
        pictures=[],
        kept_out=[],
        crop=(64, 96),
        steps=20,
        batch=2,
        learning_rate=1e-4,
        rendered_share=0.0,
        seed=1,
    )
    plan.save(tmp_path)
    assert read_plan(tmp_path) == plan
    (tmp_path / "plan.json").write_bytes((tmp_path / "plan.json").read_bytes()[:-20])
    assert read_plan(tmp_path) is None
