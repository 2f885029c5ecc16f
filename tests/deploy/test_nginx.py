"""Tests nginx as the proxy of the service, with a real nginx. nginx.py has the fixtures."""

import gzip
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import http.client
from pathlib import Path

import pytest
from load import JSON, ROUTE, Client, Load, host_and_port
from nginx import BINARIES, Applications, Names, Nginx, Stub, wait_for

PROBLEM = {"Accept": "application/problem+json"}
ONE, TWO, THREE, FOUR = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"
# Each round has three restarts, so 34 rounds have a hundred.
ROUNDS = int(os.environ.get("RESTART_ROUNDS", "2"))


@pytest.fixture(scope="session")
def names():
    return Names()


@pytest.fixture(scope="session")
def applications(names, tmp_path_factory):
    applications = Applications(tmp_path_factory.mktemp("applications"), names)
    yield applications
    applications.kill_all()


@pytest.fixture
def one(applications):
    """One application, with the first address."""
    if list(applications.running) != [ONE]:
        applications.kill_all()
        applications.start(ONE)
    applications.announce(ONE)
    return applications


@pytest.fixture(scope="session", params=BINARIES)
def binary(request):
    return BINARIES[request.param]


@pytest.fixture(scope="session")
def nginx(binary, names, applications, tmp_path_factory):
    with Nginx(binary, tmp_path_factory.mktemp("nginx"), names, applications.port).running() as nginx:
        yield nginx


@pytest.fixture
def client(nginx, one):
    one.settle()
    return nginx.client()


def is_own_error(response, status: int, code: str, headers):
    """Asserts that nginx itself returned an error in the requested format."""
    assert response.status == status
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["vary"] == "Accept"
    assert response.headers["server"] == "nginx"
    assert response.headers["x-request-id"]
    assert ("retry-after" in response.headers) == (status in (429, 502, 503, 504))
    if headers:
        assert response.headers["content-type"] == "application/problem+json"
        assert list(response.json) == ["type", "title", "status", "detail", "code"]
        assert (response.json["code"], response.json["status"]) == (code, status)
        assert response.json["type"] == f"urn:order-api:problem:{code}"
    else:
        assert response.headers["content-type"] == "application/json"
        assert list(response.json) == ["error"] and response.json["error"]


both_formats = pytest.mark.parametrize("headers", [{}, PROBLEM])


def test_configuration_is_valid(nginx):
    warnings = [line for line in nginx.test().splitlines() if "[warn]" in line]
    # Old versions accept only this form of `http2`.
    assert all('"listen ... http2" directive is deprecated' in warning for warning in warnings)


def test_upstream_method_matches_the_version(nginx):
    output = subprocess.run([nginx.binary, "-v"], capture_output=True, text=True).stderr
    version = tuple(map(int, output.rpartition("/")[2].split()[0].split(".")))
    assert version >= (1, 22)
    assert nginx.settings["WEB_UPSTREAM"] == ("resolve" if version >= (1, 27, 3) else "lookup")


def test_connections_to_the_service_are_kept_if_supported(nginx, client, one):
    for _ in range(20):
        assert client.get("/healthcheck").status == 200
    metrics_client = one.client(ONE)

    def others() -> int:
        page = metrics_client.get("/metrics").body.decode()
        return int(re.search(r"^orders_http_connections (\d+)", page, re.M)[1]) - 1

    if nginx.settings["WEB_UPSTREAM"] == "resolve":
        assert 1 <= others() < 20
    # Earlier than the service closes them.
    wait_for(lambda: others() == 0, "no connection is open", 5)


def test_orders_are_placed_taken_and_listed(client):
    placed = client.place()
    assert placed.status == 200 and placed.json["status"] == "UNASSIGNED"
    order = placed.json["id"]
    assert client.take(order).json == {"status": "SUCCESS"}
    assert client.take(order).status == 400
    assert client.get(f"/orders/{order}").json["status"] == "TAKEN"
    listed = client.get("/orders/?page=1&limit=1")
    assert listed.json == [{"id": order, "distance": 1258740, "status": "TAKEN"}]
    assert listed.headers["link"].startswith("</orders?")
    assert listed.headers["cache-control"] == "no-store"
    assert client.request("HEAD", "/healthcheck").body == b""
    assert client.get("/docs").headers["location"] == "/docs/"
    assert client.get("/docs/").status == 200
    assert client.get("/openapi.json").json["openapi"].startswith("3.1")
    # Errors of the service are not changed.
    unknown = client.get("/nowhere", PROBLEM)
    assert (unknown.status, unknown.json["code"]) == (404, "unknown_path")


