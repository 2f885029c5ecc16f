"""Measures the service and PostgreSQL's own benchmark tool, and writes a report.

Both execute the same job on the same server, in turn, several rounds; a ratio is the median of the
ratios of the rounds. Run by `make bench`, which starts a temporary PostgreSQL server.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

import jobs
from jobs import Job
from report import Figure, JobResult, write
from service import database_url, google, load, psql, server_program, service
from sides import Pgbench, Result, wrk

STARTS = 11


@dataclass
class Bench:
    """The state that all measurements share."""

    binary: str
    folder: Path
    rounds: int
    seconds: int
    log: Path = field(init=False)

    def __post_init__(self):
        self.log = self.folder / "service.log"
        program = server_program("pgbench")
        self.one_thread = Pgbench(program)
        self.two_threads = Pgbench(program, threads=2)
        self.one_client = Pgbench(program, clients=1)

    def prepared(self, database: str, orders: int) -> str:
        """Creates a database with this number of orders and returns its URL."""
        url = database_url(database)
        subprocess.run([self.binary, "migrate"], env={"DATABASE_URL": url}, check=True, stdout=subprocess.DEVNULL)
        load(database, orders)
        return url

    def serving(self, url: str, **settings: str):
        return service(self.binary, url, self.log, **settings)

    def in_turn(self, sides: dict) -> dict[str, list[Result]]:
        """Runs each side once per round."""
        results = {side: [] for side in sides}
        for _ in range(self.rounds):
            for side, run in sides.items():
                results[side].append(run())
        return results

    def fresh(self, database: str, job: Job) -> int:
        """Adds the orders that one run takes, and returns the first id."""
        if not job.orders_a_second:
            return 0
        wanted = 1 if job.contested else job.orders_a_second * self.seconds
        return load(database, wanted)

    def pgbench(self, pgbench: Pgbench, database: str, job: Job):
        return lambda: pgbench.run(database, job, self.folder, self.seconds, self.fresh(database, job))

    def wrk(self, address: str, job: Job, database: str = "", connections: int = 64):
        def run():
            base = self.fresh(database, job) if database else 0
            return wrk(address, job, self.folder, self.seconds, connections, base)

        return run

    def against_pgbench(self, address: str, database: str, job: Job, measured: dict, alike: Job | None = None):
        """Measures one job on both sides, and an alternative in SQL if there is one."""
        sides = {
            "pgbench": self.pgbench(self.one_thread, database, job),
            "service": self.wrk(address, job, database),
            "pgbench, 2 threads": self.pgbench(self.two_threads, database, job),
        }
        if alike:
            sides["alike"] = self.pgbench(self.one_thread, database, alike)
            sides["alike, 2 threads"] = self.pgbench(self.two_threads, database, alike)
        results = self.in_turn(sides)
        measured[job.name] = {side: results[side] for side in ("pgbench", "service", "pgbench, 2 threads")}
        if alike:
            measured[alike.name] = {
                "pgbench": results["alike"],
                "service": results["service"],
                "pgbench, 2 threads": results["alike, 2 threads"],
            }
        show(job.name, results)


A_SECOND, MEDIAN_TIME = attrgetter("a_second"), attrgetter("median")


def median(results: list[Result], of=A_SECOND) -> float:
    return statistics.median(map(of, results))


def ratio(one: list[Result], other: list[Result], of=A_SECOND) -> float:
    return statistics.median(of(a) / of(b) for a, b in zip(one, other))


def show(name: str, results: dict[str, list[Result]]) -> None:
    medians = ", ".join(f"{side} {median(of):,.0f}" for side, of in results.items())
    print(f"{name}: {medians} per second", flush=True)


def measure(bench: Bench):
    """Measures everything. Returns the rows of the table, and single figures."""
    measured: dict[str, dict[str, list[Result]]] = {}
    url = bench.prepared("bench", jobs.ORDERS)
    many = bench.prepared("many", jobs.MANY_ORDERS)
    psql("postgres", "CHECKPOINT")

    with bench.serving(url) as running:
        address = running.address
        with bench.serving(url, LOG_LEVEL="warn") as quiet:
            results = bench.in_turn(
                {
                    "constant": bench.wrk(address, jobs.CONSTANT),
                    "list": bench.wrk(address, jobs.LIST),
                    "constant, no log": bench.wrk(quiet.address, jobs.CONSTANT),
                    "list, no log": bench.wrk(quiet.address, jobs.LIST),
                }
            )
        show("constant body and list, with and without log", results)
        measured[jobs.CONSTANT.name] = {"service": results["constant"]}
        share_of_constant = ratio(results["list"], results["constant"])
        share_of_quiet = {
            "health check": ratio(results["constant"], results["constant, no log"]),
            "list": ratio(results["list"], results["list, no log"]),
        }
        bench.against_pgbench(address, "bench", jobs.LIST, measured)
        bench.against_pgbench(address, "bench", jobs.DEEP_PAGE, measured)
        bench.against_pgbench(address, "bench", jobs.PLACE, measured)
        bench.against_pgbench(address, "bench", jobs.TAKE, measured, jobs.TAKE_LOCKING)
        bench.against_pgbench(address, "bench", jobs.CONTESTED, measured)
        alone = bench.in_turn(
            {
                "pgbench": bench.pgbench(bench.one_client, "bench", jobs.PLACE),
                "service": bench.wrk(address, jobs.PLACE, connections=1),
            }
        )
        show("place, a single client", alone)
        memory = running.peak_memory()
    with bench.serving(many) as running:
        bench.against_pgbench(running.address, "many", jobs.CURSOR, measured)
        memory = max(memory, running.peak_memory())

    embedded = f"sqlite://{bench.folder}/orders.db"
    with bench.serving(url) as running, bench.serving(embedded) as sqlite:
        places = bench.in_turn(
            {
                "PostgreSQL": bench.wrk(running.address, jobs.PLACE),
                "SQLite": bench.wrk(sqlite.address, jobs.PLACE),
            }
        )
        lists = bench.in_turn(
            {
                "PostgreSQL": bench.wrk(running.address, jobs.LIST),
                "SQLite": bench.wrk(sqlite.address, jobs.LIST),
            }
        )
        show("place, by database", places)
        show("list, by database", lists)
    with google(bench.folder) as stub:
        settings = {"DISTANCE_PROVIDER": "google", "GMAP_TOKEN": "none", "GMAP_DISTANCE_MATRIX_API": stub}
        with bench.serving(url) as geodesic, bench.serving(url, **settings) as asking:
            providers = bench.in_turn(
                {
                    "geodesic": bench.wrk(geodesic.address, jobs.PLACE),
                    "google": bench.wrk(asking.address, jobs.PLACE),
                }
            )
        show("place, by provider", providers)

    starts = []
    for _ in range(STARTS):
        with bench.serving(url) as running:
            starts.append(running.seconds_to_ready * 1000)

    goals = [
        (jobs.LIST, 1.2),
        (jobs.DEEP_PAGE, 2.0),
        (jobs.CURSOR, 0.8),
        (jobs.PLACE, 2.0),
        (jobs.TAKE, 2.0),
        (jobs.TAKE_LOCKING, 4.0),
        (jobs.CONTESTED, None),
        (jobs.CONSTANT, None),
    ]
    lines = [line(job.name, measured[job.name], goal) for job, goal in goals]
    latency = ratio(alone["service"], alone["pgbench"], MEDIAN_TIME)
    figures = [
        Figure(
            "Place with a single client: median latency, relative to the same statement in pgbench",
            f"{median(alone['service'], MEDIAN_TIME):.2f} ms to {median(alone['pgbench'], MEDIAN_TIME):.2f} ms",
            latency,
            at_most=2.0,
        ),
        Figure("List, relative to a constant body from the same server", None, share_of_constant, at_least=0.5),
        Figure("Place on SQLite, relative to PostgreSQL", a_second(places["SQLite"]), ratio(places["SQLite"], places["PostgreSQL"]), at_least=0.6),
        Figure("List on SQLite, relative to PostgreSQL", a_second(lists["SQLite"]), ratio(lists["SQLite"], lists["PostgreSQL"])),
        Figure("Place with a stub of Google, relative to the estimate", a_second(providers["google"]), ratio(providers["google"], providers["geodesic"])),
        Figure("List with the request log, relative to none", None, share_of_quiet["list"]),
        Figure("Health check with the request log, relative to none", None, share_of_quiet["health check"]),
        Figure("Peak memory, in MiB", None, memory, at_most=64.0),
        Figure("From start to ready, on a database with orders, in ms", None, statistics.median(starts), at_most=300.0),
    ]
    return lines, figures


def a_second(results: list[Result]) -> str:
    return f"{median(results):,.0f}/s"


def line(name: str, of: dict[str, list[Result]], goal: float | None) -> JobResult:
    service = of["service"]
    others = [of[side] for side in ("pgbench", "pgbench, 2 threads") if side in of]
    return JobResult(
        name,
        median(service),
        median(service, MEDIAN_TIME),
        median(service, attrgetter("p99")),
        [(median(other), ratio(service, other)) for other in others],
        goal,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True, help="the release build of order-api")
    parser.add_argument("--output", type=Path, required=True, help="folder for benchmarks.md and benchmarks.svg")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="the length of one run")
    arguments = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments.binary, Path(folder), arguments.rounds, arguments.seconds)
        lines, figures = measure(bench)
    print(write(arguments.output, lines, figures, arguments.rounds, arguments.seconds))
    print(f"{(time.monotonic() - start) / 60:.1f} minutes", file=sys.stderr)


if __name__ == "__main__":
    assert os.environ.get("TEST_DATABASE_URL"), "run it by make bench"
    main()
