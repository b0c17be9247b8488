"""First read of a file in Azurite, through us and by pyarrow itself."""

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import AzureFileSystem

from bench.meter import Run, line, measured, mid
from harness.client import Client
from harness.node import Dataset, Node, serving, store
from harness.proxy import proxied
from harness.stores import ACCOUNT, ACCOUNT_KEY, BlobContainer, azurite

Columns = list[str] | None
Reader = Callable[[BlobContainer, str, Columns], tuple[pa.Table, Run]]


@dataclass
class Side:
    """One way to read: how long it takes, and what the store sees."""

    runs: list[Run] = field(default_factory=list)
    requests: int = 0
    bytes: int = 0


@contextmanager
def node_for(container: BlobContainer, endpoint: str) -> Iterator[tuple[Node, Client]]:
    """Run a node that has just started."""
    datasets = [Dataset("lineitem", container.url("lineitem.parquet"))]
    stores, cache = [store(container, endpoint)], {"memory": "4GiB"}
    with serving(datasets, stores, cache=cache) as node, node.client() as client:
        yield node, client


def through_us(container: BlobContainer, endpoint: str, columns: Columns) -> tuple[pa.Table, Run]:
    """Read with a node that has just started, an endpoint at a time on each core."""
    threads = ThreadPoolExecutor(os.cpu_count())
    with threads, node_for(container, endpoint) as (node, client):
        with measured(node.process.pid, os.getpid()) as run:
            command = {"columns": columns} if columns else {}
            tickets = [one.ticket for one in client.info("lineitem", **command).endpoints]
            read = threads.map(lambda ticket: client.flight.do_get(ticket).read_all(), tickets)
            table = pa.concat_tables(read)
        return table, run


def unsent(container: BlobContainer, columns: Columns) -> Run:
    """Let a node that has just started fetch and decode, and send nothing on."""
    with node_for(container, container.endpoint) as (node, client):
        with measured(node.process.pid) as run:
            client.act("flightcache.warm", {"dataset": "lineitem", "columns": columns})
        return run


def by_pyarrow(container: BlobContainer, endpoint: str, columns: Columns) -> tuple[pa.Table, Run]:
    """Read with pyarrow's own Azure file system, just made."""
    authority = endpoint.removeprefix("http://")
    files = AzureFileSystem(
        ACCOUNT,
        account_key=ACCOUNT_KEY,
        blob_storage_authority=authority,
        dfs_storage_authority=authority,
        blob_storage_scheme="http",
        dfs_storage_scheme="http",
    )
    with measured(os.getpid()) as run:
        path = f"{container.name}/lineitem.parquet"
        table = pq.read_table(path, columns=columns, filesystem=files)
    return table, run


def compare(
    container: BlobContainer, columns: Columns, repetitions: int
) -> tuple[Side, Side, list[Run]]:
    """Time both in turns straight at the store, then count each once through a proxy.

    The third are runs of ours that send nothing to the client.
    """
    readers: tuple[Reader, Reader] = (through_us, by_pyarrow)
    sides, warming = (Side(), Side()), []
    for _ in range(repetitions):
        rows = set()
        for reader, side in zip(readers, sides, strict=True):
            table, run = reader(container, container.endpoint, columns)
            side.runs.append(run)
            rows.add((table.num_rows, table.num_columns))
            del table
        assert len(rows) == 1
        warming.append(unsent(container, columns))
    with proxied(container.endpoint) as proxy:
        for reader, side in zip(readers, sides, strict=True):
            proxy.forget()
            reader(container, proxy.endpoint, columns)
            side.requests = len(proxy.data())
            side.bytes = sum(one.bytes for one in proxy.data())
    return *sides, warming


def rows(path: Path, columns: Columns, repetitions: int) -> list[list[str]]:
    """Measure the first read; return lines of the table."""
    with tempfile.TemporaryDirectory() as folder, azurite(Path(folder)) as service:
        container = service.container("bench")
        container.put("lineitem.parquet", path.read_bytes())
        ours, theirs, warming = compare(container, columns, repetitions)
    sides = (ours, theirs)
    a, b = (mid(side.runs, lambda run: run.wall_s) for side in sides)
    unsent_s = mid(warming, lambda run: run.wall_s)
    c, d = (mid(side.runs, lambda run: run.cpu_s) for side in sides)
    name = "first read of 3 of 16 columns" if columns else "first read of all columns"
    size = path.stat().st_size / 1e6
    mb = [f"{side.bytes / 1e6:.1f} MB" for side in sides]
    counts = [str(side.requests) for side in sides]
    return [
        line(f"{name} from Azurite, against pyarrow", f"{a:.2f} s", f"{b:.2f} s", a / b),
        line("without sending it on", f"{unsent_s:.2f} s", f"{b:.2f} s", unsent_s / b),
        line("CPU of node and client", f"{c:.2f} s", f"{d:.2f} s", c / d),
        line("origin data requests", *counts, ours.requests / theirs.requests),
        line("origin bytes", *mb, ours.bytes / theirs.bytes, f"stored: {size:.1f} MB"),
    ]
