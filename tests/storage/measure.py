"""Places, takes and archives orders, and prints what each costs PostgreSQL.

The service is at HOST, its database is TestDB on the server of libpq's variables. Orders are archived
by the statements of docs/scale.md.
"""

import argparse
import http.client
import json
import os
import re
import subprocess
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

PAGE = Path(__file__).parents[2] / "docs/scale.md"
CLIENTS = (1, 64)
# How often the tables are vacuumed while they are filled.
ROUNDS = 20
BODY = json.dumps({"origin": ["50.456399", "12.707580"], "destination": ["59.436487", "24.747193"]})
RELATIONS = (
    "orders",
    "orders_pkey",
    "orders_by_status",
    "orders_by_take_key",
    "placement_keys",
    "placement_keys_pkey",
    "placement_keys_by_age",
)


def query(*statements: str) -> str:
    """Returns the output of statements, each in a transaction of its own."""
    command = ["psql", "-d", "TestDB", "-v", "ON_ERROR_STOP=1", "-AtqX"]
    command += [argument for sql in statements for argument in ("-c", sql)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def send(requests: list[tuple[str, str, str, str | None]], clients: int) -> list[dict]:
    """Sends requests, each a method, a path, a body and a key, from several clients at once."""
    responses: list[dict | None] = [None] * len(requests)
    remaining = iter(range(len(requests)))
    lock = threading.Lock()

    def run() -> None:
        connection = http.client.HTTPConnection(urlsplit(os.environ["HOST"]).netloc)
        while True:
            with lock:
                n = next(remaining, None)
            if n is None:
                return
            method, path, body, key = requests[n]
            headers = {"Content-Type": "application/json"}
            if key is not None:
                headers["Idempotency-Key"] = key
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
            if response.status == 200:
                responses[n] = json.loads(content)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = responses.count(None)
    if failed:
        raise SystemExit(f"storage: {failed} of {len(requests)} requests failed")
    return responses


def place(count: int, with_keys: bool, clients: int) -> list[int]:
    keys = (str(uuid.uuid4()) if with_keys else None for _ in range(count))
    placed = send([("POST", "/orders", BODY, key) for key in keys], clients)
    return sorted(order["id"] for order in placed)


def take(ids: list[int], clients: int) -> None:
    body = '{"status":"TAKEN"}'
    send([("PATCH", f"/orders/{n}", body, str(uuid.uuid4())) for n in ids], clients)


def statements(name: str) -> list[str]:
    """Returns the statements of the block of the page with this name."""
    block = re.search(rf"^```sql {name}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [statement for statement in block[1].split(";\n") if statement.strip()]


def archive() -> None:
    """Moves all orders to the archive, as if they were old."""
    while query("SELECT EXISTS (SELECT FROM orders)") == "t":
        query(*statements("archive"))
    query("VACUUM orders, placement_keys")


def sizes() -> list[int]:
    return [int(query(f"SELECT pg_relation_size('{name}')")) for name in RELATIONS]


def sizes_with_vacuum(orders: int) -> list[int]:
    """Returns the sizes if the space of old row versions is reused, as autovacuum allows."""
    empty()
    for _ in range(ROUNDS):
        take(place(orders // ROUNDS, True, max(CLIENTS)), max(CLIENTS))
        query("VACUUM orders, placement_keys")
    return sizes()


def empty() -> None:
    """Removes all orders."""
    query("TRUNCATE orders, placement_keys RESTART IDENTITY", "CHECKPOINT")


def print_table(header: list[str], lines: list[list]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|---" + "|---:" * (len(header) - 1) + "|")
    for line in lines:
        print("| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else cell for cell in line) + " |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, required=True)
    orders = parser.parse_args().orders

    # Nothing but the requests writes to the log meanwhile.
    for table in ("orders", "placement_keys"):
        query(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    query(
        "ALTER SYSTEM SET checkpoint_timeout = '1h'",
        "ALTER SYSTEM SET max_wal_size = '8GB'",
        "SELECT pg_reload_conf()",
    )

    log: dict[str, list[int]] = {}

    def measure(what: str, action: Callable[[], list[int] | None]) -> list[int] | None:
        lsn = query("SELECT pg_current_wal_insert_lsn()")
        result = action()
        written = int(query(f"SELECT pg_current_wal_insert_lsn() - '{lsn}'"))
        log.setdefault(what, []).append(round(written / orders))
        return result

    for clients in CLIENTS:
        empty()
        measure("a placement without a key", lambda: place(orders, False, clients))
        empty()
        ids = measure("a placement with a key", lambda: place(orders, True, clients))
        placed = sizes()
        measure("its take with a key, before a checkpoint", lambda: take(ids, clients))
        taken = sizes()
        empty()
        ids = place(orders, True, clients)
        query("CHECKPOINT")
        measure("its take with a key, after a checkpoint", lambda: take(ids, clients))
    vacuumed = sizes_with_vacuum(orders)

    version = query("SHOW server_version").split()[0]
    print(f"PostgreSQL {version}, {orders:,} orders, keys of 36 characters.\n")
    print("Bytes of storage for each order:\n")
    states = {"placed": placed, "placed and taken": taken, "taken and vacuumed": vacuumed}
    lines = [
        [f"`{name}`", *(round(size / orders) for size in of_states)]
        for name, *of_states in zip(RELATIONS, *states.values(), strict=True)
    ]
    lines.append(["together", *(round(sum(of) / orders) for of in states.values())])
    print_table(["", *states], lines)
    header = ["", *(f"{n} client{'s' if n > 1 else ''}" for n in CLIENTS)]
    print("Bytes of write-ahead log for each:\n")
    print_table(header, [[what, *of] for what, of in log.items()])

    query(
        *statements("before archiving"),
        "UPDATE placement_keys SET created_at = created_at - interval '2 days'",
        "VACUUM FULL placement_keys",
        "CHECKPOINT",
    )
    measure("archived", archive)
    kept = int(query("SELECT count(*) FROM orders_archive"))
    if kept != orders:
        raise SystemExit(f"storage: {kept} of {orders} orders are in the archive")
    print(f"To archive an order: {log['archived'][0]:,} bytes of write-ahead log.")


if __name__ == "__main__":
    main()
