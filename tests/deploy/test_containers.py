"""Tests the images and Compose with the Docker engine of this machine; this user must be root.

The containers are a separate project on a free port, and are removed with their data afterwards.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest
from load import ROUTE, Client, Load
from nginx import REPO, free_port, make_certificate, wait_for

PROJECT = f"order-api-{uuid.uuid4().hex[:8]}"
MAX_ADDED_BYTES = 40e6


def run(*command, check=True, **options) -> subprocess.CompletedProcess:
    options.setdefault("cwd", REPO)
    ran = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    assert not check or ran.returncode == 0, f"{command}: {ran.returncode}\n{ran.stdout[-4000:]}"
    return ran


def docker(*command, **options) -> str:
    return run("docker", *command, **options).stdout.strip()


def inspect(thing: str) -> dict:
    return json.loads(docker("inspect", thing))[0]


def runtime_image() -> str:
    default = re.search(r"^ARG RUNTIME_IMAGE=(.+)$", (REPO / "docker/Dockerfile").read_text(), re.M)
    return os.environ.get("RUNTIME_IMAGE", default[1])


@pytest.fixture(scope="session")
def print_result(request):
    """Prints measurements to the output of the tests."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def print_line(text: str):
        with capture.global_and_fixture_disabled():
            print(f"\n    {text}")

    return print_line


# ---- The images ----


@pytest.fixture(scope="session")
def image(print_result):
    start = time.monotonic()
    output = run("make", "image").stdout
    print_result(f"make image: {time.monotonic() - start:.0f} s")
    assert "Compiling order-conformance" not in output, "the deployment image compiled the tests"
    return "order-api:builder"


def test_image_has_both_names(image):
    assert inspect("order-api:latest")["Id"] == inspect(image)["Id"]


def test_image_is_small(image, print_result):
    weight = inspect(image)["Size"] - inspect(runtime_image())["Size"]
    print_result(f"{image}: {weight / 1e6:.1f} MB above its base, {inspect(image)['Size'] / 1e6:.0f} MB in all")
    assert 0 < weight < MAX_ADDED_BYTES


def test_image_is_labelled(image):
    config = inspect(image)["Config"]
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "order-api", "healthcheck"]
    labels = {name.rsplit(".", 1)[1]: value for name, value in config["Labels"].items()}
    assert labels["title"] == "order-api" and labels["licenses"] == "MIT"
    assert re.fullmatch(r"\d+\.\d+\.\d+", labels["version"])
    assert re.match(r"[0-9a-f]{40}", labels["revision"]) and labels["created"].startswith("20")


def test_image_has_no_build_tools(image):
    look = "for tool in cargo rustc cc gcc make git curl; do command -v $tool; done; ls / /usr/local/bin"
    found = docker("run", "--rm", "--entrypoint", "sh", image, "-c", look, check=False).split()
    assert "order-api" in found
    assert not {"src", "image"} & set(found)
    assert not [tool for tool in found if tool.startswith("/")and not tool.endswith(":")]
    assert docker("run", "--rm", image, "--version").startswith("order-api ")


HARDENED = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]


@pytest.fixture
def container():
    """Starts containers, and removes them afterwards."""
    started = []

    def start(*arguments) -> str:
        name = docker("run", "--detach", *arguments)
        started.append(name)
        return name

    yield start
    for name in started:
        docker("rm", "--force", "--volumes", name)


def logs(container: str) -> str:
    return docker("logs", container)


def healthcheck(service: str) -> str | None:
    """Returns the output of the health check, or None if it fails."""
    result = run("docker", "exec", service, "order-api", "healthcheck", check=False)
    return result.stdout if result.returncode == 0 else None


