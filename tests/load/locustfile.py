"""The load test: many clients list orders, and all of them try to take the same one.

A run consists of rounds. Clients list orders and wait for the next round. When all are waiting, or
after a timeout, one of them places an order, and all try to take it at the same instant. An order
that at least two clients tried to take counts as contested. Rounds repeat, so a long run contests
many orders, and the database needs no preparation.

Nothing is mocked: the service places and stores orders. Use a test database. Unless
`DISTANCE_PROVIDER` is `geodesic`, each round sends one request to the provider.

The run fails, with exit code 1 and the causes in its last lines, if

* a contested order does not have exactly one winner, or is not TAKEN afterwards;
* a winner that repeats its take does not receive a replay;
* a take has a status other than 200, 400, or 503 with `Retry-After` (`overloaded`);
* a list fails, is not an array of orders with descending ids, or shows a taken order as unassigned;
* an order cannot be placed;
* no order was contested or listed.

A client whose connection broke does not know whether it won. It repeats the take with its
Idempotency-Key: a winner receives a replay, which is the same win. The broken connection itself is
a failure. Contests that are open when the run ends are settled in the same way, by the last client
or after all have stopped.

The rounds are synchronised in memory, so the test runs in one process and rejects distributed
modes. Start it with `make test-load`, or with `tests/load/run.sh`, which describes its settings.
"""

import json
import logging
import random
import re
import sys
import time
from collections import Counter, OrderedDict
from uuid import uuid4

import gevent
import geventhttpclient.client
from gevent.event import Event
from locust import FastHttpUser, between, events, task
from locust.contrib.fasthttp import FastHttpSession, LocustBadStatusCode
from locust.runners import STATE_RUNNING, STATE_SPAWNING, LocalRunner

# How long the first client of a round waits for the others.
ROUND_TIMEOUT_S = 1.0
# How often a request with an unknown outcome is repeated.
REPEATS = 3
# How long open contests are settled at the end of a run.
SETTLE_TIMEOUT_S = 20
# More than the service's REQUEST_TIMEOUT, so that the service reports its timeout first.
TIMEOUT_S = 20.0
# The number of recent contests that are kept, to check their orders in lists.
MAX_RECENT = 500

LIST_PAGE = "/orders?page={n}&limit={n}"
LIST_CURSOR = "/orders?before={id}&limit={n}"
ONE = "/orders/{id}"
JSON = {"Content-Type": "application/json"}

# The HTTP client repeats a GET if the connection breaks, which would hide failures.
assert hasattr(geventhttpclient.client, "_may_retry_after_send_error")
geventhttpclient.client._may_retry_after_send_error = lambda method: False


class Contest:
    """One round: the waiting clients, the order, and the clients that try to take it."""

    def __init__(self):
        self.racers = 0
        self.opened = False
        self.go = Event()
        self.order = None
        # Clients are identified by their Idempotency-Keys.
        self.takers = set()
        self.unknown = set()
        self.winners = set()
        self.won_at = None
        self.counted = False


class Run:
    """The state that all clients of a run share: the next contest, and the counters."""

    def __init__(self, begun=False):
        self.begun = begun
        self.stopping = False
        self.next_contest = Contest()
        self.newest = 0
        self.open = {}
        self.recent = OrderedDict()
        self.contested = self.one_winner = self.takers = 0
        self.lists = self.requests = 0
        self.rejections = Counter()
        self.failures = Counter()

    def fail(self, response, cause):
        """Counts a failed request, here and in Locust's statistics."""
        response.failure(cause)
        self.failures[cause] += 1

    def count_rejection(self, message):
        # Bounded, because unexpected messages could be many.
        known = message in self.rejections or len(self.rejections) < 20
        self.rejections[message if known else "(other messages)"] += 1


run = Run()
# One failed run fails the process, even if later runs of the web page pass.
verdicts = []
final_summary = ""


def parse_response(response):
    """Returns the status, None if the connection broke, and the body as JSON, None if it is not."""
    run.requests += 1
    error = response.request_meta["exception"]
    # A bad status is a response, every other error is not.
    if error and not isinstance(error, LocustBadStatusCode):
        return None, None
    try:
        return response.status_code, json.loads(response.content)
    except (TypeError, ValueError):
        return response.status_code, None


def broken(response, what):
    error = response.request_meta["exception"]
    return f"{what}: the connection broke ({type(error).__name__}: {error})"


def unexpected(what, status, body):
    message = body.get("error") if isinstance(body, dict) else body
    return f"{what}: status {status}, {str(message)[:120]}"


def is_overloaded(response, status):
    return status == 503 and response.headers.get("Retry-After") is not None


def retry_after_seconds(response):
    text = str(response.headers.get("Retry-After"))
    return min(int(text), 2) if text.isdecimal() else 1


