"""Databases with many orders, which are filled within seconds and differ in size only.

The orders are those of 100 days, and their clients sent idempotency keys. Unassigned are those of
the last day, and one of fifty others. The keys of placements expire after a day, so those of the
last day are stored.
"""

import sqlite3
import subprocess
from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path

from jobs import COLUMNS
from service import database_url, load, psql

DAYS = 100
ROWS = """
INSERT INTO orders ({columns}, taken_at, take_key)
SELECT 50 + n % 1000 / 1000.0, 12.70758, 59.436487, 24.747193, 1000000 + n % 500000,
    CASE WHEN is_unassigned THEN 'UNASSIGNED' ELSE 'TAKEN' END, placed_at, placed_at,
    CASE WHEN NOT is_unassigned THEN placed_at END, CASE WHEN NOT is_unassigned THEN {key} END
FROM (
    SELECT n, {placed_at} AS placed_at, {is_unassigned} AS is_unassigned FROM {series}
) AS input;
"""
KEYS = """
INSERT INTO placement_keys (key, order_id, created_at)
SELECT {key}, id, created_at FROM orders WHERE id > {old};
"""
DELETE_ADDED = """
DELETE FROM placement_keys WHERE order_id > {orders};
DELETE FROM orders WHERE id > {orders};
"""


class Database(ABC):
    """A migrated database. `orders` is how many it has, without those that runs add."""

    url: str

    def __init__(self, binary: str, orders: int):
        self.orders = orders
        environment = {"DATABASE_URL": self.url}
        subprocess.run([binary, "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL)
        self.fill()

    def reset(self) -> None:
        """Deletes the orders that runs have added, if they are more than a tenth."""
        if self.newest() > self.orders * 1.1:
            self.delete_added()

    @abstractmethod
    def fill(self) -> None:
        """Adds the orders to an empty database."""

    @abstractmethod
    def drop(self) -> None:
        """Deletes the database."""

    @abstractmethod
    def newest(self) -> int:
        """Returns the largest id."""

    @abstractmethod
    def delete_added(self) -> None:
        """Deletes the orders that runs have added."""

    @abstractmethod
    def add_unassigned(self, orders: int) -> int:
        """Adds unassigned orders and returns the first id."""

    def rows(self, **expressions: str) -> str:
        old = self.orders - self.orders // DAYS
        expressions.setdefault("is_unassigned", f"(n > {old} OR n % 50 = 0)")
        return ROWS.format(columns=COLUMNS, **expressions)

    def age_in_seconds(self) -> str:
        return f"({self.orders} - n) * {DAYS * 86_400 / self.orders}"


class Postgres(Database):
    """A database of the server, with the statistics that autovacuum would gather."""

    def __init__(self, binary: str, orders: int):
        self.name = f"growth_{orders}"
        self.url = database_url(self.name)
        super().__init__(binary, orders)

    def fill(self) -> None:
        # An index is faster to create than to add random keys to.
        indexes = "FROM pg_indexes WHERE tablename = 'orders' AND indexname LIKE 'orders\\_by%'"
        names = psql(self.name, f"SELECT string_agg(indexname, ', ') {indexes}")
        definitions = psql(self.name, f"SELECT indexdef || ';' {indexes}")
        rows = self.rows(
            key="md5(n::text)",
            placed_at=f"now() - make_interval(secs => {self.age_in_seconds()})",
            series=f"generate_series(1, {self.orders}) AS n",
        )
        keys = KEYS.format(key="md5('placement ' || id)", old=self.orders - self.orders // DAYS)
        psql(
            self.name,
            f"DROP INDEX {names}; {rows} SET maintenance_work_mem = '1GB'; {definitions} {keys}",
        )
        self.vacuum()

    def drop(self) -> None:
        psql("postgres", f"DROP DATABASE {self.name} WITH (FORCE)")

    def vacuum(self) -> None:
        psql(self.name, "VACUUM ANALYZE orders, placement_keys")
        psql("postgres", "CHECKPOINT")

    def newest(self) -> int:
        return int(psql(self.name, "SELECT max(id) FROM orders"))

    def delete_added(self) -> None:
        # A replica does not check foreign keys; the one of `placement_keys` has no index.
        psql(
            self.name,
            f"SET session_replication_role = replica; {DELETE_ADDED.format(orders=self.orders)}"
            f"SELECT setval(pg_get_serial_sequence('orders', 'id'), {self.orders})",
        )
        self.vacuum()

    def add_unassigned(self, orders: int) -> int:
        return load(self.name, orders)


class Sqlite(Database):
    """A file. The service gathers no statistics of it, so there are none."""

    NOW = "CAST(strftime('%s', 'now') AS INTEGER) * 1000000"
    SERIES = (
        "(WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {orders}) "
        "SELECT n FROM series)"
    )
    KEY = "lower(hex(randomblob(16)))"

    def __init__(self, binary: str, orders: int, folder: Path):
        self.path = folder / f"growth-{orders}.db"
        self.url = f"sqlite://{self.path}"
        super().__init__(binary, orders)

    def execute(self, sql: str) -> None:
        """Executes statements in one transaction, and moves the log to the file."""
        with closing(sqlite3.connect(self.path)) as connection:
            # In pages. Random keys are added to the index in memory.
            connection.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = 1000000;")
            connection.executescript(f"BEGIN IMMEDIATE; {sql} COMMIT; PRAGMA wal_checkpoint(TRUNCATE);")

    def fill(self) -> None:
        rows = self.rows(
            key=self.KEY,
            placed_at=f"{self.NOW} - CAST({self.age_in_seconds()} * 1000000 AS INTEGER)",
            series=self.SERIES.format(orders=self.orders),
        )
        self.execute(rows + KEYS.format(key=self.KEY, old=self.orders - self.orders // DAYS))

    def drop(self) -> None:
        self.path.unlink()

    def newest(self) -> int:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute("SELECT max(id) FROM orders").fetchone()[0]

    def delete_added(self) -> None:
        restart = f"UPDATE sqlite_sequence SET seq = {self.orders} WHERE name = 'orders';"
        self.execute(DELETE_ADDED.format(orders=self.orders) + restart)

    def add_unassigned(self, orders: int) -> int:
        first = self.newest() + 1
        series = self.SERIES.format(orders=orders)
        self.execute(self.rows(key="NULL", placed_at=self.NOW, series=series, is_unassigned="1"))
        return first
