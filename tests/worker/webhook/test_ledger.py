from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import FolderError
from worker.webhook.ledger import Ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".webhook.jsonl"


def test_a_ledger_is_new_until_it_is_begun(path: Path) -> None:
    ledger = Ledger(path)
    assert ledger.is_new
    ledger.begin({"car": "1"})
    assert not ledger.is_new
    assert not Ledger(path).is_new


def test_what_was_heard_is_known_after_a_restart(path: Path) -> None:
    ledger = Ledger(path)
    ledger.begin({"car": "1", "van": "1"})
    ledger.add("car", "2")
    for each in (ledger, Ledger(path)):
        assert [each.holds("car", "1"), each.holds("car", "2")] == [False, True]
        assert each.holds("van", "1")


def test_a_line_that_was_cut_short_is_forgotten_and_spoils_no_other(path: Path) -> None:
    ledger = Ledger(path)
    ledger.begin({"car": "1"})
    ledger.add("van", "1")
    path.write_bytes(path.read_bytes()[:-5])
    after = Ledger(path)
    assert (after.holds("car", "1"), after.holds("van", "1")) == (True, False)
    after.add("bus", "1")
    assert Ledger(path).holds("bus", "1")


def test_what_cannot_be_written_is_known_until_a_restart(path: Path) -> None:
    ledger = Ledger(path)
    ledger.begin({"car": "1"})
    before = path.read_bytes()
    path.unlink()
    path.mkdir()
    with pytest.raises(FolderError, match=r"webhook\.jsonl cannot be written .*Make room"):
        ledger.add("car", "2")
    assert ledger.holds("car", "2")
    path.rmdir()
    path.write_bytes(before)
    assert Ledger(path).holds("car", "1")


def test_a_ledger_that_cannot_be_begun_is_refused_with_its_path(path: Path) -> None:
    ledger = Ledger(path)
    path.mkdir()
    with pytest.raises(FolderError, match=r"webhook\.jsonl cannot be written"):
        ledger.begin({"car": "1"})


def test_a_restart_keeps_one_line_a_place(path: Path) -> None:
    ledger = Ledger(path)
    ledger.begin({})
    for number in range(20):
        ledger.add("car", str(number))
    Ledger(path)
    assert path.read_bytes() == b'["car", "19"]\n'


def test_a_ledger_that_cannot_be_read_is_refused_with_its_path(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(FolderError, match=r"webhook\.jsonl cannot be read"):
        Ledger(path)
