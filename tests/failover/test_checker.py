"""Tests of the checker: tiny histories with one fault each. Each fault must be found, and no other."""

import unittest

from checker import check
from history import Attempt, Order


def place(request, begin, code="ok", id=None, key=None, replayed=False, **more):
    body = {"id": id, "distance": 1, "status": "UNASSIGNED"} if code == "ok" else None
    origin = (f"{request}.000", "0.000")
    return attempt("place", f"p{request}", begin, code, body, key=key, origin=origin, replayed=replayed, **more)


def take(order, begin, code="ok", key=None, request=None, **more):
    return attempt("take", request or f"t{key or begin}", begin, code, None, key=key, order=order, **more)


def find(order, begin, code="ok", status="UNASSIGNED", **more):
    body = {"id": order, "status": status} if code == "ok" else None
    return attempt("find", f"f{begin}", begin, code, body, order=order, **more)


def listed(begin, *ids, limit=3, before=None, status="UNASSIGNED"):
    body = [{"id": id, "status": status} for id in ids]
    return attempt("list", f"l{begin}", begin, "ok", body, order=before, limit=limit)


def attempt(kind, request, begin, code, body, end=None, **more):
    end = begin + 1 if end is None else end
    return Attempt("client", "service", kind, request, begin, end, code=code, body=body, **more)


def row(id, request, take_key=None, status=None):
    return Order(id, (float(request), 0.0), status or ("TAKEN" if take_key else "UNASSIGNED"), take_key)


