"""Many clients that scan the same cold dataset at once, against one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyarrow import flight

from bench.meter import Run, line, measured, mid
from harness.client import descriptor_for
from harness.load import connections
from harness.node import Dataset, serving

CLIENTS = 8
# True of no row, which neither statistics nor page indexes can tell: everything is fetched and
# decoded, nothing is sent.
NOTHING = "l_linenumber + l_suppkey < 0"


def scan(client: flight.FlightClient) -> int:
    """Read every endpoint in order; return the rows."""
    info = client.get_flight_info(descriptor_for("lineitem", filter=NOTHING))
    return sum(client.do_get(one.ticket).read_all().num_rows for one in info.endpoints)


def cold(path: Path, amount: int) -> tuple[Run, int]:
    """Let so many clients scan at once through a node that has just started.

    Return what it took, and the bytes that were read from the origin.
    """
    with (
        serving([Dataset("lineitem", f"file://{path}")], cache={"memory": "4GiB"}) as node,
        connections(node.flight, amount) as clients,
        ThreadPoolExecutor(amount) as pool,
    ):
        with measured(node.process.pid) as run:
            assert not any(pool.map(scan, clients))
        return run, node.stats()["origin"]["bytes"]


def rows(path: Path, repetitions: int) -> list[list[str]]:
    """Measure; return lines of the table."""
    together, alone = [], []
    for _ in range(repetitions):
        run, many = cold(path, CLIENTS)
        together.append(run)
        run, one = cold(path, 1)
        alone.append(run)
    a, b = (mid(runs, lambda run: run.cpu_s) for runs in (together, alone))
    name = f"server CPU of {CLIENTS} clients that scan it cold at once, against one client"
    mb = [f"{count / 1e6:.1f} MB" for count in (many, one)]
    return [
        line(name, f"{a:.2f} s", f"{b:.2f} s", a / b),
        line("origin bytes", *mb, many / one),
    ]
