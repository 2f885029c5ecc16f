"""Writes the section on growth of the report: a table for each part, and a chart."""

import statistics
from dataclasses import dataclass
from pathlib import Path

from jobs import LAST_PAGE
from report import GROWTH, markdown_table, number, sections

MARKDOWN = """\

Written by `make bench-growth` on {date}.

![Requests per second, by the number of orders, connections and services](growth.svg)

{tables}

* Requests per second, from `wrk`, median of {rounds} rounds of {seconds} s. **Ratio**: the last
  number relative to the first, median of the ratios of the rounds, in which they are measured in turn.
  **Goal**: the required ratio.
* Where it does not vary, the number of orders is {orders:,}, that of connections is 64, and that of
  services is one. Several services share 100 connections and one database.
* The orders are those of 100 days. All of the last day are unassigned, and one of fifty others; the
  rest was taken with a random key each. The keys of placements of the last day are stored. A run begins
  with at most a tenth more orders, and with those that it takes.
* The list has the 10 newest orders. A cursor begins at a random order and has 10; single orders are
  random ones. The last page has the 10 oldest orders, and is requested by a single client. With a key:
  each request has a random `Idempotency-Key`.

{machine}
"""

NAMES = {"postgres": "PostgreSQL", "sqlite": "SQLite"}
GOAL = 0.8


@dataclass(frozen=True)
class Part:
    """The results of one part: for each job and number the requests per second of each round."""

    database: str
    factor: str
    rounds: int
    seconds: int
    date: str
    machine: str
    measured: dict[str, dict[str, list[float]]]

    def title(self) -> str:
        return f"{NAMES[self.database]}, by number of {self.factor}"

    def ratio(self, job: str) -> float:
        """Returns the throughput with the largest number relative to that with the smallest."""
        _, smallest = self.results(job)[0]
        _, largest = self.results(job)[-1]
        return statistics.median(b / a for a, b in zip(smallest, largest))

    def results(self, job: str) -> list[tuple[int, list[float]]]:
        return [(int(value), results) for value, results in self.measured[job].items()]

    def medians(self, job: str) -> list[tuple[int, float]]:
        return [(value, statistics.median(results)) for value, results in self.results(job)]

    def goal(self, job: str) -> float | None:
        return GOAL if self.factor == "orders" and job != LAST_PAGE else None

    def missed(self) -> list[str]:
        """Returns the jobs that miss their goals, with the ratios."""
        return [
            f"{job} on {self.title()}: {self.ratio(job):.2f}"
            for job in self.measured
            if (goal := self.goal(job)) and self.ratio(job) < goal
        ]

    def table(self) -> str:
        values = [f"{value:,}" for value, _ in self.medians(next(iter(self.measured)))]
        rows = []
        for job in self.measured:
            goal = self.goal(job)
            verdict = f"≥ {goal}{' **missed**' if self.ratio(job) < goal else ''}" if goal else ""
            medians = [number(median) for _, median in self.medians(job)]
            rows.append([job, *medians, f"{self.ratio(job):.2f}", verdict])
        return markdown_table(["Job", *values, "Ratio", "Goal"], rows)


# Sizes of the chart, in pixels.
WIDTH, PANEL, PANEL_HEIGHT, LEFT, TOP, GAP = 880, 220, 180, 60, 90, 70
STYLES = {
    "list": ("#0072b2", ""),
    "list of unassigned orders": ("#0072b2", "2 3"),
    "cursor": ("#56b4e9", ""),
    "last page": ("#59636e", ""),
    "one order by id": ("#009e73", ""),
    "place": ("#d55e00", ""),
    "place, with a key": ("#d55e00", "2 3"),
    "take": ("#cc79a7", ""),
    "take, with a key": ("#cc79a7", "2 3"),
}


