"""One studio on several hosts, and a cable that is pulled: `scripts/hosts [--hosts 3]`, as root.

Redis, watcher and each worker have a network, an address and a name of their own; the folders are
shared. It is printed how many frames a second 1, 2, 3 … hosts make, what each part needed for it,
in batches of how many pictures, and what came of a host that was cut off in mid-work.

Hosts of one machine share its cores: each gets a part of a core (`--cores`), so that more hosts
can be faster at all, and it is told how much of that part they used; the network is tiny, so that
the line around it is what is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.faults.fleet import TURN, Fleet, Late, make_fleet
from tests.faults.losses import losses
from tests.faults.network import NoNetwork, network
from tests.parts import tiny_models

PHOTO_PX = (480, 320)
WARM_UP = 8
"""Shoots before a measurement, so that a new worker has made its first ones."""
USED_UP = 0.9
WIRE = ("total_net_input_bytes", "total_net_output_bytes")
"""What Redis counts of its network."""


def measure(fleet: Fleet, shoots: int, cores: float) -> dict[str, Any]:
    """Frames a second from the first shoot in work to the last one delivered, and what each host
    needed for it: of the ``cores`` that it has, where it has a share."""
    redis = fleet.redis
    fleet.wait_for("the first shoots", partial(fleet.delivered, fleet.drop(WARM_UP)))
    batches = fleet.batches(settled=True)
    before = redis.info()
    cpu = fleet.cpu_seconds()
    names = fleet.drop(shoots, size=PHOTO_PX)
    fleet.wait_for("a shoot in work", lambda: bool(redis.keys("cyclorama:lease:*")))
    began = time.monotonic()
    fleet.wait_for("all shoots", lambda: fleet.delivered(names), seconds=300)
    seconds, after = time.monotonic() - began, redis.info()
    frames = shoots * TURN
    wire = sum(after[key] - before[key] for key in WIRE)  # type: ignore[index]
    by_host = {
        name: round((used - cpu[name]) / seconds, 3) for name, used in fleet.cpu_seconds().items()
    }
    used = [share for name, share in by_host.items() if name.startswith("host-")]
    commands = after["total_commands_processed"] - before["total_commands_processed"]  # type: ignore[index]
    return {
        "hosts": len(used),
        "frames": frames,
        "frames_per_second": round(frames / seconds, 1),
        "cores": by_host,
        "share_of_cores": round(fmean(used) / cores, 3) if cores else None,
        "batches": dict(fleet.batches(settled=True) - batches),
        "redis_commands_per_frame": round(commands / frames, 1),
        "kilobytes_per_frame_on_the_wire": round(wire / frames / 1e3, 2),
    }


def cut_off(fleet: Fleet, name: str) -> dict[str, Any]:
    """Pulls a host's cable while it has a shoot in work, and waits until that one and all others
    are delivered."""
    names: list[str] = []
    caught = ""
    while not caught:
        names += fleet.drop(2 * len(fleet.hosts), size=PHOTO_PX)
        while not (caught := _in_work(fleet, name, names)) and not fleet.delivered(names):
            pass
    fleet.network.pull_the_cable(fleet.hosts[name])
    seconds = fleet.wait_for(caught, lambda: fleet.delivered([caught]))
    fleet.wait_for("all others", lambda: fleet.delivered(names), seconds=300)
    fleet.wait_for(f"a word on {caught}", lambda: bool(_deliverer(fleet, caught)))
    return {
        "host": name,
        "shoot": caught,
        "seconds_until_it_was_delivered": round(seconds, 1),
        "delivered_by": _deliverer(fleet, caught),
    }


def _deliverer(fleet: Fleet, shoot: str) -> str:
    """The host that says that it published a shoot."""
    return next((host for host, times in fleet.deliveries().items() if times[shoot]), "")


def _in_work(fleet: Fleet, host: str, names: list[str]) -> str:
    """A shoot that the host works on now."""
    return next((name for name in names if fleet.worker_of(name) == host), "")


def plugged_in(fleet: Fleet, name: str) -> float:
    """Seconds from the cable's return until the host has delivered another shoot."""
    fleet.network.plug_it_in(fleet.hosts[name])
    began, before = time.monotonic(), sum(fleet.deliveries()[name].values())
    while sum(fleet.deliveries()[name].values()) == before:
        names = fleet.drop(len(fleet.hosts))
        fleet.wait_for("shoots after the cut", lambda names=names: fleet.delivered(names))  # type: ignore[misc]
        if time.monotonic() - began > 120:
            raise Late(f"{name} took up no work again")
    return round(time.monotonic() - began, 1)