UPGRADES = {
    "h2c": ["Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAEAAEAAAAIAAAAA", "Upgrade: h2c"],
    "tls": ["Connection: keep-alive, Upgrade", "Upgrade: TLS/1.2"],
    "websocket": ["Upgrade: websocket", "Connection: upgrade"],
}


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
@pytest.mark.parametrize("through", ["nginx", "nothing"])
def test_connection_that_offers_an_upgrade_stays_open(nginx, client, one, through, upgrade):
    address = nginx.address if through == "nginx" else f"{ONE}:{one.port}"
    body = json.dumps(ROUTE).encode()
    lines = ["Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}", *upgrade]
    request = "\r\n".join(["POST /orders HTTP/1.1", *lines, "", ""]).encode() + body
    with socket.create_connection(host_and_port(address), 10) as connection:
        for _ in range(20):
            connection.sendall(request)
            response = http.client.HTTPResponse(connection, method="POST")
            response.begin()
            assert response.status == 200 and json.loads(response.read())["status"] == "UNASSIGNED"
            assert response.headers.get("Connection", "keep-alive") == "keep-alive"
            assert "Upgrade" not in response.headers


# The requests above have the bytes of this client, so they replace it where Java is not installed.
if shutil.which("java"):

    def test_client_of_java_loses_no_request(one):
        place = Path(__file__).with_name("Place.java")
        command = ["java", place, f"http://{ONE}:{one.port}", "1000", "8"]
        java = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert (java.returncode, java.stdout) == (0, ""), java.stderr


def test_responses_do_not_name_the_version(client):
    for path in ("/healthcheck", "/metrics", "/nowhere"):
        assert client.get(path).headers["server"] == "nginx"


def test_json_is_compressed_for_clients_that_accept_gzip(client):
    plain = client.get("/openapi.json")
    packed = client.get("/openapi.json", {"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 3
    small = client.get("/healthcheck", {"Accept-Encoding": "gzip"})
    assert "content-encoding" not in small.headers


@both_formats
@pytest.mark.parametrize(
    "path",
    [
        "/metrics", "/livez", "/readyz", "/metrics/", "/metrics?a=b", "//metrics", "/%6detrics",
        "/orders/../metrics", "/./readyz/", "/livez%2f", "/metrics//",
    ],
)  # fmt: skip
def test_operator_paths_are_closed(client, path, headers):
    is_own_error(client.get(path, headers), 404, "unknown_path", headers)


def test_health_check_stays_open(client):
    assert client.get("/healthcheck").json == {"data": "hello world."}


@both_formats
def test_body_has_at_most_16_kib(client, headers):
    whole = json.dumps(ROUTE).encode()
    padded = whole + b" " * (16 * 1024 - len(whole))
    assert client.request("POST", "/orders", padded, JSON | headers).status == 200
    rejected = client.request("POST", "/orders", padded + b" ", JSON | headers)
    is_own_error(rejected, 413, "payload_too_large", headers)


@both_formats
def test_headers_are_limited(client, headers):
    rejected = client.get("/orders?page=1&limit=1", headers | {"X-Long": "x" * 9000})
    is_own_error(rejected, 431, "invalid_request", headers)


def raw(address: str, request: bytes, timeout: float = 30) -> bytes:
    with socket.create_connection(host_and_port(address), timeout) as connection:
        connection.sendall(request)
        response = b""
        while more := connection.recv(65536):
            response += more
        return response


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: b", 400),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: x", 501),
        (b"GET / HTTP/9.9", 505),
        (b"TRACE / HTTP/1.1", 405),
        (b"GET /%zz HTTP/1.1", 400),
        (b"GET /%00 HTTP/1.1", 400),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1", 414),
    ],
)
def test_errors_of_nginx_are_json(nginx, client, request_line, status):
    response = raw(nginx.address, request_line + b"\r\nHost: a\r\nConnection: close\r\n\r\n")
    head, _, body = response.partition(b"\r\n\r\n")
    assert f" {status} ".encode() in head.splitlines()[0]
    assert json.loads(body)["error"]
    assert (b"\r\nAllow: GET, HEAD, PATCH, POST" in head) == (status == 405)


