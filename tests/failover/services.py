"""Two services on one cluster, each with another form of the same address."""

from __future__ import annotations

import os
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from cluster import ROLE, Cluster
from processes import free_port, in_folder, kill, start, wait_for

# Seconds for a service to become ready.
START_TIMEOUT = 20


@dataclass
class Service:
    name: str
    folder: Path
    database_url: str
    port: int = field(default_factory=free_port)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Starts the service, and again if it exits before it is ready, as a supervisor does.

        It exits where no host is writable, for example before a new leader has been promoted.
        """
        deadline = time.monotonic() + START_TIMEOUT
        while not self.start_once():
            if time.monotonic() > deadline:
                raise RuntimeError(f"service {self.name} exited:\n{(self.folder / 'log').read_text()}")
            time.sleep(1)

    def start_once(self) -> bool:
        """Starts the service and returns whether it becomes ready."""
        self.folder.mkdir(exist_ok=True)
        foreign = ("DB_", "GMAP_", "PG", "AUTH", "LOG_", "OSRM_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        environment |= {
            "LISTEN": f"127.0.0.1:{self.port}",
            "DATABASE_URL": self.database_url,
            "DISTANCE_PROVIDER": "geodesic",
            "LOG_FORMAT": "json",
        }
        self.process = start([os.environ["BINARY"]], self.folder / "log", self.folder, environment)
        wait_for(lambda: self.is_ready or self.process.poll() is not None, f"service {self.name} is ready")
        return self.process.poll() is None

    @property
    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/readyz", timeout=2) as response:
                return response.status == 200
        except OSError:
            return False

    def kill(self):
        kill(lambda: in_folder(self.folder))


def make_services(cluster: Cluster, ports: list[int], database: str, name: str = "") -> list[Service]:
    """Returns a service with the hosts before the path, and one with the hosts as parameters."""
    user = f"{ROLE}:{cluster.passwords[ROLE]}"
    hosts, listed = ["127.0.0.1"] * len(ports), ",".join(map(str, ports))
    places = ",".join(f"{host}:{port}" for host, port in zip(hosts, ports))
    urls = [
        f"postgres://{user}@{places}/{database}",
        f"postgres://{user}@/{database}?host={','.join(hosts)}&port={listed}",
    ]
    if parameters := os.environ.get("PARAMETERS"):
        urls = [f"{url}{'&' if '?' in url else '?'}{parameters}" for url in urls]
    names = [f"{name}{n}" for n in (1, 2)]
    return [Service(name, cluster.folder / f"service{name}", url) for name, url in zip(names, urls)]