def random_point():
    return [f"{random.uniform(52.4, 52.6):.6f}", f"{random.uniform(13.2, 13.6):.6f}"]


def fault_in_order(item):
    """Returns what is wrong with an order of a list or a placement, or None."""
    if not isinstance(item, dict) or set(item) != {"id", "distance", "status"}:
        return f"is not {{id, distance, status}}: {str(item)[:80]}"
    if type(item["id"]) is not int or item["id"] < 1:
        return f"has the id {item['id']!r}"
    if type(item["distance"]) is not int or item["distance"] < 0:
        return f"has the distance {item['distance']!r}"
    if item["status"] not in ("UNASSIGNED", "TAKEN"):
        return f"has the status {item['status']!r}"
    return None


def fault_in_list(body, limit, below, only, start):
    """Returns what is wrong with a list, or None."""
    if not isinstance(body, list):
        return f"is not an array: {str(body)[:80]}"
    if len(body) > limit:
        return "is longer than its limit"
    for item in body:
        if fault := fault_in_order(item):
            return f"has an order that {fault}"
        if below is not None and item["id"] >= below:
            return "is not sorted: ids must descend, and be below the cursor"
        below = item["id"]
        if only and item["status"] != only:
            return f"of {only} has another status"
        contest = run.recent.get(item["id"])
        taken = contest and contest.won_at and contest.won_at < start
        if taken and item["status"] != "TAKEN":
            return f"shows the taken order {item['id']} as {item['status']}"
    return None


def take(client, contest, key):
    """Tries once to take the order, and records the outcome in the contest."""
    first = key not in contest.takers
    was_unknown = key in contest.unknown
    contest.takers.add(key)
    # Recorded before the response, in case this client is stopped.
    contest.unknown.add(key)
    what = f"PATCH {ONE}"
    with client.patch(
        f"/orders/{contest.order}",
        data='{"status":"TAKEN"}',
        headers={**JSON, "Idempotency-Key": key},
        name=ONE,
        catch_response=True,
    ) as response:
        status, body = parse_response(response)
        row = response.request_meta

        if status is None:
            row["name"] += " (broken)"
            run.fail(response, broken(response, what))
        elif status == 200:
            replayed = response.headers.get("Idempotency-Replayed") == "true"
            row["name"] += " (replayed)" if replayed else " (won)"
            again = key in contest.winners
            contest.unknown.discard(key)
            contest.winners.add(key)
            contest.won_at = contest.won_at or time.monotonic()
            if len(contest.winners) > 1:
                count = len(contest.winners)
                if contest.counted and count == 2:
                    run.one_winner -= 1
                run.fail(response, f"order {contest.order} has {count} winners")
            elif again and not replayed:
                run.fail(response, f"order {contest.order} was taken twice by its winner")
            elif first and replayed:
                run.fail(response, f"{what}: a first take received a replay")
            elif body != {"status": "SUCCESS"}:
                run.fail(response, unexpected(what, status, body))
            else:
                response.success()
        elif is_overloaded(response, status):
            row["name"] += " (overloaded)"
            # This request changed nothing; an earlier one that broke may have.
            if not was_unknown:
                contest.unknown.discard(key)
            run.count_rejection("503 overloaded")
            response.success()
        elif status == 400:
            row["name"] += " (lost)"
            contest.unknown.discard(key)
            message = body.get("error") if isinstance(body, dict) else None
            if key in contest.winners:
                run.fail(response, f"order {contest.order}: its winner received: {message}")
            elif not isinstance(message, str) or not message:
                run.fail(response, f"{what}: a rejection without an error message")
            else:
                run.count_rejection(f"400 {message}")
                response.success()
        else:
            row["name"] += " (failed)"
            # A failure of the service may follow the change.
            if status < 500:
                contest.unknown.discard(key)
            run.fail(response, unexpected(what, status, body))


def settle(client, contest, deadline=None):
    """Finds the winner of the order, and checks that the service shows the order as taken."""
    for repeat in range(REPEATS):
        # The winner may have lost its connection, or received an unknown outcome. Without a winner,
        # all clients may have received `order_busy`, so all of them try again.
        keys = set(contest.unknown) if contest.winners else set(contest.takers)
        if keys:
            gevent.sleep(0.2 * repeat)
        for key in keys:
            take(client, contest, key)
            if deadline and time.monotonic() > deadline:
                break
            if contest.winners and not contest.unknown:
                break
    if contest.unknown:
        return False

    what = f"GET {ONE}"
    with client.get(f"/orders/{contest.order}", name=ONE, catch_response=True) as response:
        status, body = parse_response(response)
        if status is None:
            run.fail(response, broken(response, what))
            return False
        if status != 200 or not isinstance(body, dict):
            run.fail(response, unexpected(what, status, body))
            return False
        shown = body.get("status")
        if not contest.winners:
            run.fail(response, f"order {contest.order} has no winner, and is {shown}")
        elif body.get("id") != contest.order or shown != "TAKEN" or not body.get("taken_at"):
            run.fail(response, f"order {contest.order} has a winner, and is shown as {body}")
        else:
            response.success()

    run.open.pop(contest.order, None)
    if len(contest.takers) > 1 and not contest.counted:
        contest.counted = True
        run.contested += 1
        run.takers += len(contest.takers)
        run.one_winner += len(contest.winners) == 1
    return True