def wrong(fleet: Fleet) -> list[str]:
    """A sentence for all that is lost, left over, or was delivered twice."""
    found = ["never looked"]

    def rests() -> bool:
        nonlocal found
        found = losses(fleet.studio, fleet.redis)
        return not found

    try:
        fleet.wait_for("rest", rests, seconds=30)
    except Late:
        return found
    delivered = sum(fleet.deliveries().values(), start=Counter[str]())
    return [f"{name} was published {n} times" for name, n in delivered.items() if n > 1]


def limit(measured: dict[str, Any], cores: float) -> str:
    """What kept a measurement from being faster, as far as it tells."""
    if cores and measured["share_of_cores"] >= USED_UP:
        return f"the {cores} of a core that each host has"
    return "none of the hosts' shares of a core: they were not used up"


def study(fleet: Fleet, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """All that is measured, as JSON has it."""
    fleet.start()
    throughput = []
    for _ in range(options.hosts):
        last = fleet.add_worker(options.cores)
        throughput.append(measure(fleet, options.shoots, options.cores) | {"limit": ""})
        throughput[-1]["limit"] = limit(throughput[-1], options.cores)
        console.print(f"{last}: {throughput[-1]['frames_per_second']} frames a second")
    cut = cut_off(fleet, last)
    if not options.keep_cut:
        cut["seconds_until_it_delivered_again"] = plugged_in(fleet, last)
    lost = wrong(fleet)
    by_host = {host: sum(c.values()) for host, c in fleet.deliveries().items() if c}
    return {
        "cores_of_a_host": options.cores,
        "throughput": throughput,
        "cut": cut,
        "delivered_by_host": by_host,
        "shoots": len(fleet.dropped),
        "lost": lost,
    }


def show(record: dict[str, Any], console: Console) -> None:
    """Prints the record for a person."""
    table = Table(box=None)
    for title in ("hosts", "frames/s", "of cores", "batches", "Redis", "watcher", "asked/frame"):
        table.add_column(title)
    table.add_column("kB/frame")
    for row in record["throughput"]:
        cores = row["cores"]
        table.add_row(
            str(row["hosts"]),
            str(row["frames_per_second"]),
            str(row["share_of_cores"]),
            ", ".join(f"{count} of {size}" for size, count in sorted(row["batches"].items())),
            str(cores["redis"]),
            str(cores["watcher"]),
            str(row["redis_commands_per_frame"]),
            str(row["kilobytes_per_frame_on_the_wire"]),
        )
    console.print(table)
    console.print(f"the limit was {record['throughput'][-1]['limit']}")
    cut = record["cut"]
    console.print(
        f"{cut['host']} was cut off in mid-work; its shoot was delivered by {cut['delivered_by']} "
        f"after {cut['seconds_until_it_was_delivered']} s; of {record['shoots']} shoots "
        f"{len(record['lost'])} were lost or published twice"
    )
    for line in record["lost"]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def main() -> int:
    """Exit code 0: nothing lost; 1: something was, or did not come; 2: no such network here."""
    parser = argparse.ArgumentParser(prog="scripts/hosts", description=__doc__)
    parser.add_argument("--hosts", type=int, default=3, help="with a worker [default: 3]")
    parser.add_argument("--shoots", type=int, default=60, help="in each measurement [default: 60]")
    parser.add_argument(
        "--cores", type=float, default=0.4, help="of each host; 0: no limit [default: 0.4]"
    )
    parser.add_argument(
        "--batch", type=int, default=1, help="pictures through the network at once [default: 1]"
    )
    parser.add_argument("--keep-cut", action="store_true", help="the cable does not come back")
    parser.add_argument("--json", action="store_true", help="nothing but JSON on standard output")
    options = parser.parse_args()
    if options.hosts < 2 or options.shoots < 1:
        parser.error("--hosts must be 2 or more, --shoots 1 or more")
    console = Console(stderr=options.json)
    try:
        with network() as made, tempfile.TemporaryDirectory() as folder:
            models = tiny_models(Path(folder) / "models").folder
            fleet = make_fleet(made, Path(folder) / "studio", models)
            fleet.studio.environment["CYCLORAMA_BATCH"] = str(options.batch)
            try:
                record = study(fleet, options, console)
            finally:
                fleet.stop()
    except (NoNetwork, Late, OSError) as error:
        console.print(str(error), style="red", markup=False)
        return 2 if isinstance(error, NoNetwork) else 1
    show(record, console)
    print(json.dumps(record))
    return 1 if record["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
