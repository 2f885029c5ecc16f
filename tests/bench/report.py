"""Writes the report: a table, a chart, and a description of the machine."""

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from jobs import MANY_ORDERS, ORDERS
from service import psql

# The heading of the last section, which `make bench-growth` writes.
GROWTH = "\n## Growth\n"

MARKDOWN = """\
# Benchmarks

Written by `make bench` on {date}. [performance.md](performance.md) explains the results.

![Requests per second, relative to pgbench with one plain statement for each]({svg})

## Relative to PostgreSQL's own benchmark tool

{table}

* **order-api**: HTTP requests per second, from `wrk` with 64 connections, median of {rounds} rounds of
  {seconds} s; and the duration of a request, median and 99th percentile, in milliseconds. The service
  has its default settings: every request is logged (to `/dev/null`, to exclude the disk), counted,
  and has an id.
* **pgbench**: transactions per second of the plainest SQL for the same job, prepared
  (`-M prepared`), 32 clients, no HTTP. Its default is one thread (`-j 1`); with two (`-j 2`) it can
  use both cores for cheap statements.
* **Ratio**: the service relative to pgbench, median of the ratios of the rounds, in which both run
  in turn. **Goal**: the required ratio to pgbench with its default.
* Both use the same server, which has PostgreSQL's default durability, with
  {orders} orders. Load generator, service and database share the machine.
* Deep pages are random ones of the last 100; the cursor begins anywhere; each take is of an
  unassigned order, on both sides. The contested order had one winner in each run.

## More

{figures}

## The machine

{machine}

## Interpretation

The figures compare programs that share one machine in one run; they do not predict another machine.
Single runs differ by a quarter, the 99th percentile by a factor of three. The service exceeds the
tool that requests the same rows from the same database because requests that wait at the same time
share a statement and a commit.
"""


@dataclass(frozen=True)
class JobResult:
    """The result of one job. `others` are the results of pgbench, with the ratio of the service."""

    name: str
    a_second: float
    median: float
    p99: float
    others: list[tuple[float, float]]
    goal: float | None

    def verdict(self) -> str:
        if self.goal is None:
            return ""
        return f"≥ {self.goal}{'' if self.others[0][1] >= self.goal else ' **missed**'}"


@dataclass(frozen=True)
class Figure:
    """A single figure."""

    name: str
    shown: str | None
    value: float
    at_least: float | None = None
    at_most: float | None = None

    def verdict(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}{'' if self.value >= self.at_least else ' **missed**'}"
        if self.at_most is not None:
            return f"≤ {self.at_most:g}{'' if self.value <= self.at_most else ' **missed**'}"
        return ""


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def markdown_table(head: list[str], rows: list[list[str]]) -> str:
    right = " | ".join(["---", *["---:"] * (len(head) - 1)])
    lines = [" | ".join(head), right, *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)


def table(lines: list[JobResult]) -> str:
    head = ["Job", "order-api", "p50 / p99", "pgbench", "Ratio", "pgbench -j 2", "Ratio", "Goal"]
    rows = []
    for line in lines:
        row = [line.name, number(line.a_second), f"{line.median:.1f} / {line.p99:.1f}"]
        for other, ratio in line.others or [(None, None)] * 2:
            row += ["", ""] if other is None else [number(other), f"{ratio:.2f}"]
        rows.append([*row, line.verdict()])
    return markdown_table(head, rows)


def figure_table(figures: list[Figure]) -> str:
    rows = [
        [figure.name, number(figure.value), figure.shown or "", figure.verdict()] for figure in figures
    ]
    return markdown_table(["Figure", "Value", "Median", "Goal"], rows)


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def cores() -> int:
    return len(os.sched_getaffinity(0))


