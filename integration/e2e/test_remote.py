"""A DataFusion program reads through a node, and through the store when the node is no help."""

import re
import subprocess
from pathlib import Path

import pyarrow as pa

from harness.node import BINARY, Dataset, Node, serving
from harness.tables import parquet

EXAMPLE = BINARY.parent / "examples" / "remote"
QUERY = "SELECT count(*) AS rows, sum(n) AS sum, max(w) AS word FROM t WHERE n % 3 = 0"


def put(folder: Path, name: str, first: int) -> None:
    """Write one file of 100,000 rows in ten row groups; replace it whole if it exists."""
    numbers = range(first, first + 100_000)
    table = pa.table({"n": numbers, "w": [f"word {n}" for n in numbers]})
    (folder / f".{name}").write_bytes(parquet(table, row_group_size=10_000))
    (folder / f".{name}").rename(folder / name)


def run(node: Node, folder: Path, query: str = QUERY) -> tuple[str, int, int]:
    """Run the example; return what it printed, and the chunks from the node and from the store."""
    command = [str(EXAMPLE), node.flight, f"file://{folder}/", query]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    rows, ways = done.stdout.rstrip().rsplit("\n", 1)
    ways = re.fullmatch(r"(\d+) chunks from the server, (\d+) from the store", ways)
    return rows, int(ways[1]), int(ways[2])


def expected(*firsts: int) -> list[str]:
    """Return the cells of the one row."""
    numbers = [n for first in firsts for n in range(first, first + 100_000) if n % 3 == 0]
    return [str(len(numbers)), str(sum(numbers)), max(f"word {n}" for n in numbers)]


def cells(rows: str) -> list[str]:
    """Return the cells of the one row that was printed."""
    return [cell.strip() for cell in rows.splitlines()[3].strip("|").split("|")]


def test_the_node_the_store_and_both(tmp_path: Path) -> None:
    """Rows are the files', whether all, some or none of them come from the node."""
    for name, first in ("1.parquet", 0), ("2.parquet", 100_000):
        put(tmp_path, name, first)
    with serving([Dataset("numbers", f"file://{tmp_path}/")]) as node:
        rows, served, stored = run(node, tmp_path)
        assert (cells(rows), served, stored) == (expected(0, 100_000), 40, 0)
        assert node.stats()["memory"]["misses"] == 40

        rows, served, stored = run(node, tmp_path, f"EXPLAIN ANALYZE {QUERY}")
        assert (served, stored) == (40, 0)
        assert "cached parquet" in rows
        assert "remote_chunks=40" in rows
        assert node.stats()["memory"]["misses"] == 40

        # The node lists anew after an hour, the program each time it plans.
        put(tmp_path, "2.parquet", 500_000)
        rows, served, stored = run(node, tmp_path)
        assert (cells(rows), served, stored) == (expected(0, 500_000), 20, 20)

        node.kill()
        rows, served, stored = run(node, tmp_path)
        assert (cells(rows), served, stored) == (expected(0, 500_000), 0, 40)
