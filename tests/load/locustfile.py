"""The load test: many clients list orders, and all try to take the same one.

It goes in rounds. Clients list orders and meet at a starting line. When all are there (or have
waited long enough) one of them places an order, and all try to take it at the same instant. An
order that at least two clients raced for counts as contested. Rounds repeat, so a long run contests
many orders, and the database needs no preparation.

Nothing is mocked: the service works, places orders and keeps them. Give it a test database. With
`DISTANCE_PROVIDER=google` each round is one question to Google.

The run fails, with exit code 1 and the causes in its last lines, when

* a contested order has not exactly one winner, or is not TAKEN afterwards;
* a winner that asks again is not told, by a replay, that it won;
* a take is answered with anything but 200, 400, or 503 with `Retry-After` (`overloaded`);
* a list fails, is no array of orders with ids descending, or shows a taken order as free;
* an order cannot be placed;
* no order was contested or none listed: a test that tried nothing has shown nothing.

A client whose connection broke does not know whether it won. It repeats with its
Idempotency-Key, and learns it: a winner's repeat is answered as a replay, and is the same win. The
broken connection itself is a failure. What is still open when the run ends is settled in the same
way, from the last client or after all have stopped.

The rounds are synchronised in memory, so it runs in one process; distributed modes are refused.
Start it with `make test-load`, or `tests/load/run.sh`, which tells its settings.
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

# How long the first at the starting line waits for the others.
PATIENCE_S = 1.0
# How often a request whose outcome is not known is repeated.
REPEATS = 3
# How long the end of a run may take to settle what is open.
SETTLE_S = 20
# More than the service's REQUEST_TIMEOUT, so that the service gives up first and says why.
TIMEOUT_S = 20.0
# How many of the latest contested orders are remembered, to look for them in lists.
REMEMBERED = 500

LIST_PAGE = "/orders?page={n}&limit={n}"
LIST_CURSOR = "/orders?before={id}&limit={n}"
ONE = "/orders/{id}"
JSON = {"Content-Type": "application/json"}

# The HTTP client repeats a GET by itself when the connection breaks. That would hide failures.
assert hasattr(geventhttpclient.client, "_may_retry_after_send_error")
geventhttpclient.client._may_retry_after_send_error = lambda method: False


class Contest:
    """A starting line, then an order, and all who try to take it."""

    def __init__(self):
        self.racers = 0
        self.opened = False
        self.go = Event()
        self.order = None
        # Clients are known by their Idempotency-Keys.
        self.takers = set()
        self.unknown = set()
        self.winners = set()
        self.won_at = None
        self.counted = False


class Arena:
    """What all clients of a run share: the starting line, and the books."""

    def __init__(self, begun=False):
        self.begun = begun
        self.stopping = False
        self.line = Contest()
        self.newest = 0
        self.open = {}
        self.recent = OrderedDict()
        self.contested = self.one_winner = self.takers = 0
        self.lists = self.requests = 0
        self.refusals = Counter()
        self.failures = Counter()

    def fail(self, response, cause):
        """Books a failed request, here and in Locust's statistics."""
        response.failure(cause)
        self.failures[cause] += 1

    def refused(self, message):
        # Messages of the contract are few; others must not fill the memory.
        known = message in self.refusals or len(self.refusals) < 20
        self.refusals[message if known else "(other messages)"] += 1


arena = Arena()
# One bad run fails the process, also when its web page has started good ones since.
verdicts = []
last_words = ""


def answered(response):
    """The status of an answer that arrived whole, else None; its body as JSON, else None."""
    arena.requests += 1
    error = response.request_meta["exception"]
    # A bad status is an answer, all else is none.
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


def pause_asked_for(response):
    text = str(response.headers.get("Retry-After"))
    return min(int(text), 2) if text.isdecimal() else 1


def somewhere():
    return [f"{random.uniform(52.4, 52.6):.6f}", f"{random.uniform(13.2, 13.6):.6f}"]


