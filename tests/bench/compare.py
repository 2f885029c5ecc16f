"""Compares two builds of the service: the same jobs on the same database, in turn, several rounds.

Prints, for each job, the median of the ratios of the rounds. Run by `make bench-compare`, which starts
a temporary PostgreSQL server.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
from pathlib import Path

import jobs
from bench import Bench, median, ratio

JOBS = [jobs.LIST, jobs.DEEP_PAGE, jobs.PLACE, jobs.TAKE, jobs.CURSOR]


def compare(new: Bench, base: Bench) -> None:
    databases = {job: "many" if job is jobs.CURSOR else "bench" for job in JOBS}
    urls = {
        "bench": new.prepared("bench", jobs.ORDERS),
        "many": new.prepared("many", jobs.MANY_ORDERS),
    }
    for job in JOBS:
        database = databases[job]
        with contextlib.ExitStack() as stack:
            sides = {}
            for name, bench in (("new", new), ("base", base)):
                running = stack.enter_context(bench.serving(urls[database]))
                sides[name] = bench.wrk(running.address, job, database)
            results = new.in_turn(sides)
        rounds = [a.a_second / b.a_second for a, b in zip(results["new"], results["base"])]
        print(
            f"{job.name}: {ratio(results['new'], results['base']):.3f} "
            f"(new {median(results['new']):,.0f}/s, base {median(results['base']):,.0f}/s, "
            f"rounds {', '.join(f'{one:.2f}' for one in rounds)})",
            flush=True,
        )
    for name, bench in (("new", new), ("base", base)):
        starts, memory = [], 0.0
        for _ in range(5):
            with bench.serving(urls["bench"]) as running:
                starts.append(running.seconds_to_ready * 1000)
                memory = max(memory, running.peak_memory())
        print(f"{name}: ready in {statistics.median(starts):.0f} ms, {memory:.0f} MiB at the start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True, help="the release build of order-api")
    parser.add_argument("--base", required=True, help="the release build to compare it with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="the length of one run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        benches = []
        for name, binary in (("new", arguments.binary), ("base", arguments.base)):
            own = Path(folder, name)
            own.mkdir()
            benches.append(Bench(binary, own, arguments.rounds, arguments.seconds))
        compare(*benches)


if __name__ == "__main__":
    assert os.environ.get("TEST_DATABASE_URL"), "run it by make bench-compare"
    main()
