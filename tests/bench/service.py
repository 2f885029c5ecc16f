"""The measured programs: databases with orders, the service, and a stub of Google."""

import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from jobs import LOAD

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# Longer than a start takes on a busy machine.
TIMEOUT_S = 30


def psql(database: str, sql: str) -> str:
    command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]
    return subprocess.run([*command, database], input=sql, capture_output=True, text=True, check=True).stdout


def server_program(name: str) -> str:
    """Returns a program of the server's version: Debian does not put them into the path."""
    folder = psql("postgres", "SELECT setting FROM pg_config WHERE name = 'BINDIR'").strip()
    return str(Path(folder) / name)


def database_url(database: str) -> str:
    return re.sub(r"/[^/?]*(\?|$)", rf"/{database}\1", os.environ["TEST_DATABASE_URL"])


def load(database: str, orders: int) -> int:
    """Adds this number of unassigned orders and returns the first id."""
    first = int(psql(database, "SELECT coalesce(max(id), 0) + 1 FROM orders"))
    psql(database, LOAD % orders)
    psql(database, "VACUUM ANALYZE orders")
    psql("postgres", "CHECKPOINT")
    return first


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until_it_responds(address: str, path: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            with DIRECT.open(f"http://{address}{path}", timeout=TIMEOUT_S) as response:
                response.read()
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.002)


class Service:
    """A process of the service with default settings, except for its address and its database."""

    def __init__(self, binary: str, database: str, log: Path, **settings: str):
        self.address = f"127.0.0.1:{free_port()}"
        names = ("PATH", "HOME", "TMPDIR", "LANG")
        environment = {name: os.environ[name] for name in names if name in os.environ}
        environment |= {"LISTEN": self.address, "DATABASE_URL": database, **settings}
        start = time.monotonic()
        # The request log is written to /dev/null, which costs the write but no disk.
        with open(os.devnull, "w") as nowhere, log.open("w") as errors:
            self.process = subprocess.Popen([binary], env=environment, stdout=nowhere, stderr=errors)
        try:
            wait_until_it_responds(self.address, "/readyz", self.process)
        except OSError as error:
            self.stop()
            raise RuntimeError(f"the service does not respond: {log.read_text()}") from error
        self.seconds_to_ready = time.monotonic() - start

    def peak_memory(self) -> float:
        """Returns the peak memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(TIMEOUT_S)


@contextmanager
def service(*args, **settings):
    running = Service(*args, **settings)
    try:
        yield running
    finally:
        running.stop()


GOOGLE = """
daemon off; worker_processes 1; pid nginx.pid; error_log errors.log;
events {}
http {
  access_log off; client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t;
  scgi_temp_path t; keepalive_requests 1000000000;
  server {
    listen %s;
    location / {
      default_type application/json;
      return 200 '{"status":"OK","rows":[{"elements":[{"status":"OK","distance":{"value":1728057}}]}]}';
    }
  }
}
"""


@contextmanager
def google(folder: Path):
    """Starts a web server that returns one Google Maps response immediately; yields its URL."""
    nginx = shutil.which("nginx")
    address = f"127.0.0.1:{free_port()}"
    (folder / "nginx.conf").write_text(GOOGLE % address)
    process = subprocess.Popen([nginx, "-p", str(folder), "-e", "errors.log", "-c", str(folder / "nginx.conf")])
    try:
        wait_until_it_responds(address, "/", process)
        yield f"http://{address}/maps/api/distancematrix/json"
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)