def panel(part: Part, left: int, top: int) -> list[str]:
    """Draws a line for each job: relative to the fewest orders, or in thousands per second."""
    is_relative = part.factor == "orders"
    lines = {}
    for job in part.measured:
        medians = part.medians(job)
        lines[job] = [median / (medians[0][1] if is_relative else 1_000) for _, median in medians]
    values = [value for value, _ in part.medians(next(iter(lines)))]
    highest = max(max(line) for line in lines.values())
    step = 0.2 if is_relative else 10 if highest > 30 else 5 if highest > 10 else 1
    steps = int(highest / step) + 1

    def x(at: int) -> float:
        return left + PANEL * (at + 0.5) / len(values)

    def y(value: float) -> float:
        return top + PANEL_HEIGHT * (1 - value / (steps * step))

    unit = f"relative to {values[0]:,}" if is_relative else "thousands per second"
    parts = [
        f'<text x="{left}" y="{top - 26}" font-weight="bold">{NAMES[part.database]}: {part.factor}</text>',
        f'<text class="note" x="{left}" y="{top - 10}">{unit}</text>',
    ]
    for n in range(steps + 1):
        at = y(n * step)
        parts.append(f'<line class="grid" x1="{left}" x2="{left + PANEL}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="note" x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{n * step:g}</text>')
    if is_relative:
        at = y(GOAL)
        parts.append(f'<line class="goal" x1="{left}" x2="{left + PANEL}" y1="{at:.1f}" y2="{at:.1f}"/>')
    for at, value in enumerate(values):
        parts.append(
            f'<text class="note" x="{x(at):.1f}" y="{top + PANEL_HEIGHT + 18}" text-anchor="middle">{value:,}</text>'
        )
    for job, line in lines.items():
        color, dashes = STYLES[job]
        corners = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in enumerate(line))
        parts.append(f'<polyline class="job" points="{corners}" stroke="{color}" stroke-dasharray="{dashes}"/>')
    return parts


def legend(left: int, top: int) -> list[str]:
    parts = []
    for n, (job, (color, dashes)) in enumerate(STYLES.items()):
        at = top + n * 20
        corners = f"{left},{at} {left + 34},{at}"
        parts.append(f'<polyline class="job" points="{corners}" stroke="{color}" stroke-dasharray="{dashes}"/>')
        parts.append(f'<text x="{left + 44}" y="{at + 4}">{job}</text>')
    at = top + len(STYLES) * 20
    parts.append(f'<line class="goal" x1="{left}" x2="{left + 34}" y1="{at}" y2="{at}"/>')
    parts.append(f'<text x="{left + 44}" y="{at + 4}">goal, except for the last page</text>')
    return parts


def chart(parts: list[Part]) -> str:
    """Draws a row of panels for each database, and the legend in the free place."""
    row_height = PANEL_HEIGHT + TOP
    height = len(NAMES) * row_height + 40
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
        "<style>text{fill:#1f2328}.note{fill:#59636e;font-size:12px}.back{fill:#ffffff}.grid{stroke:#d8dee4}"
        ".job{fill:none;stroke-width:2}.goal{stroke:#1f2328;stroke-dasharray:6 4}</style>",
        f'<rect class="back" width="{WIDTH}" height="{height}"/>',
        '<text x="16" y="28" font-size="16" font-weight="bold">'
        "Requests per second, by the number of orders, connections and services</text>",
    ]
    columns = ("orders", "connections", "services")
    for part in parts:
        row, column = list(NAMES).index(part.database), columns.index(part.factor)
        drawn += panel(part, LEFT + column * (PANEL + GAP), TOP + row * row_height)
    drawn += legend(LEFT + 2 * (PANEL + GAP) - 40, TOP + row_height - 10)
    return "\n".join([*drawn, "</svg>"]) + "\n"


def write(folder: Path, parts: list[Part], orders: int) -> str:
    """Writes the section and the chart. Returns the tables."""
    tables = "\n\n".join(f"### {part.title()}\n\n{part.table()}" for part in parts)
    section = MARKDOWN.format(
        date=max(part.date for part in parts),
        tables=tables,
        rounds=parts[0].rounds,
        seconds=parts[0].seconds,
        orders=orders,
        machine=parts[0].machine,
    )
    page, _ = sections(folder)
    (folder / "benchmarks.md").write_text(page + GROWTH + section)
    (folder / "growth.svg").write_text(chart(parts))
    return tables
