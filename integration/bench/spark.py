"""TPC-H in Spark: its own reader against the cache, and against the cache when it is not there.

`python -m bench.spark --scale 0.1 --queries q1,q6` makes it quick.
"""

import argparse
import datetime as dt
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.meter import Run, cpu_s, measured
from harness.client import Client
from harness.node import BINARY, Dataset, Node, serving
from harness.process import CACHE, ROOT
from harness.spark import NEWEST, Session, hadoop, plugged, session
from harness.sparkdata import tpch_queries

RESULTS = ROOT / "integration/bench/spark.md"
TABLES = ("region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem")
MIB = 1 << 20
# A port at which nobody listens.
NOWHERE = "grpc://127.0.0.1:9"

COLUMNS = ["orderkey", "partkey", "suppkey", "linenumber", "quantity", "extendedprice", "discount"]
COLUMNS += ["tax", "returnflag", "linestatus", "shipdate", "commitdate", "receiptdate"]
COLUMNS += ["shipinstruct", "shipmode", "comment"]
SCANS = {
    "scan of 4 columns": "SELECT sum(l_quantity), sum(l_extendedprice), sum(l_discount), "
    "sum(l_tax) FROM lineitem",
    "scan of wide strings": "SELECT max(l_comment), max(l_shipinstruct), max(l_shipmode) "
    "FROM lineitem",
    "scan of all columns": f"SELECT {', '.join(f'max(l_{name})' for name in COLUMNS)} "
    "FROM lineitem",
}
HEADER = [
    "",
    "direct",
    "cache",
    "ratio",
    "mapped",
    "ratio",
    "cache down",
    "ratio",
    "direct, store",
    "cache, store",
]
HEADER += ["ratio", "CPU: direct", "cache", "mapped", "node"]


@dataclass
class Side:
    """A Spark, where it reads from, and what it took for each query."""

    session: Session
    runs: dict[str, list[Run]] = field(default_factory=dict)

    @property
    def jvm(self) -> int:
        """The process that computes: the driver's Java, which is Python's child."""
        children = Path(f"/proc/{self.session.process.pid}/task").glob("*/children")
        pids = [int(pid) for path in children for pid in path.read_text().split()]
        return max(pids, key=cpu_s)

    def ask(self, name: str, text: str, lake: Path) -> tuple[str, int, str]:
        """Run a query once more."""
        with measured(self.jvm) as run:
            answer = self.session.run("tpch", lake, text=text)
        self.runs.setdefault(name, []).append(run)
        return answer.same

    def wall(self, name: str) -> float:
        """Seconds, the median of what followed the first run."""
        return median(run.wall_s for run in self.runs[name][1:])

    def cpu(self, name: str) -> float:
        """CPU seconds of Spark."""
        return median(run.cpu_s for run in self.runs[name][1:])


def lake(scale: float, row_group_bytes: int) -> Path:
    """Return a folder with the tables, each in a folder of its own; generated once."""
    folder = CACHE / f"tpch-{scale:g}-{row_group_bytes // MIB}"
    if not folder.exists():
        scratch = folder.with_suffix(".new")
        generator = Path(sys.executable).parent / "tpchgen-cli"
        flags = ["--scale-factor", f"{scale:g}", "--output-dir", str(scratch), "--overwrite"]
        flags += ["--row-group-bytes", str(row_group_bytes), "--quiet"]
        subprocess.run([generator, "parquet", *flags], check=True)
        for table in TABLES:
            (scratch / table).mkdir()
            (scratch / f"{table}.parquet").rename(scratch / table / f"{table}.parquet")
        scratch.rename(folder)
    return folder


@contextmanager
def sides(version: str, url: str) -> Iterator[dict[str, Side]]:
    """Start a Spark for each way to read."""
    store = hadoop(
        fs__file__impl="dev.flightcache.integration.LatencyFileSystem",
        fs__file__impl__disable__cache="false",
    )
    quick = {
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": "-XX:+UseParallelGC",
        "spark.sql.shuffle.partitions": "4",
    }
    ways = {
        "direct": {},
        "cache": plugged(version, url, fallback="fail"),
        "mapped": plugged(version, url, fallback="fail", local="true"),
        "down": plugged(version, NOWHERE),
        "direct, store": store,
        "cache, store": store | plugged(version, url, fallback="fail"),
    }
    with ExitStack() as stack:
        yield {
            name: Side(stack.enter_context(session(version, **(quick | conf))))
            for name, conf in ways.items()
        }


@dataclass
class Bench:
    """Everybody who takes part."""

    data: Path
    sides: dict[str, Side]
    node: Node
    repetitions: int

    def ask(self, name: str, text: str) -> float:
        """Run one query on every side in turns; return the node's CPU seconds for one run."""
        spent = []
        for turn in range(self.repetitions + 1):
            answers = set()
            for way, side in self.sides.items():
                if way == "direct, store" and turn > 1:
                    side.runs[name].append(side.runs[name][-1])
                    continue
                with measured(self.node.process.pid) as run:
                    answers.add(side.ask(name, text, self.data))
                if way == "cache" and turn:
                    spent.append(run.cpu_s)
            assert len(answers) == 1, f"{name}: {answers}"
        print(name, {way: round(one.wall(name), 2) for way, one in self.sides.items()}, flush=True)
        return median(spent)