def machine() -> str:
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    system = re.search(r'^PRETTY_NAME="(.*)"$', Path("/etc/os-release").read_text(), re.M)
    settings = psql(
        "postgres",
        "SELECT string_agg(name || ' = ' || current_setting(name), ', ' ORDER BY name) FROM pg_settings "
        "WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers')",
    ).strip()
    facts = {
        "Processor": f"{cpu[1] if cpu else platform.machine()}, {cores()} cores",
        "Memory": f"{int(memory[1]) / 2**20:.0f} GiB",
        "System": f"{system[1] if system else platform.system()}, Linux {platform.release()}",
        "PostgreSQL": f"{psql('postgres', 'SHOW server_version').strip()}: {settings}",
        "Rust": output("rustc", "--version"),
        "wrk": (re.search(r"wrk [\S]+", output("wrk", "--version")) or [""])[0],
    }
    return "\n".join(f"* {name}: {value}" for name, value in facts.items())


# Sizes of the chart, in pixels.
WIDTH, LABEL, BAR, GAP, TOP, RIGHT = 860, 270, 22, 14, 70, 170


def chart(lines: list[JobResult]) -> str:
    """Draws a bar for each ratio of the service to pgbench with its default, and a line at 1."""
    lines = [line for line in lines if line.others]
    longest = max(line.others[0][1] for line in lines)
    scale = (WIDTH - LABEL - RIGHT) / max(longest, 1)
    height = TOP + len(lines) * (BAR + GAP) + 30
    one = LABEL + scale
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
        "<style>text{fill:#1f2328}.bar{fill:#2f6f9f}.line{stroke:#b3541e;stroke-width:2;stroke-dasharray:4 3}"
        ".note{fill:#59636e;font-size:12px}.back{fill:#ffffff}</style>",
        f'<rect class="back" width="{WIDTH}" height="{height}"/>',
        '<text x="16" y="24" font-size="16" font-weight="bold">Requests per second, relative to pgbench with one plain statement each</text>',
        f'<text class="note" x="{one:.0f}" y="{TOP - 12}" text-anchor="middle">pgbench = 1</text>',
    ]
    for at, line in enumerate(lines):
        top = TOP + at * (BAR + GAP)
        other, ratio = line.others[0]
        width = max(ratio * scale, 1)
        middle = top + BAR / 2 + 5
        parts.append(f'<text x="{LABEL - 10}" y="{middle:.0f}" text-anchor="end">{line.name}</text>')
        parts.append(f'<rect class="bar" x="{LABEL}" y="{top}" width="{width:.1f}" height="{BAR}"/>')
        parts.append(
            f'<text x="{LABEL + max(width, scale) + 8:.0f}" y="{middle:.0f}"><tspan font-weight="bold">{ratio:.1f} ×</tspan> '
            f'<tspan class="note">{number(line.a_second)} : {number(other)}</tspan></text>'
        )
    parts.append(f'<line class="line" x1="{one:.1f}" x2="{one:.1f}" y1="{TOP - 6}" y2="{height - 26}"/>')
    note = (
        "The service over HTTP, 64 connections; pgbench without HTTP, 32 clients, prepared, one thread. "
        f"{cores()} cores in total."
    )
    parts.append(f'<text class="note" x="16" y="{height - 8}">{note}</text></svg>')
    return "\n".join(parts) + "\n"


def sections(folder: Path) -> tuple[str, str]:
    """Returns the page without the section on growth, and that section."""
    file = folder / "benchmarks.md"
    page, heading, growth = (file.read_text() if file.exists() else "").partition(GROWTH)
    return page, heading + growth


def write(folder: Path, lines: list[JobResult], figures: list[Figure], rounds: int, seconds: int) -> str:
    """Writes the page and the chart. Returns the tables."""
    (folder / "benchmarks.svg").write_text(chart(lines))
    page = MARKDOWN.format(
        date=date.today(),
        svg="benchmarks.svg",
        table=table(lines),
        figures=figure_table(figures),
        machine=machine(),
        rounds=rounds,
        seconds=seconds,
        orders=f"{ORDERS:,} (the cursor: {MANY_ORDERS:,})",
    )
    _, growth = sections(folder)
    (folder / "benchmarks.md").write_text(page + growth)
    return f"{table(lines)}\n\n{figure_table(figures)}"