def fault_in_order(item):
    """What is wrong with an order as lists and placements show it, or None."""
    if not isinstance(item, dict) or set(item) != {"id", "distance", "status"}:
        return f"is not {{id, distance, status}}: {str(item)[:80]}"
    if type(item["id"]) is not int or item["id"] < 1:
        return f"has the id {item['id']!r}"
    if type(item["distance"]) is not int or item["distance"] < 0:
        return f"has the distance {item['distance']!r}"
    if item["status"] not in ("UNASSIGNED", "TAKEN"):
        return f"has the status {item['status']!r}"
    return None


def fault_in_list(body, limit, below, only, began):
    """What is wrong with a list, or None."""
    if not isinstance(body, list):
        return f"is no array: {str(body)[:80]}"
    if len(body) > limit:
        return "is longer than its limit"
    for item in body:
        if fault := fault_in_order(item):
            return f"has an order that {fault}"
        if below is not None and item["id"] >= below:
            return "is not sorted: ids must descend, and stay below the cursor"
        below = item["id"]
        if only and item["status"] != only:
            return f"of {only} has another status"
        contest = arena.recent.get(item["id"])
        taken = contest and contest.won_at and contest.won_at < began
        if taken and item["status"] != "TAKEN":
            return f"shows the taken order {item['id']} as {item['status']}"
    return None


def take(client, contest, key):
    """Tries once to take the order. Whether it won is in the contest's books."""
    first = key not in contest.takers
    was_unknown = key in contest.unknown
    contest.takers.add(key)
    # Also when this client is killed before the answer.
    contest.unknown.add(key)
    what = f"PATCH {ONE}"
    with client.patch(
        f"/orders/{contest.order}",
        data='{"status":"TAKEN"}',
        headers={**JSON, "Idempotency-Key": key},
        name=ONE,
        catch_response=True,
    ) as response:
        status, body = answered(response)
        row = response.request_meta

        if status is None:
            row["name"] += " (broken)"
            arena.fail(response, broken(response, what))
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
                    arena.one_winner -= 1
                arena.fail(response, f"order {contest.order} has {count} winners")
            elif again and not replayed:
                arena.fail(response, f"order {contest.order} was taken twice by its winner")
            elif first and replayed:
                arena.fail(response, f"{what}: a first take was answered as a replay")
            elif body != {"status": "SUCCESS"}:
                arena.fail(response, unexpected(what, status, body))
            else:
                response.success()
        elif is_overloaded(response, status):
            row["name"] += " (overloaded)"
            # This request changed nothing; of an earlier one that broke it says nothing.
            if not was_unknown:
                contest.unknown.discard(key)
            arena.refused("503 overloaded")
            response.success()
        elif status == 400:
            row["name"] += " (lost)"
            contest.unknown.discard(key)
            message = body.get("error") if isinstance(body, dict) else None
            if key in contest.winners:
                arena.fail(response, f"order {contest.order}: its winner was told: {message}")
            elif not isinstance(message, str) or not message:
                arena.fail(response, f"{what}: a refusal without an error message")
            else:
                arena.refused(f"400 {message}")
                response.success()
        else:
            row["name"] += " (failed)"
            # A failure of the service may come after the change.
            if status < 500:
                contest.unknown.discard(key)
            arena.fail(response, unexpected(what, status, body))


def settle(client, contest, deadline=None):
    """Makes sure that the order has its one winner, and that the service says so too."""
    for repeat in range(REPEATS):
        # A winner may be one whose connection broke, or whose refusal said that the outcome is not
        # known. And who all were told that somebody is busy with the order may try again.
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
        status, body = answered(response)
        if status is None:
            arena.fail(response, broken(response, what))
            return False
        if status != 200 or not isinstance(body, dict):
            arena.fail(response, unexpected(what, status, body))
            return False
        shown = body.get("status")
        if not contest.winners:
            arena.fail(response, f"order {contest.order} has no winner, and is {shown}")
        elif body.get("id") != contest.order or shown != "TAKEN" or not body.get("taken_at"):
            arena.fail(response, f"order {contest.order} has a winner, and is shown as {body}")
        else:
            response.success()

    arena.open.pop(contest.order, None)
    if len(contest.takers) > 1 and not contest.counted:
        contest.counted = True
        arena.contested += 1
        arena.takers += len(contest.takers)
        arena.one_winner += len(contest.winners) == 1
    return True


