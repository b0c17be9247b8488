"""Warm full scan over loopback, against a C++ Flight server with the same table in memory."""

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow import flight

from bench.meter import Run, measured, mid
from harness.client import Client
from harness.node import Dataset, serving
from harness.process import ROOT, poll, spawned


@contextmanager
def peer(path: Path) -> Iterator[tuple[int, str]]:
    """Run the peer; return its process and URL."""
    command = [sys.executable, "-m", "bench.peer", str(path)]
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log"
        with spawned(command, log, cwd=ROOT / "integration") as child:
            ready = re.compile(r"ready (\S+)")
            found = poll("the peer", lambda: ready.search(log.read_text()), 120)
            yield child.pid, found[1]


def drain(client: flight.FlightClient, tickets: list[flight.Ticket], run: Run) -> int:
    """Read every batch, count its bytes, let it go; return the rows."""
    rows = 0
    for ticket in tickets:
        for chunk in client.do_get(ticket):
            run.bytes += chunk.data.nbytes
            rows += chunk.data.num_rows
    return rows


def compare(path: Path, repetitions: int) -> tuple[list[Run], list[Run]]:
    """Read the file's rows from both, in turns; return our runs and the peer's."""
    ours: list[Run] = []
    theirs: list[Run] = []
    cache = {"memory": "8GiB"}
    with (
        peer(path) as (peer_pid, peer_url),
        flight.connect(peer_url) as other,
        serving([Dataset("lineitem", f"file://{path}")], cache=cache) as node,
        Client(node.flight) as client,
    ):
        tickets = [one.ticket for one in client.info("lineitem").endpoints]
        first = drain(client.flight, tickets, Run())
        for _ in range(repetitions):
            with measured(node.process.pid) as run:
                assert drain(client.flight, tickets, run) == first
            ours.append(run)
            with measured(peer_pid) as run:
                assert drain(other, [flight.Ticket(b"")], run) == first
            theirs.append(run)
    return ours, theirs


def rate(runs: list[Run]) -> float:
    """Return GB a second."""
    return mid(runs, lambda run: run.bytes / run.wall_s / 1e9)


def cost(runs: list[Run]) -> float:
    """Return the server's CPU seconds a GB."""
    return mid(runs, lambda run: run.cpu_s / (run.bytes / 1e9))