def measure(data: Path, version: str, queries: Sequence[str], repetitions: int) -> list[list[str]]:
    """Ask every side in turns; return the lines of a table."""
    texts = {name: text for name, text in (SCANS | tpch_queries()).items() if name in queries}
    datasets = [Dataset(table, f"{(data / table).as_uri()}/") for table in TABLES]
    with (
        tempfile.TemporaryDirectory(prefix="flightcache") as folder,
        serving(datasets, cache=on_disk(datasets, folder) | {"memory": "8GiB"}) as node,
        Client(node.flight) as client,
        sides(version, node.flight) as all_sides,
    ):
        for table in TABLES:
            client.act("flightcache.warm", {"dataset": table})
        fetched = node.stats()["origin"]["requests"]
        bench = Bench(data, all_sides, node, repetitions)
        nodes = {name: bench.ask(name, text) for name, text in texts.items()}
        stats = node.stats()
        assert stats["origin"]["requests"] == fetched, "what is warm asks for nothing"
        assert stats["disk"]["leases"] > 0, "nothing was mapped"
    return table_of(list(texts), all_sides, nodes)


def on_disk(datasets: Sequence[Dataset], folder: str) -> dict[str, str]:
    """Have a node write everything into a folder; return how another one serves it from there."""
    disk = {"dir": folder, "disk": "32GiB"}
    # A chunk that memory holds is not written later: a restart shows what is missing.
    fetched = -1
    while fetched != 0:
        cache = disk | {"memory": "8GiB"}
        with serving(datasets, cache=cache) as node, Client(node.flight) as client:
            for dataset in datasets:
                client.act("flightcache.warm", {"dataset": dataset.name})
            fetched = node.stats()["origin"]["requests"]
    return disk


def table_of(names: list[str], of: dict[str, Side], nodes: dict[str, float]) -> list[list[str]]:
    """Return a line a query, and what the 22 come to together."""
    lines = [HEADER, ["---"] * len(HEADER)]
    lines += [
        row(name, {way: side.wall(name) for way, side in of.items()}, of, nodes) for name in names
    ]
    tpch = [name for name in names if name not in SCANS]
    if len(tpch) > 1:
        total = {way: sum(side.wall(name) for name in tpch) for way, side in of.items()}
        cpu = {way: sum(side.cpu(name) for name in tpch) for way, side in of.items()}
        lines.append(cells("sum of TPC-H", total, cpu, sum(nodes[name] for name in tpch)))
        cache, mapped = mean_ratio(tpch, of, "cache"), mean_ratio(tpch, of, "mapped")
        lines.append(["geometric mean of ratios", "", "", cache, "", mapped] + [""] * 9)
    return lines


def mean_ratio(names: list[str], of: dict[str, Side], way: str) -> str:
    """Return how many times as fast a way is as the direct one."""
    logs = [math.log(of["direct"].wall(name) / of[way].wall(name)) for name in names]
    return f"{math.exp(sum(logs) / len(logs)):.2f}"


def row(
    name: str, wall: dict[str, float], of: dict[str, Side], nodes: dict[str, float]
) -> list[str]:
    """Return the line of a query."""
    return cells(name, wall, {way: side.cpu(name) for way, side in of.items()}, nodes[name])


def cells(name: str, wall: dict[str, float], cpu: dict[str, float], node: float) -> list[str]:
    """Return a line: seconds, and how many times as fast the cache is."""
    direct, cache, down = wall["direct"], wall["cache"], wall["down"]
    mapped = wall["mapped"]
    slow, stored = wall["direct, store"], wall["cache, store"]
    return [
        name,
        f"{direct:.2f} s",
        f"{cache:.2f} s",
        f"{direct / cache:.2f}",
        f"{mapped:.2f} s",
        f"{direct / mapped:.2f}",
        f"{down:.2f} s",
        f"{direct / down:.2f}",
        f"{slow:.2f} s",
        f"{stored:.2f} s",
        f"{slow / stored:.2f}",
        f"{cpu['direct']:.2f} s",
        f"{cpu['cache']:.2f} s",
        f"{cpu['mapped']:.2f} s",
        f"{node:.2f} s",
    ]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--version", default=NEWEST)
    parser.add_argument("--queries", default=",".join(SCANS | tpch_queries()))
    parser.add_argument("--row-groups", default="128,7", help="MiB, comma-separated")
    options = parser.parse_args()
    text = ""
    for mib in map(int, options.row_groups.split(",")):
        data = lake(options.scale, mib * MIB)
        lines = measure(data, options.version, options.queries.split(","), options.repetitions)
        text += f"Row groups of {mib} MiB:\n\n"
        text += "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n\n"
    text += (
        f"Spark {options.version} local[2], TPC-H scale {options.scale:g}, medians of "
        f"{options.repetitions} runs in turns on {os.cpu_count()} cores that Spark and the node "
        f"share, {BINARY.parent.name} build, {dt.datetime.now(dt.UTC):%Y-%m-%d}. Ratios are of "
        "times: above 1 the cache is faster. The store is the local disk with 15 ms a request and "
        "60 MB/s a stream, read once a query; from there the cache has everything already.\n"
    )
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