@pytest.mark.parametrize(
    "sent", [b"GET /orders", b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"]
)
def test_slow_clients_are_disconnected(nginx, client, sent):
    start = time.monotonic()
    raw(nginx.address, sent)
    assert 4 < time.monotonic() - start < 12


def test_request_keeps_its_id(client, one):
    mine = client.get("/healthcheck", {"X-Request-Id": "mine-1"})
    assert mine.headers["x-request-id"] == "mine-1"
    generated = client.get("/healthcheck").headers["x-request-id"]
    assert len(generated) == 32
    rejected = client.get("/healthcheck", {"X-Request-Id": "not valid"})
    assert len(rejected.headers["x-request-id"]) == 32
    log = lambda: (one.directory / f"{ONE}.log").read_text()
    wait_for(lambda: '"request.id":"mine-1"' in log() and generated in log(), "both ids are logged")
    closed = client.get("/metrics", {"X-Request-Id": "mine-2"})
    assert closed.headers["x-request-id"] == "mine-2"


def test_access_log_has_a_json_object_for_each_request(nginx, client):
    before = len(nginx.access_log())
    raw(
        nginx.address,
        b'GET /healthcheck?a="\xe2\x80\xa8 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n'
        b'User-Agent: a"\\b\r\n\r\n',
    )
    client.get("/metrics")
    client.place()
    wait_for(lambda: len(nginx.access_log()) == before + 3, "three lines")
    unusual, closed, placed = map(json.loads, nginx.access_log()[before:])
    assert unusual["http_user_agent"] == 'a"\\b' and '?a="' in unusual["request"]
    assert closed["request"] == "GET /metrics HTTP/1.1"
    assert (closed["status"], closed["upstream_addr"]) == (404, "")
    assert (placed["status"], placed["upstream_status"]) == (200, "200")
    assert placed["upstream_addr"].startswith(ONE)
    for time_taken in ("request_time", "upstream_response_time", "upstream_connect_time"):
        assert 0 <= float(placed[time_taken]) < 10
    for member in (
        "time", "remote_addr", "remote_user", "body_bytes_sent", "http_referer", "gzip_ratio",
        "request_id",
    ):  # fmt: skip
        assert member in placed


def test_key_and_body_are_in_no_log(nginx, client):
    client.place("a-secret-key")
    time.sleep(0.2)
    assert "a-secret-key" not in "".join(nginx.access_log()) + nginx.errors()


@both_formats
def test_requests_of_one_address_are_rate_limited(binary, names, one, tmp_path, headers):
    with Nginx(binary, tmp_path, names, one.port, WEB_RATE="5", WEB_BURST="10").running() as nginx:
        responses = [nginx.client().get("/healthcheck", headers) for _ in range(40)]
        rejected = [response for response in responses if response.status == 429]
        # The burst, the first request, and the rate of one or two seconds.
        assert 11 <= 40 - len(rejected) <= 25
        is_own_error(rejected[0], 429, "rate_limited", headers)
        assert rejected[0].headers["retry-after"] == "1"
        time.sleep(1)
        assert nginx.client().get("/healthcheck").status == 200


@both_formats
def test_concurrent_requests_of_one_address_are_limited(binary, names, one, tmp_path, headers):
    one.announce(FOUR)
    with (
        Stub(FOUR, one.port, hangs=True) as stub,
        Nginx(binary, tmp_path, names, one.port, WEB_CONNECTIONS="2").running() as nginx,
    ):
        for _ in range(2):
            threading.Thread(target=lambda: quietly(nginx.client(), "/healthcheck"), daemon=True).start()
        wait_for(lambda: len(stub.requests) == 2, "two requests are pending")
        is_own_error(nginx.client().get("/healthcheck", headers), 429, "rate_limited", headers)


def quietly(client: Client, path: str):
    try:
        client.get(path)
    except (OSError, http.client.HTTPException):
        pass


@both_formats
@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "a"}])
@pytest.mark.parametrize(
    ("method", "code"),
    [("GET", "service_unavailable"), ("POST", "outcome_unknown"), ("PATCH", "outcome_unknown")],
)
def test_unreachable_service_is_reported(nginx, client, one, method, code, key, headers):
    one.announce()
    one.settle()
    path, body = {"GET": ("/orders/1", None), "POST": ("/orders", ROUTE)}.get(
        method, ("/orders/1", {"status": "TAKEN"})
    )
    response = client.request(method, path, body, JSON | headers | key)
    is_own_error(response, 502, code, headers)


def test_unresponsive_service_is_reported(binary, names, one, tmp_path):
    one.announce(FOUR)
    with (
        Stub(FOUR, one.port, hangs=True),
        Nginx(binary, tmp_path, names, one.port, WEB_APP_TIMEOUT="1s").running() as nginx,
    ):
        is_own_error(nginx.client().place(), 504, "outcome_unknown", {})


