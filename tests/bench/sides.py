"""The two sides: pgbench on the database, and wrk on the service."""

import contextlib
import http.client
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs import Job


@dataclass(frozen=True)
class Result:
    """The result of one short run."""

    a_second: float
    # In milliseconds. For many clients of pgbench both are the mean, because its log would slow it.
    median: float
    p99: float


def parse_wrk(output: str, contested: bool) -> Result:
    """Parses the output of wrk. Raises if requests failed; a contested order has one winner."""
    if "Socket errors" in output:
        raise RuntimeError(f"requests failed:\n{output}")
    requests = int(re.search(r"(\d+) requests in", output)[1])
    if requests == 0:
        raise RuntimeError(f"no request was completed:\n{output}")
    rejected = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    rejected = int(rejected[1]) if rejected else 0
    if rejected != (requests - 1 if contested else 0):
        raise RuntimeError(f"{rejected} of {requests} requests were rejected:\n{output}")
    quantiles = {
        quantile: float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
        for quantile, value, unit in re.findall(r"^ +(\d+)%\s+([\d.]+)(us|ms|s) *$", output, re.M)
    }
    return Result(float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1]), quantiles["50"], quantiles["99"])


# Divides the threads of wrk among services.
SERVICES_LUA = """
local setup_job, services, threads = setup, {%s}, 0
function setup(thread)
  if setup_job then setup_job(thread) end
  thread.addr = wrk.lookup(unpack(services[threads %% #services + 1]))[1]
  threads = threads + 1
end
"""


def wrk(
    address: str,
    job: Job,
    folder: Path,
    seconds: int,
    connections: int = 64,
    base: int = 0,
    threads: int = 2,
    others: Sequence[str] = (),
) -> Result:
    """Runs wrk once. A take begins at the order `base`. `others` are more services that it loads."""
    script = folder / "requests.lua"
    services = (other.split(":") for other in (address, *others))
    pairs = ", ".join(f'{{"{host}", "{port}"}}' for host, port in services)
    script.write_text(job.lua + (SERVICES_LUA % pairs if others else ""))
    threads = min(threads, connections)
    command = ["wrk", "--latency", "--threads", str(threads), "--connections", str(connections)]
    command += ["--duration", f"{seconds}s", "--script", str(script), f"http://{address}"]
    # The last argument is the seed of random keys.
    command += ["--", str(base), str(threads), str(time.time_ns() % 2**50)]
    output = subprocess.run(command, capture_output=True, text=True, check=True)
    return parse_wrk(output.stdout, job.contested)


def repeat(address: str, path: str, seconds: float) -> float:
    """Requests a path again and again, once at least. Returns the requests per second.

    Unlike wrk it completes the last request, so a request may take longer than the run.
    """
    start, requests = time.monotonic(), 0
    with contextlib.closing(http.client.HTTPConnection(address)) as connection:
        while requests == 0 or time.monotonic() < start + seconds:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise RuntimeError(f"{path}: {response.status} {body.decode()}")
            requests += 1
    return requests / (time.monotonic() - start)


@dataclass(frozen=True)
class Pgbench:
    """PostgreSQL's benchmark tool, with its options."""

    program: str
    clients: int = 32
    # The number of its threads; its default is one.
    threads: int = 1

    def run(self, database: str, job: Job, folder: Path, seconds: int, base: int = 0) -> Result:
        """Runs pgbench once. A take begins at the order `base`."""
        script, log = folder / "job.sql", folder / "pgbench_log"
        script.write_text(job.sql)
        for old in folder.glob(log.name + "*"):
            old.unlink()
        command = [self.program, "--no-vacuum", "--protocol", "prepared", "--client", str(self.clients)]
        command += ["--jobs", str(self.threads), "--time", str(seconds), "--file", str(script)]
        for name, value in {"n": 0, "base": base, "clients": self.clients}.items():
            command += ["--define", f"{name}={value}"]
        if self.clients == 1:
            command += ["--log", "--log-prefix", str(log)]
        output = subprocess.run([*command, database], capture_output=True, text=True, check=True).stdout
        if not re.search(r"number of failed transactions: 0 ", output):
            raise RuntimeError(f"pgbench failed:\n{output}")
        a_second = float(re.search(r"^tps = ([\d.]+)", output, re.M)[1])
        if self.clients > 1:
            mean = float(re.search(r"^latency average = ([\d.]+) ms", output, re.M)[1])
            return Result(a_second, mean, mean)
        # The third column of the log is the time of a transaction in microseconds.
        lines = (line for file in folder.glob(log.name + "*") for line in file.open())
        times = sorted(int(line.split()[2]) for line in lines)
        return Result(a_second, times[len(times) // 2] / 1000, times[len(times) * 99 // 100] / 1000)
