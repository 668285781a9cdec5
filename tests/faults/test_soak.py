"""The soak itself: what it counts, and that it sees what is lost."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from random import Random

import pytest
from rich.console import Console

from tests.faults.faults import FAULTS
from tests.faults.losses import losses
from tests.faults.plant import Plant
from tests.faults.soak import Round, Soak, order, show, summary
from tests.parts import drop_photos


def test_the_same_seed_strikes_in_the_same_order_and_leaves_nothing_out() -> None:
    cases = sum(len(fault.stages) for fault in FAULTS)
    first, again = (list(islice(order(Random(7)), cases)) for _ in range(2))
    assert first == again
    assert len({(fault.name, stage) for fault, stage in first}) == cases


def test_a_record_counts_losses_and_retries_by_fault_and_stage() -> None:
    rounds = [
        Round("worker killed", "decode", 2.0, 2, [], 600.0),
        Round("worker killed", "decode", 6.0, 3, ["car is not delivered"], 700.0),
        Round("disk full", "write", 1.0, 1, [], 650.0),
    ]
    record = summary(rounds, seed=7, minutes=1.0, workers=2)
    assert (record["faults"], record["retries"]) == (3, 3)
    assert record["lost"] == ["worker killed at decode: car is not delivered"]
    assert record["worker_resident_mb"] == {"first": 600.0, "most": 700.0, "last": 650.0}
    cell = record["matrix"][1]
    assert (cell["times"], cell["lost"], cell["median_seconds"]) == (2, 1, 4.0)
    with Console(record=True, width=120) as console:
        show(record, console)
    assert "seed 7: 3 faults on 2 workers" in console.export_text()


@pytest.mark.line
@pytest.mark.timeout(300)
def test_a_round_lets_its_fault_strike_and_finds_nothing_lost(plant: Plant) -> None:
    fault = next(fault for fault in FAULTS if fault.name == "Redis emptied")
    found = Soak(plant, Random(1)).round(fault, "encode")
    assert (found.fault, found.stage, found.lost) == ("Redis emptied", "encode", [])
    assert found.seconds > 1
    assert found.resident_mb > 100


@pytest.mark.line
@pytest.mark.parametrize("harm", ["changed", "gone", "beside", "part"])
def test_what_is_broken_or_left_over_is_seen(plant: Plant, harm: str) -> None:
    name = f"harmed-{harm}"
    drop_photos(plant.studio.inbox / name, 4)
    plant.wait_for_shoot(name)
    plant.wait_for(lambda: losses(plant.studio, plant.redis()) == [])
    file = plant.studio.outbox / name / "01.jpg"
    whole = file.read_bytes()
    stray: list[Path] = []
    if harm == "changed":
        file.write_bytes(whole[:-1] + b"x")
    elif harm == "gone":
        file.unlink()
    else:
        stray.append(file.with_name("stray.jpg" if harm == "beside" else ".x.part"))
        stray[0].touch()
    assert losses(plant.studio, plant.redis())
    file.write_bytes(whole)
    for path in stray:
        path.unlink()
