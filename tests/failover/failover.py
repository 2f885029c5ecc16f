"""Plays scenarios of failover on a cluster, checks all answers, and prints how long each outage was.

    failover.py [SCENARIO...]
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from checker import Fault, check
from cluster import Cluster
from history import Attempt, Order, codes, save
from processes import UNPRIVILEGED, adopt_orphans, is_root, kill_all
from scenarios import SCENARIOS, Result, Scenario, play
from services import make_services

# How many faults of a kind are printed.
PRINTED = 5


def main() -> int:
    scenarios = select(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    adopt_orphans()
    folder = Path(tempfile.mkdtemp(prefix="order-api-failover-"))
    if is_root():
        shutil.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
    history: list[Attempt] = []
    has_passed = False
    try:
        has_passed = run(scenarios, folder, history)
    finally:
        kill_all()
        if not has_passed:
            keep(folder, history, Path(os.environ["LOGS"]))
        shutil.rmtree(folder)
    return 0 if has_passed else 1


def select(names: list[str]) -> list[Scenario]:
    known = {scenario.name: scenario for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            sys.exit(f"test-failover: unknown scenario {name}: expected {', '.join(known)}")
    return [known[name] for name in names] or SCENARIOS


def run(scenarios: list[Scenario], folder: Path, history: list[Attempt]) -> bool:
    cluster = Cluster(folder)
    report("starting the cluster")
    cluster.start()
    cluster.leader().query("CREATE TABLE numbers (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)")
    services = make_services(cluster, cluster.ports, "orders")
    for service in services:
        service.start()
    results = []
    try:
        for scenario in scenarios:
            report(f"{scenario.name}: {scenario.description}")
            began = time.monotonic()
            # Changes that are lost on purpose have a database and a history of their own.
            own, database = ([], "mutation") if scenario.is_mutation else (history, "orders")
            result = play(scenario, cluster, services, own)
            judge(result, check(own, *read_rows(cluster, database)))
            results.append(result)
            report(f"{scenario.name}: {verdict(result)}, after {time.monotonic() - began:.0f} s")
    finally:
        print_table(results)
    return not any(result.missed for result in results)


def read_rows(cluster: Cluster, database: str) -> tuple[list[Order], dict[str, int]]:
    leader = cluster.leader()
    rows = leader.query("SELECT id, origin_latitude, origin_longitude, status, take_key FROM orders", database)
    keys = leader.query("SELECT key, order_id FROM placement_keys", database)
    return [Order(id, (latitude, longitude), status, key) for id, latitude, longitude, status, key in rows], dict(keys)


def judge(result: Result, faults: list[Fault]):
    """Adds the goal of the checker: no fault, and with a mutation a loss."""
    if result.scenario.is_mutation:
        losses = [fault for fault in faults if fault.rule in ("lost order", "lost take")]
        report(f"mutation: the checker reports {len(losses)} losses, as it must; {'; '.join(map(str, losses[:1]))}")
        if not losses:
            result.missed.append("the checker does not report the loss")
        return
    for fault in faults[:PRINTED]:
        report(f"{result.scenario.name}: {fault}")
    if faults:
        result.missed.append(f"{len(faults)} faults in the answers and rows")


def verdict(result: Result) -> str:
    text = "passed" if not result.missed else "FAILED: " + "; ".join(result.missed)
    return text + (f" ({codes(result.failed_after)})" if result.failed_after else "")


def print_table(results: list[Result]):
    titles = ["scenario", "writes away 1", "2", "libpq", "reads away 1", "2", "failed after", "goals"]
    rows = [
        [
            result.scenario.name,
            *(f"{seconds:.1f} s" for seconds in [*result.writes, result.libpq_writes, *result.reads]),
            str(len(result.failed_after)),
            "MISSED" if result.missed else "met",
        ]
        for result in results
    ]
    widths = [max(map(len, column)) for column in zip(titles, *rows)]
    for row in [titles, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def keep(folder: Path, history: list[Attempt], target: Path):
    """Keeps the logs of all processes and the history."""
    shutil.rmtree(target, ignore_errors=True)
    for log in folder.glob("*/log"):
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(log, target / f"{log.parent.name}.log")
    if target.exists():
        save(history, target / "history.jsonl")
        report(f"the logs and the history are in {target}")


def report(text: str):
    print(f"test-failover: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
