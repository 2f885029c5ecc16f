"""Measures how throughput depends on the numbers of orders, of connections, and of services.

One of the numbers varies, the others are fixed. Its values are measured in turn, several rounds; the
ratio of the largest to the smallest is the median of the ratios of the rounds. The results of each
part are kept in a folder, so that parts may be measured at different times. Results of another build
are ignored. Run by `make bench-growth`, which starts a temporary PostgreSQL server.
"""

import argparse
import contextlib
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

from databases import Database, Postgres, Sqlite
from growth_report import Part, write
from jobs import LAST_PAGE, Job, growth_jobs, last_page
from report import machine
from service import service
from sides import repeat, wrk

# Services that share a SQLite file also share its write lock, so more of them are no faster.
PARTS = (
    "postgres-orders",
    "postgres-connections",
    "postgres-services",
    "sqlite-orders",
    "sqlite-connections",
)
CONNECTIONS, SERVICES = (1, 10, 100, 1_000), (1, 2, 4)


@dataclass(frozen=True)
class Point:
    """What a run is measured with."""

    orders: int
    connections: int = 64
    services: int = 1
    # Those of wrk.
    threads: int = 2


def middle_of(orders: list[int]) -> int:
    return orders[len(orders) // 2]


def points(factor: str, orders: list[int]) -> dict[int, Point]:
    """Returns a point for each value of the number that varies."""
    middle = middle_of(orders)
    return {
        "orders": {value: Point(value) for value in orders},
        "connections": {value: Point(middle, connections=value) for value in CONNECTIONS},
        "services": {value: Point(middle, 100, value, threads=max(SERVICES)) for value in SERVICES},
    }[factor]


@dataclass
class Growth:
    """What the measurements of all parts share."""

    binary: str
    folder: Path
    rounds: int
    seconds: int
    # Measures one value, and all parts together measure each job once.
    is_check: bool

    def measure(self, part: str, orders: list[int]) -> dict[str, dict[int, list[float]]]:
        """Returns for each job, and each value of the number that varies, the requests per second."""
        kind, factor = part.split("-")
        at = points(factor, orders)
        first, step = 0, 1
        if self.is_check:
            at = dict([list(at.items())[len(at) // 2]])
            first, step = PARTS.index(part), len(PARTS)
        measured = {}
        with contextlib.ExitStack() as stack:
            services = max(point.services for point in at.values())
            sizes = {point.orders for point in at.values()}
            running = {size: stack.enter_context(self.running(kind, size, services)) for size in sorted(sizes)}
            if factor == "orders":
                runs = {
                    value: partial(repeat, running[value][1][0], last_page(value), self.seconds) for value in at
                }
                measured[LAST_PAGE] = self.in_turn(f"{part}, {LAST_PAGE}", runs)
            for jobs in zip(*(growth_jobs(point.orders)[first::step] for point in at.values())):
                runs = {
                    value: partial(self.run, *running[point.orders], job, point)
                    for (value, point), job in zip(at.items(), jobs)
                }
                measured[jobs[0].name] = self.in_turn(f"{part}, {jobs[0].name}", runs)
        return measured

    def in_turn(self, name: str, runs: dict[int, Callable[[], float]]) -> dict[int, list[float]]:
        """Runs each once per round, and returns the requests per second."""
        results = {value: [] for value in runs}
        for _ in range(self.rounds):
            for value, run in runs.items():
                results[value].append(run())
        medians = (f"{value:,}: {statistics.median(of):,.1f}" for value, of in results.items())
        print(f"{name}: {', '.join(medians)} per second", flush=True)
        return results

    @contextlib.contextmanager
    def running(self, kind: str, orders: int, services: int):
        """Yields a database with this number of orders, and the addresses of services that use it."""
        start = time.monotonic()
        if kind == "postgres":
            database = Postgres(self.binary, orders)
        else:
            database = Sqlite(self.binary, orders, self.folder)
        print(f"{orders:,} orders added in {time.monotonic() - start:.0f} s", flush=True)
        with contextlib.ExitStack() as stack:
            stack.callback(database.drop)
            starts = [service(self.binary, database.url, self.folder / "service.log") for _ in range(services)]
            yield database, [stack.enter_context(start).address for start in starts]

    def run(self, database: Database, addresses: list[str], job: Job, point: Point) -> float:
        """Runs wrk once and returns the requests per second."""
        database.reset()
        wanted = job.orders_a_second * self.seconds
        base = database.add_unassigned(wanted) if wanted else 0
        others = addresses[1 : point.services]
        arguments = (self.seconds, point.connections, base, point.threads, others)
        return wrk(addresses[0], job, self.folder, *arguments).a_second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True, help="the release build of order-api")
    parser.add_argument("--output", type=Path, required=True, help="folder for benchmarks.md and growth.svg")
    parser.add_argument("--results", type=Path, required=True, help="folder that keeps the results of the parts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1, help="the length of one run")
    parser.add_argument("--orders", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000])
    parser.add_argument("--check", action="store_true", help="measure little, to test this program")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    arguments = parser.parse_args()
    build = hashlib.sha256(Path(arguments.binary).read_bytes()).hexdigest()
    arguments.results.mkdir(parents=True, exist_ok=True)
    for part in arguments.parts:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            growth = Growth(arguments.binary, Path(folder), arguments.rounds, arguments.seconds, arguments.check)
            measured = growth.measure(part, arguments.orders)
        result = {
            "build": build,
            "orders": arguments.orders,
            "rounds": arguments.rounds,
            "seconds": arguments.seconds,
            "date": str(date.today()),
            "machine": machine(),
            "measured": measured,
        }
        (arguments.results / f"{part}.json").write_text(json.dumps(result, indent=1))
        print(f"{part}: {(time.monotonic() - start) / 60:.1f} minutes", file=sys.stderr)
    parts = kept(arguments.results, build, arguments.orders)
    print(write(arguments.output, parts, middle_of(arguments.orders)))
    missed = [name for part in parts for name in part.missed()]
    if missed:
        sys.exit(f"below the goal: {', '.join(missed)}")


def kept(folder: Path, build: str, orders: list[int]) -> list[Part]:
    """Returns the results of all parts that were measured with this build."""
    parts = []
    for name in PARTS:
        file = folder / f"{name}.json"
        result = json.loads(file.read_text()) if file.exists() else {}
        if result.pop("build", None) == build and result.pop("orders") == orders:
            parts.append(Part(*name.split("-"), **result))
        else:
            print(f"{name}: not measured with this build; the report lacks it", file=sys.stderr)
    return parts


if __name__ == "__main__":
    assert os.environ.get("TEST_DATABASE_URL"), "run it by make bench-growth"
    main()
