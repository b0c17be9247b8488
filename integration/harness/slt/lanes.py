"""Nodes on which files of records run, a file at a time on each."""

import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

from adbc_driver_flightsql import ConnectionOptions, dbapi

from harness.node import Dataset, Node, serving
from harness.process import CACHE
from harness.slt import records
from harness.slt.beside import Beside, created
from harness.slt.records import Record
from harness.slt.run import Outcome, outcomes
from harness.sql import connect

ROOT = CACHE / "slt/test_files"
NODES = 2
# A record that takes longer fails.
DEADLINE_S = 20.0
# What DataFusion takes for its own fault, although the statement is at fault: these are tried.
FAULTS = r"Internal error: (Assertion failed: struct_allowed|array_resize: failed to convert)"
Result = list[tuple[Record, Outcome]]


@dataclass(frozen=True)
class Lane:
    """A node, and the folders of its datasets, one for each table that a file may make."""

    node: Node
    connection: dbapi.Connection
    folders: dict[str, Path]


def names() -> list[str]:
    """Return the files."""
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.slt"))


@contextmanager
def running(folder: Path, files: Sequence[str]) -> Iterator[dict[str, Future[Result]]]:
    """Run files until the block ends, in their order."""
    read = {name: records.read(ROOT, name) for name in files}
    tables = set[str]().union(*(created(one.sql) for file in read.values() for one in file))
    # Where the statements expect to be, so that what they write goes below `test_files/scratch`.
    home = folder / "datafusion/sqllogictest"
    scratch = home / "test_files/scratch"
    scratch.mkdir(parents=True)
    lanes: queue.Queue[Lane] = queue.Queue()

    def run(name: str) -> Result:
        lane = lanes.get()
        beside = Beside(lane.folders)
        try:
            (scratch / Path(name).stem).mkdir(exist_ok=True)
            return list(outcomes(read[name], beside, lane.connection))
        finally:
            beside.close()
            lanes.put(lane)

    with ExitStack() as stack:
        stack.enter_context(chdir(home))
        for number in range(NODES):
            lanes.put(stack.enter_context(lane_of(folder / str(number), sorted(tables))))
        pool = stack.enter_context(ThreadPoolExecutor(NODES))
        results = {name: pool.submit(run, name) for name in files}
        try:
            yield results
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def lane_of(folder: Path, tables: Sequence[str]) -> Iterator[Lane]:
    """Serve a dataset a table, all without files."""
    folders = {table: folder / str(number) for number, table in enumerate(tables)}
    for one in folders.values():
        one.mkdir(parents=True)
    datasets = [Dataset(name, f"file://{one}/", "0s") for name, one in folders.items()]
    with serving(datasets) as node, connect(node) as connection:
        node.allowed.append(FAULTS)
        limits = (ConnectionOptions.TIMEOUT_QUERY, ConnectionOptions.TIMEOUT_FETCH)
        connection.adbc_connection.set_options(**{limit.value: str(DEADLINE_S) for limit in limits})
        yield Lane(node, connection, folders)
