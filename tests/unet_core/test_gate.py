"""When a candidate may take the champion's place, and what is said when it may not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unet_core.gate import Compared, Figures, Kind, Verdict, bootstrap, judge

PAINTS = ("red", "white", "dark")


def picture(car: int, angle: int, gain: float = 0.0, *, kind: Kind = "holdout") -> Compared:
    dice = 0.99 - 0.001 * (car % 5)
    return Compared(
        kind,
        f"car{car}",
        f"{angle:02}",
        Figures(dice, 0.8),
        Figures(dice + gain, 0.8),
        {"paint": PAINTS[car % 3], "angle": f"{angle:02}"},
    )


def turn(gains: dict[int, float] | float = 0.0) -> list[Compared]:
    """Nine cars of four angles, with the gain of each car."""
    by_car = gains if isinstance(gains, dict) else dict.fromkeys(range(9), gains)
    return [picture(car, angle, by_car.get(car, 0.0)) for car in range(9) for angle in (1, 2, 3, 4)]


def verdict(compared: list[Compared], times_as_long: float = 1.0) -> Verdict:
    return judge(compared, times_as_long=times_as_long)


def test_a_candidate_that_is_as_good_is_promoted() -> None:
    found = verdict(turn())
    assert (found.promote, found.told_by, found.gain) == (True, "", 0.0)


def test_a_better_one_is_promoted_and_its_gain_has_an_interval() -> None:
    found = verdict(turn({car: 0.001 * car for car in range(9)}))
    assert found.promote
    assert found.interval[0] < found.gain < found.interval[1]
    assert found.gain == pytest.approx(0.004)


def test_a_little_that_every_car_loses_is_worse_and_luck_is_not() -> None:
    sure = verdict(turn(-0.0002))
    assert (sure.promote, sure.told_by) == (False, "mean Dice")
    luck = verdict(turn({0: -0.0022, 1: 0.001, 2: 0.0005}))
    assert luck.gain < 0
    assert luck.promote


def test_the_slice_that_lost_is_named_though_the_whole_is_better() -> None:
    found = verdict(turn({car: -0.004 if car % 3 == 0 else 0.006 for car in range(9)}))
    assert found.gain > 0
    assert (found.promote, found.told_by) == (False, "paint red")
    assert "paint red lost 0.0040 Dice" in found.reason
    assert found.slices[0].name == "paint red"


def test_cars_count_alike_however_many_frames_they_have() -> None:
    many = [picture(0, angle, 0.01) for angle in range(1, 40)]
    found = verdict([*many, *(picture(car, 1, -0.002) for car in range(1, 9))])
    assert found.gain == pytest.approx((0.01 - 8 * 0.002) / 9)


def test_one_frame_that_falls_far_is_told() -> None:
    compared = turn(0.001)
    fallen = replace(compared[5], candidate=Figures(0.975, 0.8), slices={})
    found = verdict([*compared[:5], fallen, *compared[6:]])
    assert (found.promote, found.told_by) == (False, "worst frame")
    assert "car1/02" in found.reason


def test_edges_golden_images_and_speed_have_a_word() -> None:
    blurred = [replace(each, candidate=Figures(each.candidate.dice, 0.79)) for each in turn()]
    assert verdict(blurred).told_by == "boundary F"
    golden = picture(1, 1, -0.02, kind="golden")
    assert verdict([*turn(), golden]).told_by == "golden image 01"
    unknown = replace(golden, champion=Figures(0.3, 0.1), candidate=Figures(0.1, 0.1))
    assert verdict([*turn(), unknown]).promote
    assert verdict(turn(), times_as_long=1.11).told_by == "speed"
    assert verdict(turn(), times_as_long=1.09).promote


def test_corrections_are_told_learned_or_not_and_must_not_be_forgotten() -> None:
    missed = replace(picture(20, 1, kind="correction"), champion=Figures(0.90, 0.5))
    learned = replace(missed, candidate=Figures(0.96, 0.5))
    not_learned = replace(missed, frame="02", candidate=Figures(0.91, 0.5))
    found = verdict([*turn(), learned, not_learned])
    assert (found.learned, found.not_learned) == (["car20/01"], ["car20/02"])
    assert found.promote
    assert "1 of 2 corrected frames are right now" in found.reason
    assert verdict([*turn(), not_learned]).told_by == "corrections"
    assert verdict([*turn(0.001), not_learned]).promote
    forgotten = replace(missed, candidate=Figures(0.89, 0.5))
    assert verdict([*turn(), forgotten]).told_by == "corrections"


def test_without_a_holdout_nothing_vouches_for_a_candidate() -> None:
    with pytest.raises(ValueError, match="without a holdout"):
        verdict([picture(1, 1, 0.1, kind="correction")])


def test_the_interval_holds_the_mean_and_shrinks_with_more_cars() -> None:
    few, many = bootstrap([0.0, 0.01] * 2), bootstrap([0.0, 0.01] * 40)
    assert few[0] <= 0.005 <= few[1]
    assert many[1] - many[0] < (few[1] - few[0]) / 2
    assert bootstrap([0.0, 0.01] * 2) == few


def test_a_car_of_many_frames_does_not_outvote_the_others_in_the_verdict() -> None:
    many = [picture(0, angle, 0.01) for angle in range(1, 40)]
    found = verdict([*many, *(picture(car, 1, -0.002) for car in range(1, 9))])
    assert (found.promote, found.told_by) == (False, "mean Dice")


def test_a_car_of_many_frames_does_not_outvote_the_others_of_its_slice() -> None:
    many = [picture(0, angle, 0.002) for angle in range(1, 13)]
    losers = [picture(car, 1, -0.006) for car in (3, 6)]
    found = verdict([*many, *losers, *(picture(car, 1, 0.006) for car in (1, 2, 4, 5, 7, 8))])
    assert (found.promote, found.told_by) == (False, "paint red")


def test_a_corrected_frame_that_was_almost_right_is_learned_when_it_is_right() -> None:
    almost = replace(picture(20, 1, kind="correction"), champion=Figures(0.9945, 0.5))
    learned = replace(almost, candidate=Figures(0.9951, 0.5))
    assert verdict([*turn(), learned]).learned == ["car20/01"]
