"""The jobs that are measured, each as a script of `pgbench` and as requests to the service."""

from dataclasses import dataclass, replace
from string import Template

# The size of the table for reads, and of the table for the cursor.
ORDERS, MANY_ORDERS = 100_000, 3_000_000
# Deep pages of 10 orders: the last ones of the table, so that few requests are equal.
DEEP = (4_901, 5_000)

COLUMNS = (
    "origin_latitude, origin_longitude, destination_latitude, destination_longitude, distance, "
    "status, created_at, updated_at"
)

LOAD = f"""
INSERT INTO orders ({COLUMNS})
SELECT 50 + mod(n, 1000) / 1000.0, 12.70758, 59.436487, 24.747193, 1000000 + mod(n, 500000), 'UNASSIGNED',
    now(), now()
FROM generate_series(1, %d) AS n;
"""

# Each client of pgbench takes its own orders: it starts at its number and advances by :clients.
NEXT_ID = "\\set id :base + :n * :clients + :client_id\n\\set n :n + 1\n"
UPDATE = "UPDATE orders SET status = 'TAKEN', taken_at = now(), updated_at = now() WHERE id = :id"


@dataclass(frozen=True)
class Job:
    """One kind of request. `sql` is None if it does not use the database; `lua` is wrk's script."""

    name: str
    sql: str | None
    lua: str
    # Unassigned orders that each side needs per second.
    orders_a_second: int = 0
    # All requests take the first of these orders. One succeeds, the others are rejected.
    contested: bool = False


GET = Template('request = function() return wrk.format("GET", "$path") end\n')

PLACE_LUA = """
wrk.method = "POST"
wrk.body = '{"origin":["50.456399","12.707580"],"destination":["59.436487","24.747193"]}'
wrk.headers["Content-Type"] = "application/json"
wrk.path = "/orders"
"""

# Numbers the threads of wrk, from 0.
NUMBER_LUA = """
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end
"""

TAKE_LUA = f"""{NUMBER_LUA}
function init(args)
  id, step = tonumber(args[1]) + number, tonumber(args[2])
end
function request()
  id = id + step
  return wrk.format("PATCH", "/orders/" .. id, {{["Content-Type"] = "application/json"}}, '{{"status":"TAKEN"}}')
end
"""


def random_lua(low: int, high: int, path: str) -> str:
    """Returns a script that requests `path`, in which %d is a random number."""
    return f"""
function init() math.randomseed(os.time() + tonumber(tostring({{}}):match("0x(%x+)"), 16)) end
function request() return wrk.format("GET", string.format("{path}", math.random({low}, {high}))) end
"""


LIST = Job(
    "list, first page of 10",
    "SELECT id, distance, status FROM orders ORDER BY id DESC LIMIT 10;",
    GET.substitute(path="/orders?page=1&limit=10"),
)
DEEP_PAGE = Job(
    "page 5,000 of 100,000 orders",
    f"\\set page random({DEEP[0]}, {DEEP[1]})\n"
    "SELECT id, distance, status FROM orders ORDER BY id DESC LIMIT 10 OFFSET (:page - 1) * 10;",
    random_lua(*DEEP, "/orders?page=%d&limit=10"),
)
CURSOR = Job(
    "cursor, anywhere in 3 million orders",
    f"\\set before random(1, {MANY_ORDERS})\n"
    "SELECT id, distance, status FROM orders WHERE id < :before ORDER BY id DESC LIMIT 10;",
    random_lua(1, MANY_ORDERS, "/orders?before=%d&limit=10"),
)
PLACE = Job(
    "place",
    f"INSERT INTO orders ({COLUMNS}) VALUES (50.456399, 12.70758, 59.436487, 24.747193, 1258740, "
    "'UNASSIGNED', now(), now()) RETURNING id;",
    PLACE_LUA,
)
TAKE = Job(
    "take, distinct orders",
    f"{NEXT_ID}{UPDATE} AND status = 'UNASSIGNED';",
    TAKE_LUA,
    orders_a_second=50_000,
)
TAKE_LOCKING = Job(
    "the same, by row lock and transaction",
    f"{NEXT_ID}BEGIN;\nSELECT status FROM orders WHERE id = :id FOR UPDATE NOWAIT;\n{UPDATE};\nCOMMIT;",
    TAKE_LUA,
    orders_a_second=50_000,
)
CONTESTED = Job(
    "take, one contested order",
    f"\\set id :base\n{UPDATE} AND status = 'UNASSIGNED';",
    """
function init(args)
  path = "/orders/" .. args[1]
end
function request()
  return wrk.format("PATCH", path, {["Content-Type"] = "application/json"}, '{"status":"TAKEN"}')
end
""",
    orders_a_second=1,
    contested=True,
)
CONSTANT = Job("health check, a constant body", None, GET.substitute(path="/healthcheck"))

# Keys are random, as those of clients are. The third argument of the script is a new seed.
KEYS_LUA = f"""{NUMBER_LUA}
function init(args)
  math.randomseed(tonumber(args[3]) + number)
  id, step = tonumber(args[1]) + number, tonumber(args[2])
end
function headers()
  local function random() return math.random(0, 2^32 - 1) end
  local key = string.format("%08x%08x%08x%08x", random(), random(), random(), random())
  return {{["Content-Type"] = "application/json", ["Idempotency-Key"] = key}}
end
"""
PLACE_WITH_KEY = Job(
    "place, with a key",
    None,
    f"{KEYS_LUA}{PLACE_LUA}function request() return wrk.format(nil, nil, headers()) end\n",
)
TAKE_WITH_KEY = Job(
    "take, with a key",
    None,
    f"""{KEYS_LUA}
function request()
  id = id + step
  return wrk.format("PATCH", "/orders/" .. id, headers(), '{{"status":"TAKEN"}}')
end
""",
    orders_a_second=TAKE.orders_a_second,
)

# The job that is expected to take longer the more orders there are.
LAST_PAGE = "last page"


def last_page(orders: int) -> str:
    """Returns the path of the last page of a table of this size."""
    return f"/orders?page={orders // 10}&limit=10"


def growth_jobs(orders: int) -> list[Job]:
    """Returns the jobs for a table of this size, first those that do not change it."""
    return [
        replace(LIST, name="list"),
        Job("list of unassigned orders", None, GET.substitute(path="/orders?status=UNASSIGNED&page=1&limit=10")),
        Job("cursor", None, random_lua(1, orders, "/orders?before=%d&limit=10")),
        Job("one order by id", None, random_lua(1, orders, "/orders/%d")),
        PLACE,
        PLACE_WITH_KEY,
        replace(TAKE, name="take"),
        TAKE_WITH_KEY,
    ]
