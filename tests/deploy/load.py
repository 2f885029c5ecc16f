"""Clients that place, take and read orders continuously, and record the responses."""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

ROUTE = {"origin": ["50.456399", "12.707580"], "destination": ["59.436487", "24.747193"]}
JSON = {"Content-Type": "application/json"}


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


class Client:
    """One connection, reopened if the server has closed it."""

    def __init__(self, address: str, timeout: float = 30):
        self.connection = http.client.HTTPConnection(*host_and_port(address), timeout=timeout)

    def request(self, method: str, path: str, body=None, headers=None) -> Response:
        try:
            if body is not None and not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            self.connection.request(method, path, body, headers or {})
            response = self.connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, names, response.read())
        except BaseException:
            self.connection.close()
            raise

    def get(self, path: str, headers=None) -> Response:
        return self.request("GET", path, headers=headers)

    def place(self, key: str | None = None) -> Response:
        return self.request("POST", "/orders", ROUTE, JSON | keyed(key))

    def take(self, order: int, key: str | None = None) -> Response:
        return self.request("PATCH", f"/orders/{order}", {"status": "TAKEN"}, JSON | keyed(key))

    def all_orders(self) -> dict[int, str]:
        """Returns the status of every order, read by the cursor."""
        orders, before = {}, 2**63 - 1
        while page := self.get(f"/orders?before={before}&limit=1000").json:
            for order in page:
                assert order["id"] not in orders, f"order {order['id']} is listed twice"
                orders[order["id"]] = order["status"]
            before = page[-1]["id"]
        return orders


def keyed(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}


@dataclass
class Load:
    """Requests of several concurrent clients, until the context ends.

    GET, POST and PATCH with a key; with `keyless` also POST without a key, which no proxy may repeat.
    """

    address: str
    clients: int = 8
    # If the server itself is stopped, a client repeats its request with the same key for this many
    # seconds, as docs/api.md describes. By default no request is repeated.
    retry_seconds: float = 0
    keyless: bool = False
    done: Counter = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    placed: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)

    def __post_init__(self):
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run) for _ in range(self.clients)]

    def __enter__(self):
        self.before = len(Client(self.address).all_orders())
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def run(self):
        client = Client(self.address)
        while not self.over.is_set():
            key = str(uuid.uuid4())
            placed = self.succeed("POST", lambda: client.place(key))
            if not placed:
                continue
            order = placed.json["id"]
            with self.lock:
                self.placed.append(order)
            taken = self.succeed("PATCH", lambda: client.take(order, key + "-take"))
            if taken and taken.json != {"status": "SUCCESS"}:
                self.fail(f"PATCH: {taken.json}")
            self.succeed("GET", lambda: client.get("/orders?page=1&limit=10"))
            self.succeed("GET", lambda: client.get(f"/orders/{order}"))
            if self.keyless and (left := self.succeed("keyless POST", lambda: client.place())):
                with self.lock:
                    self.left.append(left.json["id"])

    def succeed(self, method: str, send) -> Response | None:
        deadline = time.monotonic() + self.retry_seconds
        while True:
            sent_at = time.monotonic()
            try:
                response = send()
                if response.status == 200:
                    with self.lock:
                        self.done[method] += 1
                    return response
                problem = f"{response.status} {response.body[:200]!r}"
            except (OSError, http.client.HTTPException) as error:
                problem = repr(error)
            if time.monotonic() > deadline:
                self.fail(f"{method}: {problem} after {time.monotonic() - sent_at:.2f} s")
                return None
            time.sleep(0.1)

    def fail(self, what: str):
        with self.lock:
            self.failed.append(what)

    def verify(self):
        """Asserts that no request failed, no order is lost, and no change happened twice."""
        assert not self.failed, f"{len(self.failed)} of {self.done} failed: {self.failed[:5]}"
        orders = Client(self.address).all_orders()
        lost = [order for order in self.placed if orders.get(order) != "TAKEN"]
        lost += [order for order in self.left if orders.get(order) != "UNASSIGNED"]
        assert not lost, f"{len(lost)} orders are lost or have the wrong status: {lost[:5]}"
        added = len(orders) - self.before
        acknowledged = {*self.placed, *self.left}
        assert added == len(acknowledged), f"{len(acknowledged)} acknowledged, {added} stored"
        assert self.placed, "no order was placed"

    def summary(self) -> str:
        done = ", ".join(f"{number} {method}" for method, number in sorted(self.done.items()))
        return f"{done}; {len(self.failed)} failed"