class Client(FastHttpUser):
    """Lists orders like an administrator, races for them like a courier."""

    wait_time = between(0.05, 0.25)
    network_timeout = TIMEOUT_S
    connection_timeout = TIMEOUT_S
    default_headers = {"User-Agent": "order-api-load-test"}
    # One connection for each client, and it is kept.
    concurrency = 1

    def on_start(self):
        self.identity = uuid4().hex

    @task
    def look_and_race(self):
        self.look()
        self.race()

    # ---- listing

    def look(self):
        limit = random.choice((5, 20, 100))
        only = random.choice((None, None, "UNASSIGNED", "TAKEN"))
        more = f"&status={only}" if only else ""
        if arena.newest and random.random() < 0.25:
            below = random.randint(1, arena.newest)
            target = f"/orders?before={below}&limit={limit}{more}"
        else:
            below = None
            target = f"/orders?page={random.choice((1, 1, 1, 2, 7))}&limit={limit}{more}"
        # Half of them look at one page, the others follow the links a little.
        for _ in range(random.choice((1, 1, 2, 3))):
            items, target = self.list(target, limit, below, only)
            if not target:
                break
            below = items[-1]["id"]

    def list(self, target, limit, below, only):
        """One page: its orders, and where the next one is."""
        began = time.monotonic()
        name = LIST_PAGE if "page=" in target else LIST_CURSOR
        what = f"GET {name}"
        with self.client.get(target, name=name, catch_response=True) as response:
            status, body = answered(response)
            if status is None:
                arena.fail(response, broken(response, what))
            elif is_overloaded(response, status):
                response.request_meta["name"] += " (overloaded)"
                response.success()
            elif status != 200:
                arena.fail(response, unexpected(what, status, body))
            elif fault := fault_in_list(body, limit, below, only, began):
                arena.fail(response, f"{what}: the list {fault}")
            else:
                link = response.headers.get("Link") or ""
                found = re.search(r'<(/orders/?\?[^>]*)>; *rel="next"', link)
                if found and len(body) < limit:
                    arena.fail(response, f"{what}: a short page has a next one")
                    return body, None
                response.success()
                arena.lists += 1
                return body, found and found[1]
        return [], None

    # ---- racing

    def race(self):
        contest = arena.line
        contest.racers += 1
        opener = whole = False
        try:
            if contest.racers < self.environment.runner.user_count and not arena.stopping:
                contest.go.wait(PATIENCE_S)
            if contest.opened:
                contest.go.wait()
            elif contest.racers > 1 and not arena.stopping:
                opener = contest.opened = True
                # Who comes from now on is too late for this one.
                arena.line = Contest()
                self.place(contest)
                contest.go.set()
            if contest.order:
                self.run_for(contest)
            whole = True
        finally:
            contest.racers -= 1
            if opener:
                contest.go.set()
            # Who was killed sends nothing more. Such a contest is settled when the run ends.
            if whole and contest.order and contest.racers == 0:
                settle(self.client, contest)

    def run_for(self, contest):
        for _ in range(1 + REPEATS):
            take(self.client, contest, self.key_for(contest))
            if self.key_for(contest) not in contest.unknown:
                break
            gevent.sleep(0.1)
        # Some winners ask again: it is the same win.
        if self.key_for(contest) in contest.winners and random.random() < 0.25:
            take(self.client, contest, self.key_for(contest))
        # Some come back to an older order: it must stay taken, and its winner must stay its winner.
        if random.random() < 0.05 and len(arena.recent) > 1:
            old = random.choice(list(arena.recent.values()))
            if old.order not in arena.open:
                try:
                    take(self.client, old, self.key_for(old))
                finally:
                    if self.key_for(old) in old.unknown:
                        arena.open[old.order] = old

    def key_for(self, contest):
        """A key for each client and order. It is a secret: who knows it can pass for the winner."""
        return f"{self.identity}-{contest.order}"

    def place(self, contest):
        wish = json.dumps({"origin": somewhere(), "destination": somewhere()})
        headers = {**JSON, "Idempotency-Key": uuid4().hex}
        what = "POST /orders"
        for repeat in range(1 + REPEATS):
            older = arena.newest
            with self.client.post(
                "/orders", data=wish, headers=headers, name="/orders", catch_response=True
            ) as response:
                status, body = answered(response)
                if status is None:
                    arena.fail(response, broken(response, what))
                elif is_overloaded(response, status) and repeat < REPEATS:
                    response.request_meta["name"] += " (overloaded)"
                    response.success()
                    pause = pause_asked_for(response)
                elif status != 200:
                    arena.fail(response, unexpected(what, status, body))
                    return
                elif fault := fault_in_order(body):
                    arena.fail(response, f"{what}: the order {fault}")
                    return
                elif body["status"] != "UNASSIGNED":
                    arena.fail(response, f"{what}: a new order is {body['status']}")
                    return
                elif body["id"] <= older:
                    arena.fail(response, f"{what}: the id {body['id']} after {older}")
                    return
                else:
                    response.success()
                    contest.order = body["id"]
                    break
            gevent.sleep(pause if status else 0.1)
        else:
            return
        arena.newest = max(arena.newest, contest.order)
        arena.open[contest.order] = contest
        arena.recent[contest.order] = contest
        if len(arena.recent) > REMEMBERED:
            arena.recent.popitem(last=False)


