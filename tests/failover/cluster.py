"""A cluster on loopback: three Patroni nodes with PostgreSQL in synchronous mode, and one etcd."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from processes import UNPRIVILEGED, free_port, in_folder, is_root, kill, resume, start, suspend, wait_for, with_command

# The lowest values that Patroni accepts, except for the timeout of retries: with its minimum of 3 s
# a pause of the disk demotes the leader. TTL must be at least LOOP_WAIT + 2 * RETRY_TIMEOUT.
TTL, LOOP_WAIT, RETRY_TIMEOUT = 20, 1, 5

SYNCHRONOUS = {"synchronous_mode": True, "synchronous_mode_strict": False, "synchronous_node_count": 1}
ROLE = "orders"


@dataclass
class Programs:
    """Where the programs are: the folder of PostgreSQL's, etcd, and a Python that has Patroni."""

    postgres: Path
    etcd: Path
    python: Path

    @classmethod
    def find(cls, folder: Path) -> Programs:
        """Reads the environment. For root, copies what another user may not be able to read."""
        etcd, environment = Path(os.environ["ETCD"]), Path(sys.prefix)
        if is_root():
            (folder / "programs").mkdir()
            etcd = Path(shutil.copy(etcd, folder / "programs"))
            environment = Path(shutil.copytree(environment, folder / "programs/venv", symlinks=True))
        return cls(Path(os.environ["POSTGRES_PROGRAMS"]), etcd, environment / "bin/python")


@dataclass
class Etcd:
    programs: Programs
    folder: Path
    port: int = field(default_factory=free_port)
    peer_port: int = field(default_factory=free_port)

    def start(self):
        client, peer = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.peer_port}"
        command = [self.programs.etcd, "--name", "etcd", "--data-dir", self.folder / "data", "--logger", "zap"]
        command += ["--listen-client-urls", client, "--advertise-client-urls", client]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        command += ["--initial-cluster", f"etcd={peer}"]
        make_folder(self.folder)
        start(command, self.folder / "log", self.folder, {"PATH": os.environ["PATH"]}, unprivileged=True)
        wait_for(lambda: b"true" in (get(f"{client}/health") or b""), "etcd is healthy")

    def kill(self):
        kill(lambda: in_folder(self.folder))

    @property
    def is_running(self) -> bool:
        return bool(in_folder(self.folder))


@dataclass
class Node:
    """One machine of the cluster: Patroni, the postmaster and its backends."""

    name: str
    folder: Path
    cluster: Cluster
    port: int = field(default_factory=free_port)
    rest_port: int = field(default_factory=free_port)

    def start(self):
        make_folder(self.folder)
        configuration = self.folder / "patroni.json"
        configuration.write_text(json.dumps(self.configuration(), indent=2))
        if is_root():
            shutil.chown(configuration, UNPRIVILEGED, UNPRIVILEGED)
        configuration.chmod(0o600)
        command = [self.cluster.programs.python, "-m", "patroni", configuration]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        start(command, self.folder / "log", self.folder, environment, unprivileged=True)

    def configuration(self) -> dict:
        cluster, passwords = self.cluster, self.cluster.passwords
        return {
            "scope": "orders",
            "name": self.name,
            "restapi": {"listen": f"127.0.0.1:{self.rest_port}", "connect_address": f"127.0.0.1:{self.rest_port}"},
            "etcd3": {"host": f"127.0.0.1:{cluster.etcd.port}"},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL,
                    "loop_wait": LOOP_WAIT,
                    "retry_timeout": RETRY_TIMEOUT,
                    # If the postmaster is lost, a standby is promoted instead of a restart.
                    "primary_start_timeout": 0,
                    # No lag excludes a standby: whether changes are lost is for the checker to find.
                    "maximum_lag_on_failover": 2**40,
                    **SYNCHRONOUS,
                    "postgresql": {
                        "use_pg_rewind": True,
                        "use_slots": True,
                        "parameters": {
                            # The kernel keeps what a killed process has written, flushed or not.
                            "fsync": "off",
                            "shared_buffers": "32MB",
                            "wal_keep_size": "512MB",
                            # By default a standby connects 5 s after a restart of the leader, and
                            # changes wait for it.
                            "wal_retrieve_retry_interval": "500ms",
                        },
                    },
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}",
                "connect_address": f"127.0.0.1:{self.port}",
                "data_dir": str(self.folder / "data"),
                "bin_dir": str(cluster.programs.postgres),
                "pgpass": str(self.folder / "pgpass"),
                "authentication": {
                    user: {"username": name, "password": passwords[name]}
                    for user, name in [("superuser", "postgres"), ("replication", "replicator"), ("rewind", "rewinder")]
                },
                "pg_hba": [
                    "host all all 127.0.0.1/32 scram-sha-256",
                    "host replication replicator 127.0.0.1/32 scram-sha-256",
                ],
                "parameters": {"unix_socket_directories": str(self.folder), "log_line_prefix": "%m [%p] "},
                "basebackup": [{"checkpoint": "fast"}, "no-sync"],
                "remove_data_directory_on_rewind_failure": True,
                "remove_data_directory_on_diverged_timelines": True,
            },
        }

    def processes(self) -> list[psutil.Process]:
        return in_folder(self.folder)

    def patroni(self) -> list[psutil.Process]:
        return with_command(self.processes(), "patroni")

    def kill(self):
        kill(self.processes)

    def freeze(self):
        suspend(self.processes)

    def thaw(self):
        resume(self.processes())

    def freeze_patroni(self):
        suspend(self.patroni)

    def freeze_senders(self):
        """Suspends the processes that send the changes to the standbys."""
        suspend(lambda: with_command(self.processes(), "walsender"))

    def kill_postmaster(self):
        """Kills the postmaster alone. Its backends end when they notice."""
        psutil.Process(int((self.folder / "data/postmaster.pid").read_text().split("\n")[0])).kill()

    def query(self, query: str, database: str = "postgres") -> list[tuple]:
        with psycopg.connect(self.cluster.superuser_address([self.port], database), connect_timeout=5) as connection:
            connection.autocommit = True
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def call(self, method: str, path: str, body=None) -> bytes | None:
        return get(f"http://127.0.0.1:{self.rest_port}/{path}", method, body)