def test_image_runs_alone_and_stops_on_signal(image, container):
    data = ["--volume", "/var/lib/order-api", "--tmpfs", "/logs:uid=10001", "--env", "LOG_DIR=/logs"]
    service = container(*HARDENED, *data, image)
    wait_for(lambda: healthcheck(service), "it responds")
    assert healthcheck(service) == '{"data":"hello world."}\n'
    assert docker("exec", service, "ls", "/logs").split() == ["error.log", "info.log"]
    # The first process is the service, so that it receives signals.
    assert docker("exec", service, "cat", "/proc/1/comm") == "order-api"
    assert "estimate" in logs(service)
    start = time.monotonic()
    docker("stop", "--time", "30", service)
    assert inspect(service)["State"]["ExitCode"] == 0
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    "wrong",
    [
        ["--env", "LOG_DIR=/proc/nowhere"],
        ["--env", "DB_HOST=127.0.0.1", "--env", "DB_NAME=orders", "--env", "DB_USERNAME=a"],
        ["--env", "WORKERS=none"],
    ],
)
def test_failed_start_exits_immediately(image, container, wrong):
    service = container("--network", "none", *wrong, image)
    assert int(docker("wait", service)) != 0
    assert "listening" not in logs(service)


@pytest.fixture
def network():
    name = f"{PROJECT}-tls"
    docker("network", "create", "--internal", name)
    yield name
    docker("network", "rm", name)


@pytest.fixture
def database(network, container, tmp_path):
    """A PostgreSQL server that accepts connections with and without TLS."""
    make_certificate(tmp_path, "DNS:database")
    script = tmp_path / "tls.sh"
    # Only the owner may be able to read the key.
    script.write_text(
        "cp /tls/*.pem $PGDATA && chmod 600 $PGDATA/key.pem\n"
        "echo \"ssl = on\nssl_cert_file = 'certificate.pem'\nssl_key_file = 'key.pem'\" >>$PGDATA/postgresql.conf\n"
    )
    for file in tmp_path.iterdir():
        file.chmod(0o644)
    tmp_path.chmod(0o755)
    name = container(
        *["--network", network, "--network-alias", "database", "--env", "POSTGRES_PASSWORD=secret"],
        *["--volume", f"{tmp_path}:/tls:ro", "--volume", f"{script}:/docker-entrypoint-initdb.d/tls.sh:ro"],
        os.environ.get("POSTGRES_IMAGE", "postgres:15-bookworm"),
    )
    ready = ["docker", "exec", name, "pg_isready", "-h", "127.0.0.1"]
    wait_for(lambda: run(*ready, check=False).returncode == 0, "PostgreSQL responds", 60)
    return name, tmp_path / "certificate.pem"


@pytest.mark.parametrize("mode", ["require", "verify-full&sslrootcert=/ca.pem", "verify-full&sslrootcert=system"])
def test_tls_to_the_database(image, network, container, database, mode):
    server, authority = database
    url = f"postgres://postgres:secret@database/orders?sslmode={mode}"
    trust = ["--volume", f"{authority}:/ca.pem:ro", "--env", f"DATABASE_URL={url}"]
    if "system" in mode:
        trust += ["--env", "SSL_CERT_FILE=/ca.pem"]
    service = container(*HARDENED, "--network", network, *trust, image)
    wait_for(lambda: healthcheck(service), lambda: logs(service))
    query = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = 'orders'"
    assert docker("exec", server, "psql", "-h", "127.0.0.1", "-U", "postgres", "-Atc", query,
                  "postgresql://postgres:secret@127.0.0.1/postgres") == "t"  # fmt: skip


def test_database_with_unknown_certificate_is_rejected(image, network, container, database):
    url = "postgres://postgres:secret@database/orders?sslmode=verify-full&sslrootcert=system"
    service = container(*HARDENED, "--network", network, "--env", f"DATABASE_URL={url}", image)
    assert int(docker("wait", service)) != 0
    assert "certificate" in logs(service) and "secret" not in logs(service)


def copy_of_the_repository(where: Path) -> Path:
    """Copies the tracked files, for commands that write to them or read local settings."""
    for file in run("git", "ls-files").stdout.split():
        (where / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPO / file, where / file)
    return where


@pytest.fixture(scope="session")
def changed_image(image, tmp_path_factory, print_result):
    """The image with one more line of code."""
    tree = copy_of_the_repository(tmp_path_factory.mktemp("changed"))
    with (tree / "crates/http/src/lib.rs").open("a") as source:
        source.write("// Another line.\n")
    name = f"{PROJECT}:changed"
    start = time.monotonic()
    bases = [f"--build-arg={base}={os.environ[base]}" for base in ("RUST_IMAGE", "RUNTIME_IMAGE") if base in os.environ]
    command = ["docker", "build", "--file", "docker/Dockerfile", "--build-arg", "BUILD_TARGET=builder"]
    output = run(*command, *bases, "--tag", name, ".", cwd=tree).stdout
    print_result(f"build after a change of one line: {time.monotonic() - start:.0f} s")
    yield name, output
    docker("rmi", name)


