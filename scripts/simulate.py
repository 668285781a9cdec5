"""What a thousand workers and a million frames a day would meet first.

    .venv/bin/python scripts/simulate.py [--workers N] [--shoots N] [--kept-days D] [--json]

Measured here: what Redis has to do for a real worker and for the leases and notes, and how long
the watcher's tick over a real inbox takes. Played on a simulated clock: the busiest hours of
a day, in which shoots arrive, workers take them and some die; watcher, leases, notes and queue are
the program's own, on a real Redis. A frame takes so long that the thousand are needed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench_line import redis_server
from endure import TURN
from redis import Redis
from rich.console import Console
from rich.table import Table
from scale_costs import LookCosts, RedisCosts, look_costs, redis_costs
from simulated_day import HOURS, RESCAN_SECONDS, Day, DayOptions, DayRecord

from worker.errors import CycloramaError
from worker.intake.metrics import PATIENCE_SECONDS
from worker.intake.watcher import MOST_IN_A_TICK, rest_seconds
from worker.queue.app import connect
from worker.settings import read_settings

err = Console(stderr=True)
WATCHER_MB, REDIS_MB = 1024, 512
"""What deploy/ gives to watcher and Redis."""


@dataclass(frozen=True)
class Limit:
    """Something of which there is only so much."""

    name: str
    needed: float
    there: float
    unit: str

    @property
    def share(self) -> float:
        """How much of it is needed; above 1 there is not enough."""
        return self.needed / self.there


def main() -> int:
    """Exit code 0: measured; 1: a part failed; 2: wrong usage."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="cyclorama-scale-") as folder:
        root = Path(folder)
        try:
            with redis_server(root / "redis") as url:
                report = study(root, url, connect(url), options)
        except CycloramaError as error:
            err.print(str(error), style="red", markup=False)
            return 1
    show(report, Console(stderr=options.json))
    print(json.dumps(report))
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="simulate.py", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--workers", type=int, default=1000, help="[default: 1000]")
    add("--shoots", type=int, default=62_500, help="of 16 frames, in the day [default: 62500]")
    add("--hours", type=int, nargs=2, default=(10, 12), metavar=("FROM", "TO"), help="[10 12]")
    add("--kept-days", type=float, default=7, help="shoots lie in the inbox [default: 7]")
    add("--frame-seconds", type=float, default=18, help="of one worker [default: 18]")
    add("--deaths", type=int, default=60, help="of workers in mid-work [default: 60]")
    add("--sample", type=int, default=1000, help="shoots in the inbox that is measured")
    add("--made", type=int, default=40, help="shoots that the real worker makes")
    add("--seed", type=int, default=1)
    add("--json", action="store_true", help="nothing but JSON on standard output")
    options = parser.parse_args()
    first, last = options.hours
    if not 0 <= first < last <= len(HOURS) or not sum(HOURS[first:last]):
        parser.error("--hours must be two hours of a day, with shoots between them")
    if min(options.workers, options.shoots, options.sample, options.made) < 1:
        parser.error("--workers, --shoots, --sample and --made must be 1 or more")
    return options