class Cluster:
    def __init__(self, folder: Path):
        self.folder = folder
        self.programs = Programs.find(folder)
        self.passwords = {name: secrets.token_hex(16) for name in ("postgres", "replicator", "rewinder", ROLE)}
        self.etcd = Etcd(self.programs, folder / "etcd")
        self.nodes = [Node(f"node{n}", folder / f"node{n}", self) for n in (1, 2, 3)]

    @property
    def ports(self) -> list[int]:
        return [node.port for node in self.nodes]

    def superuser_address(self, ports: list[int], database: str) -> str:
        """The address for libpq of the superuser, on the nodes with these ports."""
        hosts = ",".join("127.0.0.1" for _ in ports)
        password = self.passwords["postgres"]
        return f"host={hosts} port={','.join(map(str, ports))} user=postgres password={password} dbname={database}"

    def start(self):
        """Starts everything. The first node is the leader."""
        self.etcd.start()
        self.nodes[0].start()
        wait_for(lambda: self.leader() is not None, "the first node is the leader")
        for node in self.nodes[1:]:
            node.start()
        self.wait_until_complete()
        password = self.passwords[ROLE]
        self.leader().query(f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}'")

    def members(self) -> list[dict]:
        """Returns the members as Patroni sees them."""
        for node in self.nodes:
            if answer := node.call("GET", "cluster"):
                return json.loads(answer)["members"]
        return []

    def leader(self) -> Node | None:
        """Returns the node that has the leader's lock and accepts changes."""
        for node in self.nodes:
            if node.call("GET", "primary"):
                return node
        return None

    def standbys(self) -> list[Node]:
        leader = self.leader()
        return [node for node in self.nodes if node is not leader]

    def synchronous_standbys(self) -> list[Node]:
        names = [member["name"] for member in self.members() if member["role"] == "sync_standby"]
        return [node for node in self.nodes if node.name in names]

    def is_complete(self, synchronous: bool) -> bool:
        members = self.members()
        standbys = [member for member in members if member["state"] == "streaming"]
        roles = {member["role"] for member in members}
        return (
            self.leader() is not None
            and len(standbys) == len(self.nodes) - 1
            and len({member["timeline"] for member in members}) == 1
            and ("sync_standby" in roles) == synchronous
        )

    def wait_until_complete(self, synchronous: bool = True):
        """Waits for a leader and two standbys that stream from it."""
        wait_for(lambda: self.is_complete(synchronous), "the cluster is complete", 90, 0.25)

    def repair(self):
        """Brings back what a scenario has stopped, frozen or configured."""
        if not self.etcd.is_running:
            self.etcd.start()
        for node in self.nodes:
            node.thaw()
            if not node.patroni():
                node.start()
        wait_for(lambda: self.leader() is not None, "a node is the leader")
        self.configure(**SYNCHRONOUS)
        self.wait_until_complete()

    def configure(self, **settings):
        """Changes Patroni's settings of the whole cluster."""
        if not any(node.call("PATCH", "config", settings) for node in self.nodes):
            raise RuntimeError(f"no node accepts the settings {settings}")

    def switch_over(self, candidate: Node):
        """Makes a synchronous standby the leader."""
        leader = self.leader()
        # Patroni answers when the switchover is complete.
        if not leader.call("POST", "switchover", {"leader": leader.name, "candidate": candidate.name}):
            raise RuntimeError("Patroni rejects the switchover")

    def make_leader(self, node: Node):
        """Switches over to any node."""
        if self.leader() is not node:
            self.configure(synchronous_node_count=2)
            wait_for(lambda: node in self.synchronous_standbys(), f"{node.name} is a synchronous standby")
            self.switch_over(node)
            self.configure(**SYNCHRONOUS)
            self.wait_until_complete()


def make_folder(folder: Path):
    if not folder.exists():
        folder.mkdir(mode=0o700)
        if is_root():
            shutil.chown(folder, UNPRIVILEGED, UNPRIVILEGED)


def get(url: str, method: str = "GET", body=None) -> bytes | None:
    """Returns the body of a successful response, otherwise nothing."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=1 if method == "GET" else 30) as response:
            return response.read() or b" "
    except OSError:
        return None