def test_change_of_one_line_recompiles_no_dependency(changed_image):
    _, output = changed_image
    compiled = set(re.findall(r"Compiling\S* (\S+) v", re.sub(r"\x1b\[\d*m", "", output)))
    assert "order-http" in compiled
    assert all(name.startswith("order-") for name in compiled), compiled


def test_image_of_the_tests_runs_all_tests(print_result, container):
    start = time.monotonic()
    output = run("make", "image", "BUILD_TARGET=test_builder").stdout
    built = time.monotonic()
    assert "`release` profile" not in output, "the test image compiled the deployment"
    # Like the demo: in the background, then the log.
    tests = container("--network", "none", "order-api:test_builder")
    status = int(docker("wait", tests))
    report = logs(tests)
    passed = sum(map(int, re.findall(r"test result: ok. (\d+) passed", report)))
    print_result(
        f"make image BUILD_TARGET=test_builder: {built - start:.0f} s, "
        f"{inspect('order-api:test_builder')['Size'] / 1e9:.1f} GB; "
        f"its {passed} tests: {time.monotonic() - built:.0f} s"
    )
    assert status == 0, report[-6000:]
    assert passed > 1000


def test_image_of_the_tests_fails_when_a_test_does(container):
    without = "rm ARCHITECTURE.md; exec docker/start_test.sh -- invariants_name"
    tests = container("--network", "none", "order-api:test_builder", "sh", "-c", without)
    assert int(docker("wait", tests)) == 101
    assert "invariants_name_existing_tests ... FAILED" in logs(tests)


# ---- Compose ----


# Local settings of a developer must not affect the tests.
SETTINGS = ("DB_", "DATABASE_", "GMAP_", "OSRM_", "DISTANCE_", "LOG_", "APP_", "WEB_", "TLS_", "COMPOSE_")
SETTINGS += ("LISTEN", "WORKERS", "MAX_CONNECTIONS", "REQUEST_TIMEOUT", "SHUTDOWN_DRAIN")


def without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}


class Deployment:
    def __init__(self, tree: Path, port: int):
        self.tree = tree
        self.environment = without_settings() | {
            "COMPOSE_PROJECT_NAME": PROJECT,
            "WEB_PORT": str(port),
            "DB_PASSWORD": uuid.uuid4().hex,
            # All requests come from one address.
            "WEB_RATE": "100000",
        }
        self.address = f"127.0.0.1:{port}"

    @property
    def client(self) -> Client:
        """A new client: nginx closes connections that were idle for a minute."""
        return Client(self.address)

    def run(self, *command, check=True, **settings: str) -> subprocess.CompletedProcess:
        return run(*command, check=check, cwd=self.tree, env=self.environment | settings)

    def up(self, **settings: str):
        self.run("make", "docker-compose", **settings)

    def containers(self, service: str) -> list[str]:
        label = "label=com.docker.compose"
        return docker(
            *["ps", "--quiet", "--filter", f"{label}.project={PROJECT}"],
            *["--filter", f"{label}.service={service}"],
        ).split()

    def healths(self) -> list[str]:
        names = docker("ps", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}")
        return [inspect(name)["State"]["Health"]["Status"] for name in names.split()]

    def responds(self) -> bool:
        try:
            return self.client.get("/orders?page=1&limit=1").status == 200
        except OSError:
            return False

    def kill(self, service: str) -> str:
        """Kills the process of the container from outside, like a crash."""
        (name,) = self.containers(service)
        os.kill(inspect(name)["State"]["Pid"], signal.SIGKILL)
        return name


@pytest.fixture(scope="module")
def deployment(image, tmp_path_factory):
    deployment = Deployment(copy_of_the_repository(tmp_path_factory.mktemp("deployment")), free_port())
    try:
        deployment.up()
        wait_for(deployment.responds, "nginx reaches the service", 60)
        yield deployment
    finally:
        deployment.run("deploy/compose.sh", "down", "--volumes")