# ---- the run


@events.init.add_listener
def refuse_to_be_distributed(environment, runner, **_):
    if not isinstance(runner, LocalRunner):
        logging.error(
            "This test runs in one process: its clients meet at a starting line in memory. "
            "Leave out --master, --worker and --processes."
        )
        sys.exit(2)
    # Clients finish their race when the run ends, else their outcomes are not known.
    environment.stop_timeout = environment.stop_timeout or TIMEOUT_S + 5


@events.test_start.add_listener
def begin(**_):
    global arena
    arena = Arena(begun=True)


@events.test_stopping.add_listener
def send_home(**_):
    arena.stopping = True
    if not arena.line.opened:
        arena.line.go.set()


@events.test_stop.add_listener
def judge(environment, **_):
    global last_words
    # Locust also stops what nobody started.
    if not arena.begun:
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
    deadline = time.monotonic() + SETTLE_S
    for contest in list(arena.open.values()):
        if time.monotonic() > deadline or not settle(client, contest, deadline):
            arena.failures["an order whose winner could not be learned"] += 1

    causes = Counter(arena.failures)
    for error in environment.runner.exceptions.values():
        causes[f"a defect of this test: {error['msg']}"] += error["count"]
    if not arena.contested:
        causes["no order was contested; it needs two clients or more, and time"] += 1
    if not arena.lists:
        causes["no list was answered well"] += 1
    if arena.one_winner != arena.contested:
        causes["contested orders without exactly one winner"] += arena.contested - arena.one_winner

    verdicts[-1] = not causes
    last_words = summary(environment, causes)
    # The web page may start another run; without it the summary comes last, after the tables.
    if environment.web_ui:
        print(last_words, flush=True)


def summary(environment, causes):
    total = environment.stats.total
    p50, p95 = (total.get_response_time_percentile(part) or 0 for part in (0.5, 0.95))
    each = arena.takers / arena.contested if arena.contested else 0
    lines = [
        "",
        f"Load test of {environment.host}",
        f"  rounds    {arena.contested} orders contested, by {each:.1f} clients each",
        f"  winners   {arena.one_winner} orders with exactly one",
        f"  losers    {sum(arena.refusals.values())} refusals",
        *(f"            {count} x {text}" for text, count in arena.refusals.most_common()),
        f"  lists     {arena.lists} pages",
        f"  requests  {arena.requests}, failures {sum(arena.failures.values())},"
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
    # After SIGTERM and Ctrl-C the run is still going on.
    if environment.runner.state in (STATE_SPAWNING, STATE_RUNNING):
        environment.runner.stop()
    # Where all is well Locust decides: it has reasons of its own to fail.
    if not verdicts or not all(verdicts):
        environment.process_exit_code = 1


@events.quit.add_listener
def say_last_words(exit_code, **_):
    if not verdicts:
        print("\nLoad test: nothing was run, so nothing was shown")
    elif not all(verdicts) and verdicts[-1]:
        print("\nLoad test: the last run passed, an earlier one failed")
    else:
        print(last_words)
    print(f"  exit code {exit_code}", flush=True)
