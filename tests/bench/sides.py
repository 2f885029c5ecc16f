"""The two sides: pgbench on the database, and wrk on the service."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from jobs import Job


@dataclass(frozen=True)
class Result:
    """What one short run gave."""

    a_second: float
    # Milliseconds; of many clients of pgbench both are the mean, for its log would slow it down.
    median: float
    p99: float


def read_wrk(said: str, contested: bool) -> Result:
    """Reads what wrk printed. A run with errors is none; of a contested order there is one winner."""
    if "Socket errors" in said:
        raise RuntimeError(f"the load was not served:\n{said}")
    requests = int(re.search(r"(\d+) requests in", said)[1])
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    refused = int(refused[1]) if refused else 0
    if refused != (requests - 1 if contested else 0):
        raise RuntimeError(f"{refused} of {requests} requests were refused:\n{said}")
    quantiles = {
        quantile: float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
        for quantile, value, unit in re.findall(r"^ +(\d+)%\s+([\d.]+)(us|ms|s)$", said, re.M)
    }
    return Result(float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]), quantiles["50"], quantiles["99"])


def wrk(address: str, job: Job, folder: Path, seconds: int, connections: int = 64, base: int = 0) -> Result:
    """One run of wrk, which takes the orders from `base` on."""
    script = folder / "requests.lua"
    script.write_text(job.lua)
    threads = min(2, connections)
    command = ["wrk", "--latency", "--threads", str(threads), "--connections", str(connections)]
    command += ["--duration", f"{seconds}s", "--script", str(script), f"http://{address}"]
    said = subprocess.run([*command, "--", str(base), str(threads)], capture_output=True, text=True, check=True)
    return read_wrk(said.stdout, job.contested)


@dataclass(frozen=True)
class Pgbench:
    """PostgreSQL's benchmark tool, as it is run here."""

    program: str
    clients: int = 32
    # Its own threads. One is its default.
    threads: int = 1

    def run(self, database: str, job: Job, folder: Path, seconds: int, base: int = 0) -> Result:
        """One run, which takes the orders from `base` on."""
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
        said = subprocess.run([*command, database], capture_output=True, text=True, check=True).stdout
        if not re.search(r"number of failed transactions: 0 ", said):
            raise RuntimeError(f"pgbench failed:\n{said}")
        a_second = float(re.search(r"^tps = ([\d.]+)", said, re.M)[1])
        if self.clients > 1:
            mean = float(re.search(r"^latency average = ([\d.]+) ms", said, re.M)[1])
            return Result(a_second, mean, mean)
        # The third column of the log is the time of a transaction in microseconds.
        lines = (line for file in folder.glob(log.name + "*") for line in file.open())
        times = sorted(int(line.split()[2]) for line in lines)
        return Result(a_second, times[len(times) // 2] / 1000, times[len(times) * 99 // 100] / 1000)