def study(root: Path, url: str, redis: Redis, options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is measured and simulated."""
    settings = read_settings()
    err.print("a real worker, and what it asks of Redis …")
    costs = redis_costs(root / "work", url, redis, shoots=options.made)
    err.print(f"the watcher's tick over {options.sample} shoots …")
    looks = look_costs(root, url, shoots=options.sample)
    redis.flushall()
    in_inbox = int(options.shoots * options.kept_days)
    day_options = DayOptions(
        shoots=options.shoots,
        hours=tuple(options.hours),
        workers=options.workers,
        jobs=settings.jobs,
        frame_seconds=options.frame_seconds,
        deaths=options.deaths,
        lease_seconds=settings.lease_seconds,
        look_seconds=looks.seconds / looks.shoots * in_inbox,
        seed=options.seed,
    )
    err.print("the hours from {} to {} …".format(*options.hours))
    began = time.perf_counter()
    record = Day(day_options, redis, url, root / "day").run()
    seconds = time.perf_counter() - began
    limits = limits_of(record, costs, looks, day_options, in_inbox=in_inbox, redis=redis)
    return {
        "options": asdict(day_options) | {"in_inbox": in_inbox},
        "costs": asdict(costs),
        "look": asdict(looks),
        "day": summary(record, day_options) | {"simulated_in_seconds": round(seconds, 1)},
        "limits": [asdict(limit) | {"share": round(limit.share, 3)} for limit in limits],
    }


def summary(record: DayRecord, options: DayOptions) -> dict[str, Any]:
    """The day in figures; times in seconds."""
    waits = sorted(record.taken[name] - at for name, at in record.ready.items())
    last = max(record.done.values())
    lasted = last - options.hours[0] * 3600
    return {
        "done": len(record.done),
        "twice": record.twice,
        "last_done_hour": round(last / 3600, 1),
        "wait_median": round(median(waits), 1),
        "wait_95th": round(waits[int(0.95 * (len(waits) - 1))], 1),
        "wait_longest": round(waits[-1], 1),
        "most_queued_by_hour": record.queued,
        "most_leases": record.most_held,
        "renewals_a_second": round(record.renewals / lasted, 1),
        "leases_expired": record.expiries,
        "taken_over_median": round(median(record.taken_over), 1) if record.taken_over else None,
        "ticks": record.ticks,
        "redis_mb": round(record.redis_bytes / 1e6, 1),
    }


def limits_of(
    record: DayRecord,
    costs: RedisCosts,
    looks: LookCosts,
    options: DayOptions,
    *,
    in_inbox: int,
    redis: Redis,
) -> list[Limit]:
    """What is scarce, the scarcest first; rates are those of the busiest hour."""
    peak = options.shoots * max(HOURS) / sum(HOURS) / 3600  # shoots a second
    renewals = options.workers * options.jobs / (options.lease_seconds / 3)
    played = max(record.done.values()) - options.hours[0] * 3600
    share = (
        peak * costs.commands_a_shoot * costs.command
        + options.workers * costs.commands_an_idle_second * costs.command
        + renewals * costs.renewal
        + record.standings / played * costs.standing
    )
    clients: dict[str, Any] = redis.config_get("maxclients")  # type: ignore[assignment]
    megabytes = looks.megabytes / looks.shoots * in_inbox
    look = options.look_seconds
    between = look + rest_seconds(look, RESCAN_SECONDS)
    found = [
        Limit("memory of the watcher", megabytes, WATCHER_MB, "MB"),
        Limit("a tick of the watcher", look, PATIENCE_SECONDS, "s"),
        Limit("shoots queued a second", peak, MOST_IN_A_TICK / between, "shoots/s"),
        Limit("Redis' processor", share, 1.0, "cores"),
        Limit("memory of Redis", record.redis_bytes / 1e6, REDIS_MB, "MB"),
        Limit(
            "connections to Redis",
            options.workers * costs.connections,
            float(clients["maxclients"]),
            "",
        ),
        Limit(
            "the workers",
            peak * TURN * options.frame_seconds,
            options.workers,
            "workers",
        ),
    ]
    return sorted(found, key=lambda limit: -limit.share)


def show(report: dict[str, Any], console: Console) -> None:
    """Prints the report for a person."""
    options, day = report["options"], report["day"]
    first, last = options["hours"]
    console.print(
        f"{options['workers']} workers, {options['shoots'] * TURN} frames in a day, "
        f"of which the hours {first} to {last} are played, "
        f"{options['in_inbox']} shoots in the inbox (a tick takes {options['look_seconds']:.1f} s)"
    )
    for name, value in day.items():
        console.print(f"  {name.replace('_', ' ')}: {value}", highlight=False)
    table = Table("limit", "needed", "there", "share", box=None)
    for row in report["limits"]:
        unit = row["unit"]
        table.add_row(
            row["name"],
            f"{row['needed']:.4g} {unit}",
            f"{row['there']:.4g} {unit}",
            f"{row['share']:.2f}",
        )
    console.print(table)
    first, second = report["limits"][:2]
    console.print(f"The first limit is {first['name']}, the second {second['name']}.")


if __name__ == "__main__":
    sys.exit(main())
