"""Hosts with networks of their own, and a cable that is pulled: nothing is closed or comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.fleet import Fleet, make_fleet
from tests.faults.hosts import cut_off, limit, plugged_in, wrong
from tests.faults.network import NoNetwork, network
from unet_core.store import ModelStore


@pytest.fixture
def fleet(tmp_path: Path, tiny_store: ModelStore) -> Iterator[Fleet]:
    """Redis, watcher and two workers, each on a host of its own."""
    try:
        with network() as made:
            fleet = make_fleet(made, tmp_path / "studio", tiny_store.folder)
            try:
                fleet.start()
                fleet.add_worker()
                fleet.add_worker()
                yield fleet
            finally:
                fleet.stop()
    except NoNetwork as error:
        pytest.skip(str(error))


@pytest.mark.line
@pytest.mark.timeout(300)
def test_a_host_that_is_cut_off_in_mid_work_costs_no_frame_and_works_again(fleet: Fleet) -> None:
    cut = cut_off(fleet, "host-2")
    assert cut["shoot"] in fleet.dropped
    assert plugged_in(fleet, "host-2") < 120
    assert fleet.processes["host-2"].poll() is None, "the worker itself took up work again"
    assert wrong(fleet) == []
    delivered = fleet.deliveries()
    assert set(delivered["host-1"] + delivered["host-2"]) == set(fleet.dropped)
    with (fleet.studio.root / "host-1.log").open("a") as log:
        log.write("INFO worker.line.pipeline: shoot-0 is complete: 4 frames in outbox\n")
    assert wrong(fleet) == ["shoot-0 was published 2 times"]


def test_a_share_of_a_core_that_is_used_up_is_the_limit() -> None:
    assert limit({"share_of_cores": 0.98}, 0.4) == "the 0.4 of a core that each host has"
    assert "not used up" in limit({"share_of_cores": 0.7}, 0.4)
    assert "not used up" in limit({"share_of_cores": None}, 0)
