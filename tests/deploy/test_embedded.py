"""Tests the backup of the embedded database with the commands of docs/operations.md."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from load import Client
from nginx import BINARY, REPO, free_port, wait_for

CLIENTS = 16


def blocks() -> tuple[str, str]:
    """Returns the commands for the backup and for the restore."""
    page = (REPO / "docs/operations.md").read_text()
    backup, restore = re.findall(r"^```sh embedded\n(.*?)^```$", page, re.M | re.S)
    assert "order-api backup" in backup and "sqlite_sequence" in restore
    return backup, restore


def run_commands(folder, commands: str):
    """Runs commands in the folder of the service, with `order-api` in the search path."""
    path = f"{BINARY.parent}:{os.environ['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", commands]
    ran = subprocess.run(command, cwd=folder, env={"PATH": path}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


class Service:
    def __init__(self, folder):
        self.address = f"127.0.0.1:{free_port()}"
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [BINARY], cwd=folder, env={"LISTEN": self.address}, stdout=log, stderr=log
            )
        wait_for(self.is_ready, lambda: self.log.read_text(), 60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def is_ready(self) -> bool:
        try:
            return Client(self.address).get("/readyz").status == 200
        except OSError:
            return False

    def place(self, count: int) -> list[int]:
        """Places orders with several clients, and returns their ids."""

        def work(share: int) -> list[int]:
            client = Client(self.address)
            return [client.place().json["id"] for _ in range(share)]

        shares = [count // CLIENTS + (n < count % CLIENTS) for n in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            return sorted(id for ids in pool.map(work, shares) for id in ids)


@pytest.mark.parametrize("at_backup, at_kill", [(0, 3), (5, 10), (400, 800), (2000, 4000)])
def test_backup_is_restored_after_a_crash_as_the_page_says(tmp_path, at_backup, at_kill):
    backup, restore = blocks()
    with Service(tmp_path) as service:
        before = service.place(at_backup)
        run_commands(tmp_path, backup)
        after = service.place(at_kill - at_backup)
        # The service is killed, so the write-ahead log remains.
    assert (tmp_path / "data/orders.db-wal").stat().st_size > 0

    run_commands(tmp_path, restore)

    with Service(tmp_path) as service:
        client = Client(service.address)
        assert sorted(client.all_orders()) == before
        (new,) = service.place(1)
        assert new > max(after), "an id was reused"
        for order in after:
            assert client.get(f"/orders/{order}").status == 400
