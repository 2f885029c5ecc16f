"""The processes that a run starts: found by their folder, suspended, killed, and reaped."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

PR_SET_CHILD_SUBREAPER = 36
# The unprivileged user 65534 of every Linux. PostgreSQL does not run as root.
UNPRIVILEGED = 65534
# Lower than the ports that the kernel gives to connections, one of which could take the port of a
# node that is down.
PORTS = range(12000, 30000)

_started: dict[int, subprocess.Popen] = {}
_given_ports: set[int] = set()


def is_root() -> bool:
    return os.getuid() == 0


def adopt_orphans():
    """Makes this process the parent of its orphaned descendants, and reaps all of them.

    A postmaster is an orphan by design. As a zombie that nothing reaps it would appear to run.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    threading.Thread(target=_reap, daemon=True).start()


def _reap():
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            ended = None
        if ended is None:
            time.sleep(0.02)
            continue
        # Taken out: another process gets the same number later.
        process = _started.pop(ended.si_pid, None)
        if process is not None and process.returncode is None:
            process.poll()
        else:
            # Its own thread may have reaped it meanwhile.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(ended.si_pid, os.WNOHANG)


def start(command: list, log: Path, cwd: Path, environment: dict[str, str], unprivileged: bool = False):
    """Starts a process in a session of its own, so that Ctrl-C does not reach it."""
    user = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []} if unprivileged and is_root() else {}
    with log.open("a") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=environment,
            start_new_session=True,
            **user,
        )
    _started[process.pid] = process
    return process


def in_folder(folder: Path) -> list[psutil.Process]:
    """Returns the descendants of this process whose working directory is in the folder."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process)
        except psutil.Error:
            pass
    return found


def with_command(processes: list[psutil.Process], text: str) -> list[psutil.Process]:
    """Returns the processes whose command contains the text."""
    found = []
    for process in processes:
        try:
            if text in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            pass
    return found


def suspend(processes: Callable[[], list[psutil.Process]]):
    """Suspends all processes, also those that they start meanwhile."""
    suspended: set[int] = set()
    while running := [process for process in processes() if process.pid not in suspended]:
        for process in running:
            _signal(process.suspend)
            suspended.add(process.pid)


def resume(processes: list[psutil.Process]):
    for process in processes:
        _signal(process.resume)


def kill(processes: Callable[[], list[psutil.Process]]):
    """Kills all processes at one instant: none of them sees another one end."""
    suspend(processes)
    while remaining := processes():
        for process in remaining:
            _signal(process.kill)
        time.sleep(0.01)


def kill_all():
    """Kills every descendant of this process."""
    kill(lambda: [p for p in psutil.Process().children(recursive=True) if _is_alive(p)])


def _signal(send: Callable[[], None]):
    try:
        send()
    except psutil.NoSuchProcess:
        pass


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def free_port() -> int:
    """Returns a port of 127.0.0.1 that is free and was not returned before."""
    for port in PORTS[os.getpid() % 1000 :]:
        if port in _given_ports:
            continue
        _given_ports.add(port)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise RuntimeError("no port is free")


def wait_for(condition: Callable[[], bool], what: str, timeout: float = 60, interval: float = 0.1):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:.0f} s: {what}")
        time.sleep(interval)
