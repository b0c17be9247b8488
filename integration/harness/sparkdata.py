"""The data that Spark reads directly and through the cache: one folder a dataset."""

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.cases import CASES
from harness.process import ROOT
from harness.spark import Session
from harness.tables import tpch

# How many files a TPC-H table has, and how many rows a row group.
TPCH = {
    "lineitem": (3, 5000),
    "orders": (2, 3000),
    "partsupp": (2, 3000),
    "customer": (1, 700),
    "part": (1, 700),
    "supplier": (1, 50),
    "nation": (1, 10),
    "region": (1, 5),
}
NAMESPACE = "org.apache.spark.sql.parquet.row.metadata"

# What no release of Spark reads.
UNREAD = re.compile(
    r"float16|time32|time64|decimal(256|32_9_2$|64_18_6$)|encoding_RLE|BYTE_STREAM|codec_(none|gzip|brotli|lz4)|^null$|_ns"
)


def tpch_queries() -> dict[str, str]:
    """Return the queries of TPC-H by name; Spark understands them as they are."""
    text = (ROOT / "planner/tests/tpch/queries.sql").read_text()
    parts = re.split(r"^-- (q\d+)\n", text, flags=re.MULTILINE)[1:]
    return {
        name: query.strip().rstrip(";") for name, query in zip(parts[::2], parts[1::2], strict=True)
    }


def build(lake: Path, writer: Session) -> None:
    """Write everything: what pyarrow writes, then what Spark does."""
    lake.mkdir(exist_ok=True)
    for name, (files, rows) in TPCH.items():
        split(lake / name, tpch(name), files, rows)
    for name, write in WRITERS.items():
        (lake / name).mkdir()
        write(lake / name)
    for program, arguments, conf in SPARK_WRITES:
        done = writer.run(program, lake, conf, **arguments)
        assert not done.error, done.error
    for path in lake.glob("**/.*.crc"):
        path.unlink()


def split(folder: Path, table: pa.Table, files: int, rows: int, **options: Any) -> None:
    """Write a table as files of several row groups each."""
    folder.mkdir(parents=True, exist_ok=True)
    step = -(-table.num_rows // files)
    for index in range(files):
        part = table.slice(index * step, step)
        pq.write_table(part, folder / f"part-{index}.parquet", row_group_size=rows, **options)


def noted(table: pa.Table, fields: list[dict[str, Any]]) -> pa.Table:
    """Note Spark's own schema in a table's metadata, as Spark's writer does."""
    note = json.dumps({"type": "struct", "fields": fields})
    return table.replace_schema_metadata({NAMESPACE: note})


@functools.cache
def numbers(rows: int, start: int = 0) -> pa.Table:
    """Return rows with an `id`, a text and a price."""
    ids = range(start, start + rows)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "text": pa.array([f"text {i % 17}" for i in ids]),
            "price": pa.array([i / 4 if i % 5 else None for i in ids], pa.float64()),
        }
    )


def partitioned(folder: Path) -> None:
    """Folders of years and regions, one of them null."""
    for year in (2023, 2024, 2025):
        for region in ("north", "south", "__HIVE_DEFAULT_PARTITION__"):
            start = year * 1000 + len(region) * 10
            split(folder / f"year={year}" / f"region={region}", numbers(300, start), 1, 100)


def evolved(folder: Path) -> None:
    """Old files lack a column."""
    split(folder / "old", numbers(500), 1, 200)
    added = numbers(500, 500).append_column("extra", pa.array(range(500), pa.int32()))
    split(folder / "new", added, 1, 200)
    for index, path in enumerate(sorted(folder.glob("*/*.parquet"))):
        path.rename(folder / f"{index}.parquet")
    for name in ("old", "new"):
        (folder / name).rmdir()


def narrow(folder: Path) -> None:
    """Narrow types, for readers that ask for wider ones."""
    rows = 1000
    table = pa.table(
        {
            "i": pa.array(range(rows), pa.int32()),
            "f": pa.array([i / 3 for i in range(rows)], pa.float32()),
        }
    )
    split(folder, table, 2, 200)


def wide(columns: int) -> Callable[[Path], None]:
    """Return a writer of many columns."""

    def write(folder: Path) -> None:
        table = pa.table({f"c{i}": pa.array(range(i, i + 600), pa.int32()) for i in range(columns)})
        split(folder, table, 2, 100)

    return write


def empties(folder: Path) -> None:
    """A file without rows, and one with row groups without."""
    table = numbers(300)
    pq.write_table(table.slice(0, 0), folder / "0.parquet")
    with pq.ParquetWriter(folder / "1.parquet", table.schema) as writer:
        for part in (table.slice(0, 0), table.slice(0, 100), table.slice(0, 0), table.slice(100)):
            writer.write_table(part)
    split(folder / "rest", numbers(50, 300), 1, 50)
    (folder / "rest" / "part-0.parquet").rename(folder / "2.parquet")
    (folder / "rest").rmdir()


def large_strings(folder: Path) -> None:
    """Strings of a megabyte among short ones."""
    values = [chr(ord("a") + i % 26) * (1_000_000 if i % 10 == 0 else i) for i in range(60)]
    split(folder, pa.table({"id": range(60), "big": values}), 1, 20, use_dictionary=False)


def uneven(folder: Path) -> None:
    """Row groups of very different sizes, for ranges that cut through them."""
    table = tpch("lineitem").slice(0, 30_000)
    with pq.ParquetWriter(folder / "0.parquet", table.schema) as writer:
        start = 0
        for rows in (1, 4095, 4096, 4097, 3, 8191, 8193, 500):
            writer.write_table(table.slice(start, rows), row_group_size=rows)
            start += rows


def typed(name: str) -> Callable[[Path], None]:
    """Return a writer of one of the cases that every reader must get right."""
    case = next(case for case in CASES if case.name == name)

    def write(folder: Path) -> None:
        pq.write_table(case.table(), folder / "0.parquet", **case.options)

    return write


TYPED = [case.name for case in CASES if not UNREAD.search(case.name)]
WRITERS: dict[str, Callable[[Path], None]] = {
    "partitioned": partitioned,
    "evolved": evolved,
    "narrow": narrow,
    "wide": wide(130),
    "fitting": wide(90),
    "empties": empties,
    "large": large_strings,
    "uneven": uneven,
    **{f"type_{name}": typed(name) for name in TYPED},
}
INT96 = {"spark.sql.parquet.outputTimestampType": "INT96"}
MILLIS = {"spark.sql.parquet.outputTimestampType": "TIMESTAMP_MILLIS"}
MICROS = {"spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS"}
LEGACY = {"spark.sql.parquet.writeLegacyFormat": "true"}
SPARK_WRITES: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("write_types", {"folder": "types", "rows": 2000}, MICROS),
    ("write_types", {"folder": "types_legacy", "rows": 500}, MICROS | LEGACY),
    ("write_decimals", {"folder": "decimals", "rows": 1000}, {}),
    ("write_decimals", {"folder": "decimals_legacy", "rows": 300}, LEGACY),
    ("write_moments", {"folder": "int96", "rows": 300}, INT96),
    ("write_moments", {"folder": "millis", "rows": 300}, MILLIS),
    (
        "write_buckets",
        {"folder": "buckets", "source": "orders", "column": "o_custkey", "buckets": 4},
        {},
    ),
    (
        "write_buckets",
        {"folder": "buckets_customer", "source": "customer", "column": "c_custkey", "buckets": 4},
        {},
    ),
]
FOLDERS = [*TPCH, *WRITERS, *(str(write[1]["folder"]) for write in SPARK_WRITES)]