class Client(FastHttpUser):
    """Lists orders like an administrator, and takes them like a courier."""

    wait_time = between(0.05, 0.25)
    network_timeout = TIMEOUT_S
    connection_timeout = TIMEOUT_S
    default_headers = {"User-Agent": "order-api-load-test"}
    # One persistent connection for each client.
    concurrency = 1

    def on_start(self):
        self.identity = uuid4().hex

    @task
    def list_and_race(self):
        self.walk()
        self.race()

    # ---- listing

    def walk(self):
        limit = random.choice((5, 20, 100))
        only = random.choice((None, None, "UNASSIGNED", "TAKEN"))
        more = f"&status={only}" if only else ""
        if run.newest and random.random() < 0.25:
            below = random.randint(1, run.newest)
            target = f"/orders?before={below}&limit={limit}{more}"
        else:
            below = None
            target = f"/orders?page={random.choice((1, 1, 1, 2, 7))}&limit={limit}{more}"
        # Half of the clients read one page, the others follow the links.
        for _ in range(random.choice((1, 1, 2, 3))):
            items, target = self.list(target, limit, below, only)
            if not target:
                break
            below = items[-1]["id"]

    def list(self, target, limit, below, only):
        """Reads one page; returns its orders and the target of its next link."""
        start = time.monotonic()
        name = LIST_PAGE if "page=" in target else LIST_CURSOR
        what = f"GET {name}"
        with self.client.get(target, name=name, catch_response=True) as response:
            status, body = parse_response(response)
            if status is None:
                run.fail(response, broken(response, what))
            elif is_overloaded(response, status):
                response.request_meta["name"] += " (overloaded)"
                response.success()
            elif status != 200:
                run.fail(response, unexpected(what, status, body))
            elif fault := fault_in_list(body, limit, below, only, start):
                run.fail(response, f"{what}: the list {fault}")
            else:
                link = response.headers.get("Link") or ""
                found = re.search(r'<(/orders/?\?[^>]*)>; *rel="next"', link)
                if found and len(body) < limit:
                    run.fail(response, f"{what}: a short page has a next link")
                    return body, None
                response.success()
                run.lists += 1
                return body, found and found[1]
        return [], None

    # ---- racing

    def race(self):
        contest = run.next_contest
        contest.racers += 1
        opener = whole = False
        try:
            if contest.racers < self.environment.runner.user_count and not run.stopping:
                contest.go.wait(ROUND_TIMEOUT_S)
            if contest.opened:
                contest.go.wait()
            elif contest.racers > 1 and not run.stopping:
                opener = contest.opened = True
                # Later clients join the next contest.
                run.next_contest = Contest()
                self.place(contest)
                contest.go.set()
            if contest.order:
                self.run_for(contest)
            whole = True
        finally:
            contest.racers -= 1
            if opener:
                contest.go.set()
            # A stopped client sends no more requests; its contest is settled when the run ends.
            if whole and contest.order and contest.racers == 0:
                settle(self.client, contest)

    def run_for(self, contest):
        for _ in range(1 + REPEATS):
            take(self.client, contest, self.key_for(contest))
            if self.key_for(contest) not in contest.unknown:
                break
            gevent.sleep(0.1)
        # Some winners repeat their take: it is the same win.
        if self.key_for(contest) in contest.winners and random.random() < 0.25:
            take(self.client, contest, self.key_for(contest))
        # Some clients take an older order again: it must stay taken, with the same winner.
        if random.random() < 0.05 and len(run.recent) > 1:
            old = random.choice(list(run.recent.values()))
            if old.order not in run.open:
                try:
                    take(self.client, old, self.key_for(old))
                finally:
                    if self.key_for(old) in old.unknown:
                        run.open[old.order] = old

    def key_for(self, contest):
        """Returns a key for this client and order. It is a secret: it proves the win."""
        return f"{self.identity}-{contest.order}"

    def place(self, contest):
        payload = json.dumps({"origin": random_point(), "destination": random_point()})
        headers = {**JSON, "Idempotency-Key": uuid4().hex}
        what = "POST /orders"
        for repeat in range(1 + REPEATS):
            older = run.newest
            with self.client.post(
                "/orders", data=payload, headers=headers, name="/orders", catch_response=True
            ) as response:
                status, body = parse_response(response)
                if status is None:
                    run.fail(response, broken(response, what))
                elif is_overloaded(response, status) and repeat < REPEATS:
                    response.request_meta["name"] += " (overloaded)"
                    response.success()
                    pause = retry_after_seconds(response)
                elif status != 200:
                    run.fail(response, unexpected(what, status, body))
                    return
                elif fault := fault_in_order(body):
                    run.fail(response, f"{what}: the order {fault}")
                    return
                elif body["status"] != "UNASSIGNED":
                    run.fail(response, f"{what}: a new order is {body['status']}")
                    return
                elif body["id"] <= older:
                    run.fail(response, f"{what}: the id {body['id']} after {older}")
                    return
                else:
                    response.success()
                    contest.order = body["id"]
                    break
            gevent.sleep(pause if status else 0.1)
        else:
            return
        run.newest = max(run.newest, contest.order)
        run.open[contest.order] = contest
        run.recent[contest.order] = contest
        if len(run.recent) > MAX_RECENT:
            run.recent.popitem(last=False)


