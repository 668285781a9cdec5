"""The holdout list: written once, then the truth, whatever cars come and go."""

from __future__ import annotations

from pathlib import Path

import pytest

from unet_core.data import DataError, Pair, is_holdout, lot
from unet_core.holdout import read_holdout, read_or_write_holdout, require_apart

CARS = [f"car{number:03}" for number in range(60)]
LUCKY = [car for car in CARS if not is_holdout(car)]


def pair(car: str, *, rendered: bool = False) -> Pair:
    return Pair(Path(f"{car}_01.jpg"), Path(f"{car}_01_mask.gif"), car, rendered)


def test_the_list_is_written_by_the_rule_one_car_a_line_under_a_header(tmp_path: Path) -> None:
    path = tmp_path / "new" / "holdout.txt"

    held = read_or_write_holdout(path, reversed(CARS))

    assert held == set(filter(is_holdout, CARS))
    lines = path.read_text().splitlines()
    assert [line for line in lines if not line.startswith("# ")] == sorted(held)
    assert lines[0].startswith("# ")
    assert [file.name for file in path.parent.iterdir()] == ["holdout.txt"], "no temporary file"


def test_cars_that_arrive_later_are_trained_on(tmp_path: Path) -> None:
    path = tmp_path / "holdout.txt"
    early = read_or_write_holdout(path, CARS[:20])
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert any(map(is_holdout, CARS[20:])), "cars that the rule alone would keep out"

    assert read_or_write_holdout(path, CARS) == early
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_person_adds_a_car_by_a_line(tmp_path: Path) -> None:
    path = tmp_path / "holdout.txt"
    written = read_or_write_holdout(path, CARS)
    with path.open("a") as file:
        file.write("\n# for the new lens:\n  by hand \n#\n#12 golf\n")

    assert read_or_write_holdout(path, CARS) == written | {"by hand", "#12 golf"}


def test_a_list_that_an_editor_saved_its_own_way_still_holds(tmp_path: Path) -> None:
    path = tmp_path / "holdout.txt"
    path.write_bytes("\ufeffcar_a\r\ncar_b\r\n".encode())

    assert read_holdout(path) == {"car_a", "car_b"}


def test_a_list_is_not_left_empty_for_good_by_an_unlucky_draw(tmp_path: Path) -> None:
    few = LUCKY[:5]

    assert read_or_write_holdout(tmp_path / "few", few) == {min(few, key=lot)}
    assert read_or_write_holdout(tmp_path / "one", LUCKY[:1]) == frozenset()


def test_a_list_that_appears_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "holdout.txt"
    path.write_text("of another program\n")
    monkeypatch.setattr(Path, "exists", lambda self: False)

    assert read_or_write_holdout(path, CARS) == {"of another program"}
    assert path.read_text() == "of another program\n"


@pytest.mark.parametrize("car", [" led by a space", "# looks like a comment", "two\nlines"])
def test_a_name_that_the_list_cannot_hold_is_refused(tmp_path: Path, car: str) -> None:
    other = next(name for name in LUCKY if lot(name) > lot(car))
    with pytest.raises(DataError, match="cannot hold the car name"):
        read_or_write_holdout(tmp_path / "holdout.txt", [car, other])
    assert not list(tmp_path.iterdir())


def test_a_name_in_any_bytes_survives(tmp_path: Path) -> None:
    car = b"caf\xe9".decode(errors="surrogateescape")
    others = [name for name in LUCKY if lot(name) > lot(car)][:3]
    assert others

    assert car in read_or_write_holdout(tmp_path / "holdout.txt", [car, *others])


def test_a_list_that_cannot_be_read_or_written_is_named_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holdout\.txt, .*cannot be read .*; bring it back"):
        read_holdout(tmp_path / "holdout.txt")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot be written .*; give it a folder"):
        read_or_write_holdout(tmp_path / "file" / "holdout.txt", CARS)


def test_a_training_picture_of_a_holdout_car_is_refused_and_a_rendered_one_is_not() -> None:
    pairs = [pair("a"), pair("b"), pair("c")]

    require_apart(pairs, {"d"})
    require_apart([*pairs, pair("d", rendered=True)], {"d"})
    with pytest.raises(DataError, match=r"2 cars of the holdout list .*first a, c;"):
        require_apart(pairs, {"a", "c", "d"})
