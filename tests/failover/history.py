"""What the clients observed: one entry for each request that was sent, with its response."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

DESTINATION = ("59.436487", "24.747193")

# Codes after which nothing was changed. A request with one of them may be repeated, also without a
# key.
UNCHANGED = {
    *("storage_unavailable", "deadline_exceeded", "overloaded", "order_busy", "request_timeout"),
    # The connection was refused, or the head of the request was read too late.
    *("not_sent", "408"),
}
# Codes after which the change may have happened. A request with one of them may be repeated with
# its key only. `no_response`: the connection broke, or the client has waited for as long as it may.
UNKNOWN = {"outcome_unknown", "no_response", "internal_error"}


@dataclass
class Attempt:
    """One request and its response. Times are of one monotonic clock."""

    client: str
    service: str
    # place, take, find or list
    kind: str
    # The same for all attempts of one placement or take.
    request: str
    begin: float
    end: float
    key: str | None = None
    # The latitude and longitude of the origin, which are different for each placement.
    origin: tuple[str, str] | None = None
    # The order that is taken or read; the cursor of a list, or nothing for its first page.
    order: int | None = None
    limit: int | None = None
    # `ok`, a code of the API, or one of `not_sent` and `no_response`.
    code: str = "ok"
    replayed: bool = False
    body: object = None
    # The pause that the service asks for.
    retry_after: float | None = None

    @property
    def is_ok(self) -> bool:
        return self.code == "ok"

    @property
    def is_failed(self) -> bool:
        return self.code in UNCHANGED | UNKNOWN and self.code != "order_busy"

    @property
    def is_write(self) -> bool:
        return self.kind in ("place", "take")


@dataclass
class Order:
    """A row of the table `orders`."""

    id: int
    origin: tuple[float, float]
    status: str
    take_key: str | None


_numbers = itertools.count()


def next_origin() -> tuple[str, str]:
    """Returns an origin that no other placement has, so that a row tells which placement made it."""
    column, row = divmod(next(_numbers), 80_000)
    return f"{row / 1000:.3f}", f"{column / 1000:.3f}"


def save(history: list[Attempt], path: Path):
    """Writes one JSON object for each attempt."""
    with path.open("w") as file:
        file.writelines(json.dumps(asdict(attempt)) + "\n" for attempt in history)


def codes(attempts: list[Attempt]) -> str:
    counted = Counter(attempt.code for attempt in attempts)
    return ", ".join(f"{count} x {code}" for code, count in counted.most_common())
