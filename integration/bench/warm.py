"""Warm full scans over loopback: from memory, from disk, and by a C++ Flight server from memory."""

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
from pyarrow import flight

from bench.meter import Run, line, loopback_gb_s, measured, memcpy_gb_s, mid
from harness.cachefiles import chunks
from harness.client import Client
from harness.node import Dataset, Node, serving
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


@contextmanager
def from_disk(path: Path) -> Iterator[tuple[Node, Client]]:
    """Run a node whose memory holds next to nothing of what its disk holds, all of it."""
    with tempfile.TemporaryDirectory() as folder:
        cache = {"memory": "32MiB", "headroom": "1GiB", "dir": folder, "disk": "16GiB"}
        with (
            serving([Dataset("lineitem", f"file://{path}")], cache=cache) as node,
            Client(node.flight) as client,
        ):
            client.act("flightcache.warm", {"dataset": "lineitem"})
            groups = pq.read_metadata(path)
            columns = groups.num_columns * groups.num_row_groups
            poll("chunks and footer on disk", lambda: len(chunks(Path(folder))) > columns, 60)
            yield node, client


def compare(path: Path, repetitions: int) -> dict[str, list[Run]]:
    """Read the file's rows from memory, from disk and from the peer, in turns."""
    cache = {"memory": "8GiB"}
    with (
        peer(path) as (peer_pid, peer_url),
        flight.connect(peer_url) as other,
        serving([Dataset("lineitem", f"file://{path}")], cache=cache) as node,
        Client(node.flight) as client,
        from_disk(path) as (disk, mapped),
    ):
        tickets = [one.ticket for one in client.info("lineitem").endpoints]
        on_disk = [one.ticket for one in mapped.info("lineitem").endpoints]
        first = drain(client.flight, tickets, Run())
        origin = disk.stats()["origin"]["requests"]
        sides = {
            "memory": (node.process.pid, client.flight, tickets),
            "disk": (disk.process.pid, mapped.flight, on_disk),
            "peer": (peer_pid, other, [flight.Ticket(b"")]),
        }
        runs: dict[str, list[Run]] = {name: [] for name in sides}
        for _ in range(repetitions):
            for name, (pid, reader, wanted) in sides.items():
                with measured(pid) as run:
                    assert drain(reader, wanted, run) == first
                runs[name].append(run)
        assert disk.stats()["origin"]["requests"] == origin
    return runs


def rows(path: Path, repetitions: int) -> list[list[str]]:
    """Measure warm scans; return lines of the table."""
    copy, loopback = memcpy_gb_s(), loopback_gb_s()
    runs = compare(path, repetitions)
    rates = {name: mid(of, lambda run: run.bytes / run.wall_s / 1e9) for name, of in runs.items()}
    costs = {name: mid(of, lambda run: run.cpu_s / run.bytes * 1e9) for name, of in runs.items()}
    limit = f"TCP loopback {loopback:.2f} GB/s, memcpy {copy:.2f} GB/s"
    sizes = {name: of[0].bytes / 1e9 for name, of in runs.items()}

    def against(name: str, of: dict[str, float], one: str, peer: str, unit: str) -> list[str]:
        return line(name, f"{of[one]:.2f} {unit}", f"{of[peer]:.2f} {unit}", of[one] / of[peer])

    scan = "warm full scan over loopback, against C++ Flight from memory"
    return [
        [*against(scan, rates, "memory", "peer", "GB/s")[:4], limit],
        against("server CPU a GB", costs, "memory", "peer", "s"),
        against("bytes of Arrow received", sizes, "memory", "peer", "GB"),
        against(
            "from disk, in the page cache, against from memory", rates, "disk", "memory", "GB/s"
        ),
        against("server CPU a GB", costs, "disk", "memory", "s"),
    ]
