"""First read of a file in Azurite, through us and by pyarrow itself."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import AzureFileSystem

from bench.meter import Run, measured
from harness.node import Dataset, serving, store
from harness.proxy import proxied
from harness.stores import ACCOUNT, ACCOUNT_KEY, BlobContainer

Columns = list[str] | None
Reader = Callable[[BlobContainer, str, Columns], tuple[pa.Table, Run]]


@dataclass
class Side:
    """One way to read: how long it takes, and what the store sees."""

    runs: list[Run] = field(default_factory=list)
    requests: int = 0
    bytes: int = 0


def through_us(container: BlobContainer, endpoint: str, columns: Columns) -> tuple[pa.Table, Run]:
    """Read with a node that has just started, endpoints by as many threads as pyarrow uses."""
    datasets = [Dataset("lineitem", container.url("lineitem.parquet"))]
    stores, cache = [store(container, endpoint)], {"memory": "4GiB"}
    threads = ThreadPoolExecutor(os.cpu_count())
    with threads, serving(datasets, stores, cache=cache) as node, node.client() as client:
        with measured(node.process.pid) as run:
            command = {"columns": columns} if columns else {}
            tickets = [one.ticket for one in client.info("lineitem", **command).endpoints]
            read = threads.map(lambda ticket: client.flight.do_get(ticket).read_all(), tickets)
            table = pa.concat_tables(read)
        return table, run


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
    with measured() as run:
        path = f"{container.name}/lineitem.parquet"
        table = pq.read_table(path, columns=columns, filesystem=files)
    return table, run


def compare(container: BlobContainer, columns: Columns, repetitions: int) -> tuple[Side, Side]:
    """Time both in turns straight at the store, then count each once through a proxy."""
    readers: tuple[Reader, Reader] = (through_us, by_pyarrow)
    sides = (Side(), Side())
    for _ in range(repetitions):
        rows = set()
        for reader, side in zip(readers, sides, strict=True):
            table, run = reader(container, container.endpoint, columns)
            side.runs.append(run)
            rows.add((table.num_rows, table.num_columns))
            del table
        assert len(rows) == 1
    with proxied(container.endpoint) as proxy:
        for reader, side in zip(readers, sides, strict=True):
            proxy.forget()
            reader(container, proxy.endpoint, columns)
            side.requests = len(proxy.data())
            side.bytes = sum(one.bytes for one in proxy.data())
    return sides
