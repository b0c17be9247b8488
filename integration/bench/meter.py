"""What is measured: wall time, another process's CPU seconds, and what this machine can do."""

import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

GIB = 1 << 30
CHUNK = 1 << 20


@dataclass
class Run:
    """One measured run."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    bytes: int = 0


def cpu_s(pid: int) -> float:
    """Return the CPU seconds a process has used, in user and kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def measured(*pids: int) -> Iterator[Run]:
    """Measure a block, and the CPU that processes spend meanwhile."""
    run = Run()
    cpu, start = sum(map(cpu_s, pids)), time.perf_counter()
    yield run
    run.wall_s = time.perf_counter() - start
    run.cpu_s = sum(map(cpu_s, pids)) - cpu


def mid(runs: list[Run], of: Callable[[Run], float]) -> float:
    """Return the median of a figure."""
    return median(of(run) for run in runs)


def line(name: str, ours: str, peer: str, ratio: float | None, limit: str = "") -> list[str]:
    """Return a line of the table."""
    return [name, ours, peer, "" if ratio is None else f"{ratio:.2f}", limit]


def memcpy_gb_s(repetitions: int = 5) -> float:
    """Copy a gibibyte; return GB copied a second, one thread."""
    source = np.ones(GIB // 8)
    target = np.empty_like(source)
    np.copyto(target, source)
    runs = []
    for _ in range(repetitions):
        with measured() as run:
            np.copyto(target, source)
        runs.append(run)
    return GIB / mid(runs, lambda run: run.wall_s) / 1e9


def loopback_gb_s(repetitions: int = 5) -> float:
    """Send two gibibytes over TCP on loopback between two processes; return GB a second."""
    runs = []
    for _ in range(repetitions):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            sender = multiprocessing.get_context("spawn").Process(target=send, args=(port,))
            sender.start()
            connection, _ = listener.accept()
            buffer = bytearray(4 * CHUNK)
            total = connection.recv_into(buffer)
            with measured() as run, connection:
                while received := connection.recv_into(buffer):
                    total += received
            sender.join()
            assert total == 2 * GIB
            runs.append(run)
    return 2 * GIB / mid(runs, lambda run: run.wall_s) / 1e9


def send(port: int) -> None:
    """Send two gibibytes to `port`."""
    data = bytes(CHUNK)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(2 * GIB // CHUNK):
            connection.sendall(data)
