"""Compares a history with the rows that are left at the end. A pure function of both.

The rules: what was acknowledged is present; a key has one order and an order one winner; ids are
unique and increase; what was reported as not changed has not changed; no final answer was wrong, at
the time at which it was given.
"""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from history import UNCHANGED, UNKNOWN, Attempt, Order

# Final answers that a correct request may receive.
POSSIBLE = {
    "place": {"ok"},
    "take": {"ok", "order_already_taken", "order_not_found"},
    "find": {"ok", "order_not_found"},
    "list": {"ok"},
}


@dataclass(frozen=True)
class Fault:
    rule: str
    text: str

    def __str__(self):
        return f"{self.rule}: {self.text}"


def check(history: list[Attempt], orders: Iterable[Order], keys: dict[str, int]) -> list[Fault]:
    """Returns the faults. `keys` are the rows of `placement_keys`: the order of each key."""
    checker = Checker(history, {order.id: order for order in orders}, keys)
    checker.check_answers()
    checker.check_placements()
    checker.check_ids()
    checker.check_takes()
    checker.check_reads()
    return checker.faults


class Checker:
    def __init__(self, history: list[Attempt], orders: dict[int, Order], keys: dict[str, int]):
        self.history, self.orders, self.keys = history, orders, keys
        self.faults: list[Fault] = []
        self.placements = grouped(history, "place", lambda attempt: attempt.request)
        self.takes = grouped(history, "take", lambda attempt: attempt.order)
        # When an order was acknowledged first, and when a take of it. Later answers must know it.
        self.placed_at: dict[int, float] = {}
        self.taken_at: dict[int, float] = {}
        # The first instant at which a take may have happened.
        self.take_begun_at: dict[int, float] = {}
        for attempt in history:
            if attempt.kind == "place" and attempt.is_ok:
                note_earliest(self.placed_at, attempt.body["id"], attempt.end)
            elif attempt.kind == "take" and may_have_changed(attempt):
                note_earliest(self.take_begun_at, attempt.order, attempt.begin)
                if attempt.is_ok:
                    note_earliest(self.taken_at, attempt.order, attempt.end)
        self.placed_ids = sorted(self.placed_at)

    def report(self, rule: str, text: str):
        self.faults.append(Fault(rule, text))

    def check_answers(self):
        for attempt in self.history:
            if attempt.code == "internal_error":
                self.report("unexpected answer", f"{describe(attempt)}: internal_error")
            elif attempt.code not in POSSIBLE[attempt.kind] | UNCHANGED | UNKNOWN:
                self.report("unexpected answer", f"{describe(attempt)}: {attempt.code}")
            elif attempt.code == "order_not_found" and self.was_placed_before(attempt):
                self.report("wrong answer", f"{describe(attempt)}: order_not_found of an acknowledged order")

    def was_placed_before(self, attempt: Attempt) -> bool:
        return self.placed_at.get(attempt.order, math.inf) < attempt.begin

    # ---- placements

    def check_placements(self):
        rows = defaultdict(list)
        for order in self.orders.values():
            rows[order.origin].append(order.id)
        known = set()
        for attempts in self.placements.values():
            origin = tuple(map(float, attempts[0].origin))
            known.add(origin)
            self.check_placement(attempts, rows.get(origin, []))
        for origin, ids in rows.items():
            if origin not in known:
                self.report("unknown order", f"nothing placed the orders {ids}")

    def check_placement(self, attempts: list[Attempt], ids: list[int]):
        first = attempts[0]
        acknowledged = [attempt.body["id"] for attempt in attempts if attempt.is_ok]
        unknown = [attempt for attempt in attempts if attempt.code in UNKNOWN]
        for lost in set(acknowledged) - set(ids):
            self.report("lost order", f"{describe(first)}: order {lost} was acknowledged and is missing")
        if first.key:
            allowed = 1
            if len(set(acknowledged)) > 1:
                self.report("two orders for a key", f"{describe(first)}: acknowledged as {sorted(set(acknowledged))}")
            if ids and self.keys.get(first.key) not in ids:
                self.report("lost key", f"{describe(first)}: order {ids} has no key")
        else:
            allowed = len(acknowledged) + len(unknown)
        if ids and not acknowledged and not unknown:
            self.report("changed without notice", f"{describe(first)}: order {ids} exists, reported as not changed")
        elif len(ids) > allowed:
            self.report("duplicate order", f"{describe(first)}: orders {ids}")

    def check_ids(self):
        placed: dict[int, Attempt] = {}
        new = [a for a in self.history if a.kind == "place" and a.is_ok and not a.replayed]
        for attempt in new:
            other = placed.setdefault(attempt.body["id"], attempt)
            if other is not attempt:
                self.report("duplicate id", f"{describe(attempt)} and {describe(other)}: {attempt.body['id']}")
        # An order that is placed after another one was acknowledged has the larger id.
        ended = iter(sorted(new, key=lambda attempt: attempt.end))
        next_ended, largest = next(ended, None), None
        for attempt in sorted(new, key=lambda attempt: attempt.begin):
            while next_ended and next_ended.end < attempt.begin:
                if largest is None or next_ended.body["id"] > largest.body["id"]:
                    largest = next_ended
                next_ended = next(ended, None)
            if largest and attempt.body["id"] < largest.body["id"]:
                self.report("decreasing id", f"{describe(attempt)}: {attempt.body['id']} after {largest.body['id']}")

    # ---- takes

    def check_takes(self):
        for order in self.orders.values():
            if order.status == "TAKEN" and order.id not in self.takes:
                self.report("changed without notice", f"order {order.id} is taken, and nothing took it")
        for order_id, attempts in self.takes.items():
            self.check_takes_of(order_id, attempts)

    def check_takes_of(self, order_id: int, attempts: list[Attempt]):
        winners = {attempt.request: attempt for attempt in attempts if attempt.is_ok}
        row = self.orders.get(order_id)
        if len(winners) > 1:
            texts = ", ".join(describe(winner) for winner in winners.values())
            self.report("several winners", f"order {order_id}: {texts}")
        if row is None:
            # A lost order is reported with its placement.
            return
        if winners and row.status != "TAKEN":
            self.report("lost take", f"{describe(next(iter(winners.values())))}: acknowledged, and {row.status}")
        for winner in winners.values():
            if row.status == "TAKEN" and row.take_key != winner.key:
                self.report("wrong winner", f"{describe(winner)}: acknowledged, and another one is stored")
        if row.status == "TAKEN" and not any(may_have_changed(a) and a.key == row.take_key for a in attempts):
            self.report("changed without notice", f"order {order_id}: taken by a take that reported no change")
        for attempt in attempts:
            if attempt.code == "order_already_taken":
                self.check_already_taken(attempt, row, attempts)

    def check_already_taken(self, attempt: Attempt, row: Order, attempts: list[Attempt]):
        if row.status != "TAKEN":
            self.report("wrong answer", f"{describe(attempt)}: order_already_taken, and {row.status}")
        elif attempt.key and attempt.key == row.take_key:
            self.report("wrong answer", f"{describe(attempt)}: order_already_taken for the winner's key")
        elif not any(
            other is not attempt and may_have_changed(other) and other.begin < attempt.end for other in attempts
        ):
            self.report("wrong answer", f"{describe(attempt)}: order_already_taken before any take")

    # ---- reads

    def check_reads(self):
        for attempt in self.history:
            if attempt.is_ok and attempt.kind == "find":
                if attempt.body["id"] != attempt.order:
                    self.report("wrong answer", f"{describe(attempt)}: order {attempt.body['id']}")
                self.check_seen(attempt, attempt.body)
            elif attempt.is_ok and attempt.kind == "list":
                self.check_list(attempt)

    def check_list(self, attempt: Attempt):
        seen = [item["id"] for item in attempt.body]
        below = attempt.order or math.inf
        if any(a <= b for a, b in zip(seen, seen[1:])) or any(id >= below for id in seen):
            self.report("wrong answer", f"{describe(attempt)}: the ids {seen} do not decrease from {below}")
        for item in attempt.body:
            self.check_seen(attempt, item)
        # A full page ends at its last order, any other one at the first order of all.
        least = seen[-1] if len(seen) >= attempt.limit else 0
        first, last = bisect.bisect_left(self.placed_ids, least), bisect.bisect_left(self.placed_ids, below)
        missing = set(self.placed_ids[first:last]) - set(seen)
        late = sorted(id for id in missing if self.placed_at[id] < attempt.begin)
        if late:
            self.report("wrong answer", f"{describe(attempt)}: the list lacks the acknowledged orders {late[:5]}")

    def check_seen(self, attempt: Attempt, item: dict):
        """Checks an order in a response: it is kept, and its status was true at that time."""
        id, status = item["id"], item["status"]
        if id not in self.orders:
            self.report("wrong answer", f"{describe(attempt)}: order {id} was shown and does not exist")
        if status == "UNASSIGNED" and self.taken_at.get(id, math.inf) < attempt.begin:
            self.report("wrong answer", f"{describe(attempt)}: order {id} was taken before, and is shown as unassigned")
        if status == "TAKEN" and self.take_begun_at.get(id, math.inf) > attempt.end:
            self.report("wrong answer", f"{describe(attempt)}: order {id} is shown as taken before any take")


def may_have_changed(attempt: Attempt) -> bool:
    return attempt.is_ok or attempt.code in UNKNOWN


def note_earliest(times: dict[int, float], id: int, time: float):
    times[id] = min(time, times.get(id, math.inf))


def grouped(history: list[Attempt], kind: str, by) -> dict:
    groups = defaultdict(list)
    for attempt in history:
        if attempt.kind == kind:
            groups[by(attempt)].append(attempt)
    return groups


def describe(attempt: Attempt) -> str:
    subject = {"place": attempt.request, "list": f"before {attempt.order}"}.get(attempt.kind, f"order {attempt.order}")
    key = "keyed" if attempt.key else "no key"
    return f"{attempt.kind} {subject} ({key}) by {attempt.client} at {attempt.service}, {attempt.begin:.3f} s"
