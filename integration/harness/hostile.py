"""Reads of files that nobody vouches for: bounded, compared with pyarrow, and undisturbing."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
from pyarrow import flight

from harness.client import Client, message
from harness.node import Node
from harness.tables import assert_same

DEADLINE_S = 20
CLEAN = ("data loss error", "invalid argument error", "not found error", "NOT_FOUND")


@dataclass
class Verdict:
    """What became of many files."""

    same: int = 0
    refused: int = 0
    only_here: int = 0
    faults: list[str] = field(default_factory=list)


def url(path: Path) -> str:
    """Return a file's URL."""
    return f"file://{quote(str(path))}"


def read(client: Client, path: Path, **command: object) -> pa.Table:
    """Plan and read a file, each within the deadline."""
    options = flight.FlightCallOptions(timeout=DEADLINE_S)
    asked = json.dumps({"url": url(path)} | command).encode()
    descriptor = flight.FlightDescriptor.for_command(asked)
    info = client.flight.get_flight_info(descriptor, options)
    tables = [client.flight.do_get(one.ticket, options).read_all() for one in info.endpoints]
    return pa.concat_tables(tables) if tables else info.schema.empty_table()


def judge(
    client: Client, path: Path, expected: pa.Table | None, verdict: Verdict, **command: object
) -> None:
    """Read a file: pyarrow's rows, or a clean error."""
    try:
        table = read(client, path, **command)
    except (pa.ArrowException, KeyError) as error:
        said = message(error)
        clean = any(word in said for word in CLEAN) or isinstance(error, KeyError)
        verdict.refused += 1
        if not clean:
            verdict.faults.append(f"{path.name}: {type(error).__name__}: {said}")
        elif expected is not None:
            verdict.faults.append(f"{path.name}: pyarrow reads it: {said}")
        return
    if expected is None:
        verdict.only_here += 1
        return
    try:
        assert_same(table, expected)
        verdict.same += 1
    except AssertionError as error:
        verdict.faults.append(f"{path.name}: {error}")


def peak_mib(node: Node) -> int:
    """Return the most memory that a node had at any time."""
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) >> 10