class TestInterruptedRequests:
    """One of two applications reads each request and closes the connection."""

    REQUESTS = 20

    @pytest.fixture
    def stub(self, nginx, client, one):
        with Stub(FOUR, one.port) as stub:
            one.announce(FOUR, ONE)
            one.settle()
            yield stub

    def test_reads_are_retried_elsewhere(self, client, stub):
        for _ in range(self.REQUESTS):
            assert client.get("/orders?page=1&limit=1").status == 200
        assert stub.requests

    def test_changes_with_a_key_are_retried_and_happen_once(self, client, one, stub):
        before = len(one.client(ONE).all_orders())
        for number in range(self.REQUESTS):
            placed = client.place(f"{id(stub)}-{number}")
            assert placed.status == 200
            taken = client.take(placed.json["id"], f"{id(stub)}-{number}-take")
            assert taken.json == {"status": "SUCCESS"}
        assert stub.requests
        assert len(one.client(ONE).all_orders()) == before + self.REQUESTS

    def test_changes_without_a_key_are_not_retried(self, client, one, stub):
        before = len(one.client(ONE).all_orders())
        responses = [client.place() for _ in range(self.REQUESTS)]
        rejected = [response for response in responses if response.status != 200]
        assert rejected and len(rejected) == len(stub.requests)
        for response in rejected:
            is_own_error(response, 502, "outcome_unknown", {})
        placed = self.REQUESTS - len(rejected)
        assert len(one.client(ONE).all_orders()) == before + placed
        # nginx does not repeat a take whose outcome is unknown.
        order = one.client(ONE).place().json["id"]
        stub.requests.clear()
        while not stub.requests:
            assert one.client(ONE).get(f"/orders/{order}").json["status"] == "UNASSIGNED"
            response = client.take(order)
            if response.status == 200:
                order = one.client(ONE).place().json["id"]
        is_own_error(response, 502, "outcome_unknown", {})
        assert one.client(ONE).get(f"/orders/{order}").json["status"] == "UNASSIGNED"


def test_unreachable_applications_are_skipped_for_every_method(client, one):
    one.announce(FOUR, "127.0.0.6", "127.0.0.7", "127.0.0.8", ONE)
    one.settle()
    for _ in range(20):
        placed = client.place()
        assert placed.status == 200
        assert client.take(placed.json["id"]).status == 200


def test_replaced_application_is_found(client, one):
    one.start(TWO)
    one.announce(TWO)
    one.kill(ONE)
    wait_for(lambda: client.get("/healthcheck").status == 200, "the new application is found")
    one.start(ONE)
    one.kill(TWO)


def test_tls_can_be_enabled(nginx, client):
    trust = ssl.create_default_context(cafile=nginx.settings["WEB_TLS_CERTIFICATE"])
    connection = http.client.HTTPSConnection(*host_and_port(nginx.tls_address), context=trust)
    connection.request("GET", "/healthcheck")
    response = connection.getresponse()
    assert json.loads(response.read()) == {"data": "hello world."}
    assert "max-age" in response.getheader("strict-transport-security")
    connection.request("GET", "/metrics")
    closed = connection.getresponse()
    assert closed.status == 404 and closed.getheader("strict-transport-security")
    plain = raw(nginx.tls_address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b" 400 " in plain.splitlines()[0] and b'{"error":' in plain
    old = subprocess.run(
        ["openssl", "s_client", "-connect", nginx.tls_address, "-tls1_1", "-cipher", "ALL@SECLEVEL=0"],
        input=b"",
        capture_output=True,
    )
    assert old.returncode != 0


@pytest.fixture
def three(applications, client):
    for address in (TWO, THREE):
        if address not in applications.running:
            applications.start(address)
    applications.announce(ONE, TWO, THREE)
    applications.settle()
    yield applications
    for address in (TWO, THREE):
        applications.kill(address)


def test_rolling_restart_loses_no_request(nginx, three, capsys):
    with Load(nginx.address, keyless=True) as load:
        for _ in range(ROUNDS):
            for address in (ONE, TWO, THREE):
                three.stop(address)
                # Docker's name server removes a container that has exited.
                three.announce(*three.running)
                three.start(address)
                three.announce(*three.running)
    load.verify()
    with capsys.disabled():
        print(f" {ROUNDS * 3} restarts, {load.summary()}", end=" ")


def test_killed_application_loses_no_order(nginx, three):
    # An interrupted statement may hold its row lock for a moment: `order_busy`.
    with Load(nginx.address, retry_seconds=5) as load:
        for address in (ONE, TWO, THREE):
            time.sleep(1)
            three.kill(address)
            time.sleep(1)
            three.start(address)
    load.verify()


def test_health_of_nginx_is_visible_inside_only(nginx, client):
    inside = Client(f"127.0.0.1:{nginx.settings['WEB_HEALTH_PORT']}")
    assert inside.get("/healthcheck").json == {"status": "live"}
    assert client.get("/healthcheck").json == {"data": "hello world."}
