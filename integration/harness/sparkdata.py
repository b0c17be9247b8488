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


def moments(*values: int | None, unit: str = "ns") -> pa.Table:
    """Return rows of an `id` and a moment, cycling through the values."""
    rows = [values[i % len(values)] for i in range(600)]
    return pa.table({"id": range(600), "ts": pa.array(rows, pa.timestamp(unit))})


def int96(folder: Path, table: pa.Table, name: str = "0", **options: Any) -> None:
    """Write a file with INT96 as Arrow does, which counts back from midnight before 1970."""
    path = folder / f"{name}.parquet"
    pq.write_table(table, path, row_group_size=200, use_deprecated_int96_timestamps=True, **options)


SINCE_1970 = (0, 1, 999, 1_000, 1_234_567_890_123_456_789, None, 2**63 - 1)
BEFORE_1970 = (-1_000, -86_400_000_000_000, -1_234_567_890_123_456_000, None, 5)
# Microseconds.
YEAR_9999 = 253_402_300_799_999_999
YEAR_2020 = 1_577_923_200_000_001


def int96_arrow(folder: Path) -> None:
    """Nanoseconds, before 1970 whole microseconds: in dictionaries and plain, and nested."""
    table = moments(*SINCE_1970, *BEFORE_1970)
    nested = pa.StructArray.from_arrays([table["ts"].combine_chunks()], ["at"])
    ends = pa.array(range(601), pa.int32())
    table = table.append_column("st", nested)
    table = table.append_column("arr", pa.ListArray.from_arrays(ends, table["ts"].combine_chunks()))
    int96(folder, table, "0")
    int96(folder, table, "1", use_dictionary=False, data_page_size=500)


def int96_cut(folder: Path) -> None:
    """Parts of microseconds before 1970, which Spark cuts in its own way."""
    int96(folder, moments(*SINCE_1970), "0")
    int96(folder, moments(-1, -999, -1_001, -86_400_000_000_001), "1")


def int96_far(folder: Path) -> None:
    """Two good files, and one between them with a moment that nanoseconds cannot say."""
    good = moments(*SINCE_1970[:-1])
    far = moments(YEAR_9999, None, YEAR_2020, unit="us")
    for name, table in (("0", good), ("1", far), ("2", good)):
        # Without Arrow's own schema, by which nodes would read microseconds.
        int96(folder, table, name, store_schema=False)


def int96_us(folder: Path) -> None:
    """The same moment where Arrow's schema says microseconds."""
    int96(folder, moments(YEAR_9999, None, -1, 7, unit="us"))


def int96_mixed(folder: Path) -> None:
    """A column that is INT96 in one file and INT64 in another."""
    int96(folder, moments(*SINCE_1970), "0")
    pq.write_table(moments(5, 6, None, unit="us"), folder / "1.parquet")


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
    "int96_arrow": int96_arrow,
    "int96_cut": int96_cut,
    "int96_far": int96_far,
    "int96_us": int96_us,
    "int96_mixed": int96_mixed,
    **{f"type_{name}": typed(name) for name in TYPED},
}
INT96 = {"spark.sql.parquet.outputTimestampType": "INT96"}
MILLIS = {"spark.sql.parquet.outputTimestampType": "TIMESTAMP_MILLIS"}
MICROS = {"spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS"}
LEGACY = {"spark.sql.parquet.writeLegacyFormat": "true"}
OLD = "spark.sql.parquet.int96RebaseModeInWrite"
SPARK_WRITES: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("write_types", {"folder": "types", "rows": 2000}, MICROS),
    ("write_types", {"folder": "types_legacy", "rows": 500}, MICROS | LEGACY),
    ("write_decimals", {"folder": "decimals", "rows": 1000}, {}),
    ("write_decimals", {"folder": "decimals_legacy", "rows": 300}, LEGACY),
    # From 1901 to 2043, from 1850 to 2135, and from 1775 to 2060; half of it in each of two files.
    (
        "write_int96",
        {"folder": "int96", "start_s": -2_177_452_800, "step_us": 2**52 // 1200},
        INT96,
    ),
    (
        "write_int96",
        {"folder": "int96_old", "start_s": -3_786_825_600, "step_us": 2**53 // 1200},
        INT96 | {OLD: "CORRECTED"},
    ),
    (
        "write_int96",
        {"folder": "int96_julian", "start_s": -6_153_580_800, "step_us": 2**53 // 1200},
        INT96 | {OLD: "LEGACY"},
    ),
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
