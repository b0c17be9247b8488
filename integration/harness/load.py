"""Many clients at once: connections of their own, and what a node's memory does meanwhile."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import flight

from harness.node import Node


class Memory:
    """The resident bytes of a node while a block ran."""

    def __init__(self, node: Node) -> None:
        """Start with what it occupies."""
        self.node = node
        self.before = self.peak = node.rss()

    def look(self) -> int:
        """Take one more sample."""
        now = self.node.rss()
        self.peak = max(self.peak, now)
        return now


@contextmanager
def memory_of(node: Node) -> Iterator[Memory]:
    """Sample a node's memory until the block ends."""
    memory, done = Memory(node), threading.Event()

    def sample() -> None:
        while not done.wait(0.02):
            memory.look()

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        done.set()
        thread.join()


# A connection that is shared with no other client of this process.
OWN = [("grpc.use_local_subchannel_pool", 1)]
# One that takes nothing before it is read: gRPC would else take megabytes on a fast line.
LAZY = [*OWN, ("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65536)]


@contextmanager
def connections(
    url: str, amount: int, options: list[tuple[str, int]] = OWN
) -> Iterator[list[flight.FlightClient]]:
    """So many connections, closed with the block."""
    with ExitStack() as stack:
        connect = [flight.connect(url, generic_options=options) for _ in range(amount)]
        yield [stack.enter_context(client) for client in connect]


def numbers(rows: int, start: int = 0) -> pa.Table:
    """Four columns of eight bytes that compress well and never repeat a row."""
    row = np.arange(start, start + rows, dtype=np.int64)
    return pa.table({"row": row, "a": row // 1000, "b": row // 7 * 7, "c": -(row // 500)})


def put_numbers(folder: Path, files: int, rows: int, row_group_size: int) -> None:
    """Write `files` files of `rows` rows each, cheap to decode: plain pages, compressed."""
    folder.mkdir(parents=True)
    options = {"compression": "zstd", "use_dictionary": False, "row_group_size": row_group_size}
    for index in range(files):
        pq.write_table(numbers(rows, index * rows), folder / f"{index:02}.parquet", **options)


def read_numbers(client: flight.FlightClient, first: int = 0) -> int:
    """Read the dataset batch by batch from its split `first` on, check every value, count rows."""
    info = client.get_flight_info(flight.FlightDescriptor.for_path("numbers"))
    endpoints = info.endpoints[first:] + info.endpoints[:first]
    rows = 0
    for endpoint in endpoints:
        row = None
        for chunk in client.do_get(endpoint.ticket):
            batch = chunk.data
            row = batch.column(0)[0].as_py() if row is None else row
            assert pa.Table.from_batches([batch]).equals(numbers(batch.num_rows, row))
            row += batch.num_rows
            rows += batch.num_rows
    return rows
