"""Warm scans that find few rows, by one client and by many, against pyarrow on the local file."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from pyarrow import flight

from bench.meter import line
from harness.client import Client, descriptor_for
from harness.load import connections
from harness.node import Dataset, serving

SCANS = 192
CLIENTS = 16
# pyarrow cannot filter the views that the generator writes strings as.
COLUMNS = ["l_orderkey", "l_extendedprice", "l_shipdate"]


def ask(client: flight.FlightClient, order: int) -> int:
    """Plan and read one order; return its rows."""
    wanted = descriptor_for("lineitem", columns=COLUMNS, filter=f"l_orderkey = {order}")
    info = client.get_flight_info(wanted)
    return sum(client.do_get(one.ticket).read_all().num_rows for one in info.endpoints)


def some_orders(path: Path) -> list[int]:
    """Return orders from all over the table; each has one to seven lines.

    Of each 32 numbers TPC-H gives the first eight to orders, which are a quarter of the lines.
    """
    blocks = pq.read_metadata(path).num_rows // 40
    return [1 + 32 * (2_654_435_761 * at % blocks) for at in range(SCANS)]


def timed(read: Callable[[int], int], orders: list[int]) -> list[float]:
    """Return the milliseconds of each read; each must find something."""
    took = []
    for order in orders:
        start = time.perf_counter()
        assert read(order)
        took.append((time.perf_counter() - start) * 1e3)
    return took


def percentiles(took: list[float]) -> str:
    """Write the median and the 99th percentile."""
    p50, p99 = np.percentile(took, [50, 99])
    return f"{p50:.1f} / {p99:.1f} ms"


def rows(path: Path) -> list[list[str]]:
    """Measure point scans; return lines of the table."""
    table, orders = pads.dataset(path), some_orders(path)

    def by_pyarrow(order: int) -> int:
        return table.to_table(COLUMNS, filter=pads.field("l_orderkey") == order).num_rows

    with (
        serving([Dataset("lineitem", f"file://{path}")], cache={"memory": "8GiB"}) as node,
        Client(node.flight) as client,
        connections(node.flight, CLIENTS) as clients,
        ThreadPoolExecutor(CLIENTS) as pool,
        ExitStack() as stack,
    ):
        stack.callback(node.check_log)
        client.act("flightcache.warm", {"dataset": "lineitem"})
        timed(lambda order: ask(client.flight, order), orders[:16])
        alone = timed(lambda order: ask(client.flight, order), orders)
        shares = [orders[at::CLIENTS] for at in range(CLIENTS)]
        reads = pool.map(lambda one, share: timed(lambda o: ask(one, o), share), clients, shares)
        together = [one for took in reads for one in took]
    theirs = timed(by_pyarrow, orders[:32])
    ratio = float(np.median(alone) / np.median(theirs))
    name = "warm scan for one order, p50 / p99, against pyarrow on the file in the page cache"
    return [
        line(name, percentiles(alone), percentiles(theirs), ratio),
        line(f"the same by each of {CLIENTS} clients at once", percentiles(together), "", None),
    ]
