"""Writes with libpq alone, in a loop that connects to any writable host.

The services are compared with it.
"""

from __future__ import annotations

import select
import threading
import time

import psycopg
from psycopg import pq

# As the service has them (crates/repo-postgres/src/connection_info.rs).
PARAMETERS = (
    "target_session_attrs=read-write connect_timeout=2 tcp_user_timeout=10000 "
    "keepalives_idle=10 keepalives_interval=5 keepalives_count=3"
)
# A frozen server never answers, and TCP does not notice it. The service has the same bound
# (docs/decisions/010-database-calls-are-bounded.md).
STATEMENT_TIMEOUT = 10
INTERVAL = 0.05


class LibpqWriter(threading.Thread):
    """Inserts numbers into the table `numbers`, until the context ends."""

    def __init__(self, address: str):
        super().__init__(daemon=True)
        self.address = f"{address} {PARAMETERS}".encode()
        # The times at which a row was acknowledged.
        self.written: list[float] = []
        # Those of them that are the first after a failure.
        self.recovered: list[float] = []
        self.is_over = False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, error, *_):
        self.is_over = True
        if not error:
            self.join()

    def run(self):
        connection, has_failed = None, False
        while not self.is_over:
            try:
                connection = connection or pq.PGconn.connect(self.address)
                insert(connection)
                now = time.monotonic()
                self.written.append(now)
                if has_failed:
                    self.recovered.append(now)
                has_failed = False
            except (psycopg.Error, OSError):
                connection, has_failed = None, True
            time.sleep(INTERVAL)


def insert(connection: pq.PGconn):
    """Inserts a row, or raises an error within the timeout."""
    if connection.status != pq.ConnStatus.OK:
        raise ConnectionError(connection.error_message)
    deadline = time.monotonic() + STATEMENT_TIMEOUT
    connection.send_query(b"INSERT INTO numbers DEFAULT VALUES")
    while connection.is_busy():
        if not select.select([connection.socket], [], [], max(0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        connection.consume_input()
    result = connection.get_result()
    if result is None or result.status != pq.ExecStatus.COMMAND_OK:
        raise ConnectionError(connection.error_message)
    # The end of the results. Without it, the connection remains busy.
    connection.get_result()
