"""How long writes and reads were away, from the times of the successful ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

from history import Attempt

# A pause between two successes that counts as an outage. Without one, a success follows within
# 0.2 s.
OUTAGE = 1.0


@dataclass
class Outage:
    """The pauses between a fault and the end of a scenario."""

    # The sum of all pauses.
    length: float
    # When the last pause ended: infinity if it did not end, and the fault if there was none.
    end: float


def outage(successes: list[float], fault: float, until: float) -> Outage:
    """Measures the pauses between the successes at the given times."""
    length, end, last = 0.0, fault, fault
    for time in [*sorted(time for time in successes if fault < time < until), None]:
        pause = (time or until) - last
        if pause > OUTAGE:
            length += pause
            end = time or math.inf
        last = time or until
    return Outage(length, end)


def successes(history: list[Attempt], service: str, is_write: bool) -> list[float]:
    return [a.end for a in history if a.service == service and a.is_ok and a.is_write == is_write]