# ---- the run


@events.init.add_listener
def reject_distributed_modes(environment, runner, **_):
    if not isinstance(runner, LocalRunner):
        logging.error(
            "this test runs in one process, because its rounds are synchronised in memory: "
            "remove --master, --worker and --processes"
        )
        sys.exit(2)
    # Clients finish their take when the run ends, so that their outcomes are known.
    environment.stop_timeout = environment.stop_timeout or TIMEOUT_S + 5


@events.test_start.add_listener
def begin(**_):
    global run
    run = Run(begun=True)


@events.test_stopping.add_listener
def stop_waiting(**_):
    run.stopping = True
    if not run.next_contest.opened:
        run.next_contest.go.set()


@events.test_stop.add_listener
def judge(environment, **_):
    global final_summary
    # Locust also fires this event if no run was started.
    if not run.begun:
        return
    verdicts.append(False)
    client = FastHttpSession(
        environment.host,
        environment.events.request,
        user=None,
        network_timeout=5,
        connection_timeout=5,
        headers=Client.default_headers,
        max_retries=0,
        concurrency=1,
    )
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    for contest in list(run.open.values()):
        if time.monotonic() > deadline or not settle(client, contest, deadline):
            run.failures["an order whose winner is unknown"] += 1

    causes = Counter(run.failures)
    for error in environment.runner.exceptions.values():
        causes[f"a defect of this test: {error['msg']}"] += error["count"]
    if not run.contested:
        causes["no order was contested; this needs at least two clients and enough time"] += 1
    if not run.lists:
        causes["no list succeeded"] += 1
    if run.one_winner != run.contested:
        causes["contested orders without exactly one winner"] += run.contested - run.one_winner

    verdicts[-1] = not causes
    final_summary = summary(environment, causes)
    # With the web page, another run may follow; without it the summary follows the tables.
    if environment.web_ui:
        print(final_summary, flush=True)


def summary(environment, causes):
    total = environment.stats.total
    p50, p95 = (total.get_response_time_percentile(part) or 0 for part in (0.5, 0.95))
    each = run.takers / run.contested if run.contested else 0
    lines = [
        "",
        f"Load test of {environment.host}",
        f"  rounds    {run.contested} orders contested, by {each:.1f} clients each",
        f"  winners   {run.one_winner} orders with exactly one",
        f"  losers    {sum(run.rejections.values())} rejections",
        *(f"            {count} x {text}" for text, count in run.rejections.most_common()),
        f"  lists     {run.lists} pages",
        f"  requests  {run.requests}, failures {sum(run.failures.values())},"
        f" p50 {p50:.0f} ms, p95 {p95:.0f} ms",
    ]
    worst = causes.most_common(20)
    lines += [f"  FAILED    {count} x {cause}" for cause, count in worst]
    if len(causes) > len(worst):
        lines.append(f"  FAILED    and {len(causes) - len(worst)} other causes")
    if not causes:
        lines.append("  PASSED    exactly one client won each order")
    return "\n".join(lines)


@events.quitting.add_listener
def decide(environment, **_):
    # After SIGTERM and Ctrl-C the run has not stopped.
    if environment.runner.state in (STATE_SPAWNING, STATE_RUNNING):
        environment.runner.stop()
    # If all runs passed, Locust decides: it may fail for other reasons.
    if not verdicts or not all(verdicts):
        environment.process_exit_code = 1


@events.quit.add_listener
def print_final_summary(exit_code, **_):
    if not verdicts:
        print("\nLoad test: no run was started")
    elif not all(verdicts) and verdicts[-1]:
        print("\nLoad test: the last run passed, an earlier one failed")
    else:
        print(final_summary)
    print(f"  exit code {exit_code}", flush=True)