def test_everything_becomes_healthy(deployment, print_result):
    # The first health check of the service runs after a minute and a half.
    wait_for(lambda: deployment.healths() == ["healthy"] * 3, "all are healthy", 180)
    print_result(docker("ps", "--filter", f"label=com.docker.compose.project={PROJECT}",
                "--format", "{{.Names}}  {{.Image}}  {{.Status}}  {{.Ports}}").replace("\n", "\n    "))  # fmt: skip
    (app,) = deployment.containers("order-api-app")
    outputs = [check["Output"] for check in inspect(app)["State"]["Health"]["Log"]]
    assert '{"data":"hello world."}\n' in outputs
    assert "estimate" in logs(app)


def test_orders_are_placed_taken_and_listed(deployment):
    placed = deployment.client.place().json
    assert placed["status"] == "UNASSIGNED"
    assert deployment.client.take(placed["id"]).json == {"status": "SUCCESS"}
    assert deployment.client.take(placed["id"]).status == 400
    assert deployment.client.get("/orders?page=1&limit=1").json[0]["status"] == "TAKEN"
    assert deployment.client.get("/metrics").status == 404
    (app,) = deployment.containers("order-api-app")
    assert '"http.route":"/orders"' in docker("exec", app, "cat", "/var/log/order-api/info.log")


def test_only_nginx_is_reachable_and_no_container_runs_as_root(deployment):
    for service in ("order-api-db", "order-api-app"):
        (name,) = deployment.containers(service)
        assert not any(inspect(name)["NetworkSettings"]["Ports"].values())
    (web,) = deployment.containers("order-api-web")
    (binding,) = inspect(web)["NetworkSettings"]["Ports"]["8080/tcp"]
    assert binding["HostIp"] == "127.0.0.1"
    for service in ("order-api-app", "order-api-web", "order-api-db"):
        (name,) = deployment.containers(service)
        pid = inspect(name)["State"]["Pid"]
        status = dict(
            line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line
        )
        assert status["Uid"].split()[0] != "0" and int(status["CapEff"], 16) == 0, service
        assert status["NoNewPrivs"] == "1"
        # PostgreSQL's image starts as root, and needs capabilities to become another user.
        assert service == "order-api-db" or int(status["CapBnd"], 16) == 0, service
        as_root = run("docker", "exec", "--user", "0", name, "touch", "/usr/x", check=False)
        assert as_root.returncode != 0 and "Read-only file system" in as_root.stdout
    (database,) = deployment.containers("order-api-db")
    roles = "SELECT rolsuper FROM pg_roles WHERE rolname = 'order_api'"
    assert docker("exec", database, "psql", "-U", "postgres", "-Atc", roles) == "f"


@pytest.mark.parametrize("service", ["order-api-app", "order-api-web", "order-api-db"])
def test_killed_container_restarts_and_loses_no_order(deployment, service):
    before = deployment.client.all_orders()
    with Load(deployment.address, retry_seconds=60) as load:
        time.sleep(2)
        name = deployment.kill(service)
        restarted = lambda: inspect(name)["RestartCount"] > 0 and inspect(name)["State"]["Running"]
        wait_for(restarted, f"{service} is restarted", 60)
        wait_for(deployment.responds, "the deployment works again", 60)
        time.sleep(2)
    load.verify()
    assert before.items() <= deployment.client.all_orders().items()


def handles_requests(container: str) -> bool:
    """Whether the container has handled a client request since its last start."""
    lines = docker("logs", "--since", inspect(container)["State"]["StartedAt"], container)
    return '"http.route":"/orders"' in lines


def test_restarts_of_three_replicas_fail_no_request(deployment, print_result):
    deployment.up(APP_REPLICAS="3")
    names = deployment.containers("order-api-app")
    assert len(names) == 3
    rounds = int(os.environ.get("RESTART_ROUNDS", "1"))
    with Load(deployment.address, keyless=True) as load:
        # nginx finds the new applications.
        wait_for(lambda: all(map(handles_requests, names)), "all three handle requests", 30)
        for _ in range(rounds):
            for name in names:
                docker("restart", "--time", "30", name)
                wait_for(lambda: handles_requests(name), "it handles requests again", 30)
    print_result(f"{3 * rounds} restarts: {load.summary()}")
    load.verify()