class CheckerTest(unittest.TestCase):
    def assert_faults(self, expected, history, rows, keys=None):
        faults = check(history, rows, keys or {})
        self.assertEqual(sorted(fault.rule for fault in faults), sorted(expected), "\n".join(map(str, faults)))

    def test_history_without_faults_has_none(self):
        history = [
            place(1, 0, "outcome_unknown", key="a"),
            place(1, 2, id=1, key="a", replayed=True),
            place(2, 4, "storage_unavailable"),
            place(2, 6, id=2),
            place(3, 6.5, "no_response"),
            take(1, 8, "outcome_unknown", key="k"),
            take(1, 10, key="k"),
            take(1, 10, "order_already_taken", key="l"),
            take(2, 12, "no_response"),
            take(2, 14, "order_already_taken"),
            find(1, 16, status="TAKEN"),
            listed(7, 2, 1),
            listed(16, 2, 1, status="TAKEN", before=3),
        ]
        rows = [row(1, 1, "k"), row(2, 2, status="TAKEN"), row(4, 3)]
        self.assert_faults([], history, rows, {"a": 1})

    def test_lost_order_is_found(self):
        self.assert_faults(["lost order"], [place(1, 0, id=1)], [])
        self.assert_faults(["lost order"], [place(1, 0, id=1, key="a")], [])

    def test_order_with_other_coordinates_is_found(self):
        self.assert_faults(["lost order", "unknown order"], [place(1, 0, id=1)], [row(1, 2)])

    def test_lost_key_is_found(self):
        self.assert_faults(["lost key"], [place(1, 0, id=1, key="a")], [row(1, 1)], {})

    def test_duplicate_order_is_found(self):
        rows = [row(1, 1), row(2, 1)]
        unknown = [place(1, 0, "no_response", key="a"), place(1, 2, id=2, key="a")]
        self.assert_faults(["duplicate order"], unknown, rows, {"a": 2})
        self.assert_faults(["duplicate order"], [place(1, 0, id=1)], rows)
        # Without a key each attempt may have placed one.
        self.assert_faults([], [place(1, 0, "no_response"), place(1, 2, id=2)], rows)

    def test_two_orders_for_a_key_are_found(self):
        history = [place(1, 0, id=1, key="a"), place(1, 2, id=2, key="a")]
        rules = ["two orders for a key", "duplicate order"]
        self.assert_faults(rules, history, [row(1, 1), row(2, 1)], {"a": 1})

    def test_duplicate_id_is_found(self):
        history = [place(1, 0, id=1), place(2, 0, id=1)]
        self.assert_faults(["duplicate id", "lost order"], history, [row(1, 1)])

    def test_decreasing_id_is_found(self):
        history = [place(1, 0, id=2), place(2, 2, id=1)]
        self.assert_faults(["decreasing id"], history, [row(2, 1), row(1, 2)])
        # Concurrent placements have any order.
        history[1].begin = 0.5
        self.assert_faults([], history, [row(2, 1), row(1, 2)])

    def test_change_that_was_reported_as_none_is_found(self):
        for code in ("storage_unavailable", "deadline_exceeded", "overloaded", "not_sent"):
            self.assert_faults(["changed without notice"], [place(1, 0, code)], [row(1, 1)])
            self.assert_faults(["changed without notice"], [place(1, 0, code, key="a")], [row(1, 1)], {"a": 1})
            history = [place(1, 0, id=1), take(1, 2, code, key="k")]
            self.assert_faults(["changed without notice"], history, [row(1, 1, "k")])
        self.assert_faults([], [place(1, 0, "outcome_unknown")], [row(1, 1)])

    def test_order_of_nothing_is_found(self):
        self.assert_faults(["unknown order"], [], [row(1, 1)])

    def test_take_of_nothing_is_found(self):
        self.assert_faults(["changed without notice"], [place(1, 0, id=1)], [row(1, 1, "k")])

    def test_lost_take_is_found(self):
        self.assert_faults(["lost take"], [place(1, 0, id=1), take(1, 2, key="k")], [row(1, 1)])

    def test_several_winners_are_found(self):
        history = [place(1, 0, id=1), take(1, 2, key="k"), take(1, 2, key="l")]
        self.assert_faults(["several winners", "wrong winner"], history, [row(1, 1, "k")])
        history = [place(1, 0, id=1), take(1, 2, request="a"), take(1, 2, request="b")]
        self.assert_faults(["several winners"], history, [row(1, 1, status="TAKEN")])

    def test_wrong_winner_is_found(self):
        history = [place(1, 0, id=1), take(1, 2, key="k"), take(1, 2, "outcome_unknown", key="l")]
        self.assert_faults(["wrong winner"], history, [row(1, 1, "l")])

    def test_wrong_already_taken_is_found(self):
        history = [place(1, 0, id=1), take(1, 2, "order_already_taken", key="k")]
        self.assert_faults(["wrong answer"], history, [row(1, 1)])
        # The winner's key returns its success again.
        history = [place(1, 0, id=1), take(1, 2, key="k"), take(1, 4, "order_already_taken", key="k")]
        self.assert_faults(["wrong answer"], history, [row(1, 1, "k")])
        history = [place(1, 0, id=1), take(1, 2, "order_already_taken", key="k"), take(1, 4, key="l")]
        self.assert_faults(["wrong answer"], history, [row(1, 1, "l")])

    def test_wrong_not_found_is_found(self):
        for kind in (take, find):
            history = [place(1, 0, id=1), kind(1, 2, "order_not_found")]
            self.assert_faults(["wrong answer"], history, [row(1, 1)])
            # The order was acknowledged while the request was under way.
            history[1].begin = 0.5
            self.assert_faults([], history, [row(1, 1)])

    def test_stale_order_is_found(self):
        history = [place(1, 0, id=1), take(1, 2, key="k"), find(1, 4)]
        self.assert_faults(["wrong answer"], history, [row(1, 1, "k")])
        history[2].begin = 2.5
        self.assert_faults([], history, [row(1, 1, "k")])

    def test_order_that_is_shown_as_taken_too_early_is_found(self):
        history = [place(1, 0, id=1), find(1, 2, status="TAKEN"), take(1, 4, key="k")]
        self.assert_faults(["wrong answer"], history, [row(1, 1, "k")])

    def test_other_order_is_found(self):
        history = [place(1, 0, id=1), find(1, 2)]
        history[1].body["id"] = 2
        self.assert_faults(["wrong answer", "wrong answer"], history, [row(1, 1)])

    def test_stale_list_is_found(self):
        placed = [place(n, 0, id=n) for n in (1, 2, 3)]
        rows = [row(n, n) for n in (1, 2, 3)]
        self.assert_faults([], [*placed, listed(2, 3, 2, 1)], rows)
        for lacking in (listed(2, 2, 1), listed(2, 3, 1, limit=2), listed(2), listed(2, 1, before=3)):
            self.assert_faults(["wrong answer"], [*placed, lacking], rows)
        self.assert_faults([], [*placed, listed(2, 2, limit=1, before=3), listed(0.5)], rows)

    def test_disordered_list_is_found(self):
        history = [place(1, 0, id=1), place(2, 0, id=2), listed(2, 1, 2)]
        self.assert_faults(["wrong answer"], history, [row(1, 1), row(2, 2)])

    def test_shown_order_that_does_not_exist_is_found(self):
        history = [place(1, 0, "outcome_unknown"), listed(2, 1)]
        self.assert_faults(["wrong answer"], history, [])

    def test_unexpected_answers_are_found(self):
        history = [place(1, 0, "invalid_request"), place(2, 0, "internal_error"), place(3, 0, "order_not_found")]
        self.assert_faults(["unexpected answer"] * 3, history, [])
        self.assert_faults(["unexpected answer"], [place(1, 0, "idempotency_conflict", key="a")], [])


if __name__ == "__main__":
    unittest.main()
