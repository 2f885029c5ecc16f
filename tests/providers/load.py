"""Puts load on the service while its distance provider fails, and checks the goals:
few calls, fast rejections, other requests as fast as before, replays throughout, and a fast recovery.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from stub import Stub

# Requests a second.
PLACE_RATE, LIST_RATE, TAKE_RATE, REPLAY_RATE = 200, 50, 50, 10
# Seconds: of a phase, and of its beginning, which is not the steady state.
PHASE, BEGINNING = 20, 8
# Seconds within which a placement succeeds again, and how often one is tried.
RECOVERY, RECOVERY_INTERVAL = 5.0, 0.05
MAX_CALLS, MAX_REJECTION, MAX_SLOWDOWN = 1.1, 0.050, 1.2
# The orders that are taken.
PREPARED = 10_000
BODY = {"origin": ["50.456399", "12.707580"], "destination": ["59.436487", "24.747193"]}


@dataclass
class Phase:
    """What the clients saw in the steady state."""

    codes: Counter = field(default_factory=Counter)
    # By kind of request, or the error of a placement, in seconds.
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    calls: int = 0
    failed_replays: int = 0

    def p99(self, kind: str) -> float:
        return statistics.quantiles(self.times[kind], n=100)[98]


class Load:
    def __init__(self, session: aiohttp.ClientSession, address: str, stub: Stub):
        self.session, self.address, self.stub = session, address, stub
        self.ids = itertools.count(1)

    async def request(self, method: str, path: str, **arguments) -> tuple[str, dict, float]:
        """Returns the code of the response, its headers, and how long it took."""
        start = time.perf_counter()
        headers = {"Accept": "application/problem+json", **arguments.pop("headers", {})}
        async with self.session.request(method, self.address + path, headers=headers, **arguments) as response:
            body = await response.json(content_type=None)
            code = "ok" if response.status == 200 else body["code"]
            return code, response.headers, time.perf_counter() - start

    async def place(self, phase: Phase):
        code, _, seconds = await self.request("POST", "/orders", json=BODY)
        phase.codes[code] += 1
        phase.times[code].append(seconds)

    async def list(self, phase: Phase):
        code, _, seconds = await self.request("GET", "/orders?page=1&limit=20")
        assert code == "ok", code
        phase.times["list"].append(seconds)

    async def take(self, phase: Phase):
        code, _, seconds = await self.request("PATCH", f"/orders/{next(self.ids)}", json={"status": "TAKEN"})
        assert code == "ok", code
        phase.times["take"].append(seconds)

    async def replay(self, phase: Phase):
        code, headers, _ = await self.request("POST", "/orders", json=BODY, headers={"Idempotency-Key": "known"})
        phase.failed_replays += code != "ok" or headers.get("Idempotency-Replayed") != "true"

    async def run(self) -> Phase:
        """Sends requests at their rates, whether or not earlier ones have ended."""
        beginning, steady = Phase(), Phase()
        tasks: set[asyncio.Task] = set()
        kinds = [(self.place, PLACE_RATE), (self.list, LIST_RATE), (self.take, TAKE_RATE), (self.replay, REPLAY_RATE)]
        start, sent = time.monotonic(), [0] * len(kinds)
        calls = None
        while (elapsed := time.monotonic() - start) < PHASE:
            if calls is None and elapsed >= BEGINNING:
                calls = self.stub.requests.value
            phase = beginning if calls is None else steady
            for n, (send, rate) in enumerate(kinds):
                while sent[n] < elapsed * rate:
                    sent[n] += 1
                    tasks.add(asyncio.create_task(send(phase)))
            await asyncio.sleep(0.002)
        steady.calls = self.stub.requests.value - calls
        await asyncio.gather(*tasks)
        steady.failed_replays += beginning.failed_replays
        return steady

    async def seconds_until_placed(self) -> float:
        start = time.monotonic()
        while (await self.request("POST", "/orders", json=BODY))[0] != "ok":
            assert time.monotonic() - start < 60, "no placement succeeds"
            await asyncio.sleep(RECOVERY_INTERVAL)
        return time.monotonic() - start


async def measure(address: str, stub: Stub) -> list[str]:
    """Prints the table, and returns the goals that were missed."""
    missed = []
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        load = Load(session, address, stub)
        for _ in range(PREPARED // 50):
            await asyncio.gather(*(load.request("POST", "/orders", json=BODY) for _ in range(50)))
        await load.request("POST", "/orders", json=BODY, headers={"Idempotency-Key": "known"})
        print("provider  placements  calls  calls/placement  p50 of rejections  list p99  take p99  recovery")
        for behaviour in ("dead", "hangs", "slow"):
            before = await load.run()
            report("healthy", before, None)
            stub.behave(behaviour)
            phase = await load.run()
            stub.behave("healthy")
            recovery = await load.seconds_until_placed()
            report(behaviour, phase, recovery)
            missed += [f"{behaviour}: {goal}" for goal in missed_goals(behaviour, phase, recovery, before)]
    return missed


def missed_goals(behaviour: str, phase: Phase, recovery: float, before: Phase):
    if phase.calls > MAX_CALLS * phase.codes.total():
        yield f"{phase.calls} calls for {phase.codes.total()} requests"
    expected = {"ok", "overloaded"} if behaviour == "slow" else {"distance_unavailable"}
    if set(phase.codes) - expected:
        yield f"responses {dict(phase.codes)}"
    if (p50 := rejection_p50(phase)) is not None and p50 > MAX_REJECTION:
        yield f"p50 of rejections {p50 * 1000:.1f} ms"
    for kind in ("list", "take"):
        if (slowdown := phase.p99(kind) / before.p99(kind)) > MAX_SLOWDOWN:
            yield f"p99 of {kind} {slowdown:.2f} times that before"
    if phase.failed_replays:
        yield f"{phase.failed_replays} replays failed"
    if recovery > RECOVERY:
        yield f"recovery after {recovery:.1f} s"


def rejection_p50(phase: Phase) -> float | None:
    rejections = phase.times["distance_unavailable"] + phase.times["overloaded"]
    return statistics.median(rejections) if rejections else None


def report(name: str, phase: Phase, recovery: float | None):
    p50 = rejection_p50(phase)
    columns = [
        f"{name:8}",
        f"{phase.codes.total():10}",
        f"{phase.calls:5}",
        f"{phase.calls / phase.codes.total():15.3f}",
        f"{p50 * 1000:14.1f} ms" if p50 is not None else f"{'–':>17}",
        *(f"{phase.p99(kind) * 1000:5.1f} ms" for kind in ("list", "take")),
        f"{recovery:6.1f} s" if recovery is not None else "",
        str(dict(phase.codes)),
    ]
    print("  ".join(columns), flush=True)


def main() -> int:
    stub = Stub()
    stub.behave("healthy")
    with tempfile.TemporaryDirectory() as folder:
        with Path(folder, "log").open("w") as log:
            environment = {
                "LISTEN": "127.0.0.1:0",
                "DATABASE_URL": f"sqlite://{folder}/orders.db",
                "OSRM_URL": f"http://127.0.0.1:{stub.port}",
                "LOG_FORMAT": "text",
                "LOG_LEVEL": "info,order_http=off",
            }
            service = subprocess.Popen([os.environ["BINARY"]], env=environment, stdout=log, stderr=log)
        try:
            missed = asyncio.run(measure(address(Path(folder, "log")), stub))
        finally:
            service.kill()
            service.wait()
            stub.behave("dead")
    for goal in missed:
        print(f"test-providers: missed: {goal}", file=sys.stderr)
    return 1 if missed else 0


def address(log: Path) -> str:
    """Waits until the service listens."""
    for _ in range(100):
        for word in log.read_text().split():
            if word.startswith("listen.address="):
                return f"http://{word.removeprefix('listen.address=')}"
        time.sleep(0.1)
    raise TimeoutError(log.read_text())


if __name__ == "__main__":
    sys.exit(main())