def test_upgrade_and_rollback_fail_no_request(deployment, image, changed_image, print_result):
    changed, _ = changed_image
    deployment.up(APP_REPLICAS="3")

    def images() -> list[str]:
        return [inspect(name)["Image"] for name in deployment.containers("order-api-app")]

    with Load(deployment.address, keyless=True) as load:
        deployment.run("deploy/upgrade.sh", APP_IMAGE=changed)
        upgraded = images()
        deployment.run("deploy/upgrade.sh", APP_IMAGE=image)
        rolled_back = images()
    print_result(f"upgrade and rollback: {load.summary()}")
    load.verify()
    assert upgraded == [inspect(changed)["Id"]] * 3
    assert rolled_back == [inspect(image)["Id"]] * 3


def test_failed_upgrade_changes_nothing(deployment):
    old = deployment.containers("order-api-app")
    with Load(deployment.address, keyless=True) as load:
        # The invalid setting ends the new services at startup.
        failed = deployment.run("deploy/upgrade.sh", check=False, WORKERS="none")
    assert failed.returncode == 1 and "WORKERS" in failed.stdout
    load.verify()
    assert sorted(deployment.containers("order-api-app")) == sorted(old)


def test_orders_survive_down_and_up(deployment):
    before = deployment.client.all_orders()
    deployment.run("make", "docker-compose-down")
    assert not deployment.containers("order-api-db")
    deployment.up()
    wait_for(deployment.responds, "the deployment works again", 60)
    assert deployment.client.all_orders() == before


@pytest.fixture
def previous_image():
    """Restores the image that the page tags as `previous`."""
    was = docker("images", "--quiet", "order-api:previous")
    yield
    docker("tag", was, "order-api:previous") if was else docker("rmi", "order-api:previous", check=False)


def test_every_command_of_the_operations_page_works(image, previous_image, tmp_path):
    """All blocks marked `sh`, in one shell that ends at the first error."""
    tree = copy_of_the_repository(tmp_path / "tree")
    page = (REPO / "docs/operations.md").read_text()
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```$", page, re.M | re.S))
    assert commands.count("deploy/compose.sh") > 10
    port, tls_port = free_port(), free_port()
    # Between the backup and what restores it, an order is placed that must not be there afterwards;
    # before nginx is replaced and after it, it is noted what else runs.
    lost = "curl -s localhost:8080/orders -H 'Content-Type: application/json' " + f"-d '{json.dumps(ROUTE)}'"
    note = "echo RUNNING $(deploy/compose.sh ps -q order-api-app order-api-db | sort)"
    replace = next(line for line in commands.splitlines() if "--force-recreate" in line)
    stop = "deploy/compose.sh stop order-api-app"
    for line, instead in ((stop, f"{lost}\n{stop}"), (replace, f"{note}\n{replace}\n{note}")):
        assert commands.count(line) == 1
        commands = commands.replace(line, instead)
    commands = commands.replace("localhost:8080", f"localhost:{port}")
    commands = commands.replace("localhost:8443", f"localhost:{tls_port}")
    # An HTTP error ends the shell as well.
    preface = "set -euo pipefail\ncurl() { command curl --fail-with-body --show-error \"$@\"; }\n"
    environment = without_settings() | {
        "COMPOSE_PROJECT_NAME": f"{PROJECT}-page",
        "WEB_PORT": str(port),
        "WEB_TLS_PORT": str(tls_port),
        "GIT_DIR": str(REPO / ".git"),
    }
    try:
        typed = run("bash", "-c", preface + commands, cwd=tree, env=environment, check=False)
        assert typed.returncode == 0, typed.stdout[-6000:]
    finally:
        run("deploy/compose.sh", "down", "--volumes", cwd=tree, env=environment)
    assert typed.stdout.count('{"data":"hello world."}') >= 2
    one = re.escape('[{"id":1,"distance":1258740,"status":"UNASSIGNED"}]')
    assert len(re.findall(one, typed.stdout)) == 2, "the list of the beginning and the restored one"
    assert '{"id":2,' in typed.stdout
    running = re.findall(r"^RUNNING (.+)$", typed.stdout, re.M)
    assert len(running) == 2 and running[0] == running[1] and len(running[0].split()) == 4
