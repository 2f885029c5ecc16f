"""Clients that place, take and read orders, and retry as docs/api.md describes."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
import uuid
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import aiohttp

from history import DESTINATION, UNCHANGED, UNKNOWN, Attempt, next_origin
from services import Service

# A client sends at most one request in this many seconds.
INTERVAL = 0.05
CLIENTS = 8
# A fresh request in this many seconds shows whether a service is available, whatever the clients
# wait for.
SAMPLE_INTERVAL = 0.25
# How long a client waits for a response, as with curl's --max-time in docs/api.md.
TIMEOUT = 20
# The longest pause between two attempts: of its own, and if the service asks for one.
LONGEST_PAUSE, LONGEST_RETRY_AFTER = 1, 5
# How long a client repeats a request. All outages of the scenarios are shorter.
RETRY_TIMEOUT = 90
LIST_LIMIT = 20
# How many of the newest orders the couriers compete for.
RECENT = 30


@dataclass
class Action:
    """A request of a client, with all that its attempts have in common."""

    kind: str
    request: str
    key: str | None = None
    origin: tuple[str, str] | None = None
    order: int | None = None

    def send(self, session: aiohttp.ClientSession, address: str):
        headers = {"Idempotency-Key": self.key} if self.key else {}
        match self.kind:
            case "place":
                body = {"origin": self.origin, "destination": DESTINATION}
                return session.post(f"{address}/orders", json=body, headers=headers)
            case "take":
                return session.patch(f"{address}/orders/{self.order}", json={"status": "TAKEN"}, headers=headers)
            case "find":
                return session.get(f"{address}/orders/{self.order}")
            case _:
                place = f"before={self.order}" if self.order else "page=1"
                return session.get(f"{address}/orders?{place}&limit={LIST_LIMIT}")


class Load:
    """Clients in a thread of their own. Every attempt is appended to the history."""

    def __init__(self, services: list[Service], history: list[Attempt], name: str):
        self.services, self.history, self.name = services, history, name
        self.recent: deque[int] = deque(maxlen=RECENT)
        self.is_over = False
        self.loop = asyncio.new_event_loop()
        self.thread = ThreadPoolExecutor(1)
        self.bursts: list[asyncio.Task] = []
        self.is_paused = False

    def __enter__(self):
        self.task = self.loop.create_task(self.run())
        self.outcome = self.thread.submit(self.loop.run_until_complete, self.task)
        return self

    def __exit__(self, error, *_):
        """Waits until the clients have completed their requests, or cancels them after an error."""
        self.is_over = True
        if error:
            self.loop.call_soon_threadsafe(self.task.cancel)
        else:
            self.outcome.result()
        self.thread.shutdown()

    def pause(self):
        """Sends no further request, so that all connections to the database become idle."""
        self.is_paused = True

    def resume(self):
        self.is_paused = False

    def burst(self, clients: int, seconds: float):
        """Adds clients that send without a pause, so that all connections to the database are busy."""
        until = time.monotonic() + seconds

        async def send(name: str, service: int):
            while time.monotonic() < until and not self.is_over:
                await self.act(name, service, self.next_action(name, is_keyed=True))

        async def start():
            self.bursts += [asyncio.create_task(send(f"{self.name} burst {n}", n)) for n in range(clients)]

        asyncio.run_coroutine_threadsafe(start(), self.loop).result()

    async def run(self):
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        headers = {"Accept": "application/problem+json"}
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as self.session:
            tasks = [self.client(n) for n in range(CLIENTS)]
            tasks += [self.sample(n) for n in range(len(self.services))]
            await asyncio.gather(*tasks)
            await asyncio.gather(*self.bursts)

    async def client(self, n: int):
        """Half of the clients have keys. Each half uses each service."""
        name, is_keyed = f"{self.name} client {n}", n % 2 == 0
        while not self.is_over:
            next_at = time.monotonic() + INTERVAL
            if not self.is_paused:
                await self.act(name, n // 2, self.next_action(name, is_keyed))
            await asyncio.sleep(next_at - time.monotonic())

    async def sample(self, n: int):
        """Sends requests at a fixed rate, which are not repeated."""
        name, service, tasks = f"{self.name} sample {n}", self.services[n], set()
        for count in itertools.count():
            if self.is_over:
                break
            if not self.is_paused:
                kind = "place" if count % 2 == 0 else "list"
                task = asyncio.create_task(self.attempt(name, service, self.action(kind, is_keyed=False)))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(SAMPLE_INTERVAL / 2)
        if tasks:
            await asyncio.wait(tasks)

    def next_action(self, name: str, is_keyed: bool) -> Action:
        kinds = ["place", "take", "find", "list"] if self.recent else ["place"]
        return self.action(random.choices(kinds, [4, 4, 2, 2][: len(kinds)])[0], is_keyed)

    def action(self, kind: str, is_keyed: bool) -> Action:
        request = uuid.uuid4().hex
        key = request if is_keyed and kind in ("place", "take") else None
        match kind:
            case "place":
                return Action(kind, request, key, origin=next_origin())
            case "list":
                return Action(kind, request, order=random.choice([None, *self.recent]))
            case _:
                return Action(kind, request, key, order=random.choice(self.recent))

    async def act(self, name: str, n: int, action: Action):
        """Sends a request, and repeats it while that is safe and useful."""
        deadline, pause = time.monotonic() + RETRY_TIMEOUT, 0.1
        while True:
            attempt = await self.attempt(name, self.services[n % len(self.services)], action)
            if not may_be_repeated(attempt) or self.is_over and time.monotonic() > deadline - RETRY_TIMEOUT / 2:
                return
            if time.monotonic() > deadline:
                return
            # The other service may be available, and knows the key.
            n += 1
            await asyncio.sleep(min(attempt.retry_after, LONGEST_RETRY_AFTER) if attempt.retry_after else pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def attempt(self, name: str, service: Service, action: Action) -> Attempt:
        attempt = Attempt(name, service.name, action.kind, action.request, begin=time.monotonic(), end=0)
        attempt.key, attempt.origin, attempt.order = action.key, action.origin, action.order
        attempt.limit = LIST_LIMIT if action.kind == "list" else None
        try:
            async with action.send(self.session, service.address) as response:
                body = await response.json(content_type=None)
                # A request that is too slow to be read receives a status without a body.
                attempt.code = "ok" if response.status == 200 else (body or {"code": str(response.status)})["code"]
                attempt.body = body if action.kind != "take" else None
                attempt.replayed = "Idempotency-Replayed" in response.headers
                attempt.retry_after = float(response.headers.get("Retry-After", 0)) or None
        except aiohttp.ClientConnectorError:
            attempt.code = "not_sent"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            attempt.code = "no_response"
        attempt.end = time.monotonic()
        self.history.append(attempt)
        if attempt.kind == "place" and attempt.is_ok:
            self.recent.append(attempt.body["id"])
        return attempt


def may_be_repeated(attempt: Attempt) -> bool:
    """A change without a key must not be repeated if it may have happened."""
    if attempt.code in UNCHANGED:
        return attempt.code != "order_busy"
    return attempt.code in UNKNOWN and (attempt.key is not None or not attempt.is_write)
