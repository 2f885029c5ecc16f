"""Measures the cost of nginx, with a new version and an old one without keep-alive upstreams.

Prints requests per second of one run, in turn: the service alone, behind a new nginx, and behind an
old one.
"""

import re
import statistics
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from nginx import BINARIES, REPO, Applications, Names, Nginx

ROUNDS, SECONDS = 7, 4
ADDRESS = "127.0.0.2"


def requests_a_second(address: str, path: str) -> float:
    command = ["wrk", "--threads", "1", "--connections", "64", "--duration", f"{SECONDS}s"]
    output = subprocess.run([*command, f"http://{address}{path}"], capture_output=True, text=True, check=True)
    assert "Non-2xx" not in output.stdout, output.stdout
    return float(re.search(r"Requests/sec:\s+([\d.]+)", output.stdout)[1])


def measure(sides: dict[str, str], path: str):
    measured = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side, address in sides.items():
            measured[side].append(requests_a_second(address, path))
    print(path)
    for side, values in measured.items():
        ratio = statistics.median(value / alone for value, alone in zip(values, measured["alone"]))
        print(f"  {side:24} {statistics.median(values):8.0f} per second, {ratio:.2f} of the service alone")


def main():
    names = Names()
    with tempfile.TemporaryDirectory() as directory, ExitStack() as running:
        applications = Applications(Path(directory), names, REPO / "target/release/order-api")
        running.callback(applications.kill_all)
        applications.start(ADDRESS)
        applications.announce(ADDRESS)
        for _ in range(20):
            applications.client(ADDRESS).place()
        sides = {"alone": f"{ADDRESS}:{applications.port}"}
        for name, binary in BINARIES.items():
            folder = Path(directory) / name
            folder.mkdir()
            nginx = running.enter_context(Nginx(binary, folder, names, applications.port).running())
            sides[f"nginx {name} ({nginx.settings['WEB_UPSTREAM']})"] = nginx.address
        measure(sides, "/healthcheck")
        measure(sides, "/orders?page=1&limit=10")


if __name__ == "__main__":
    main()
