"""Data: TPC-H tables, Parquet bytes, and how tables are compared."""

import functools
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from harness.process import CACHE

VIEWS = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}


def tpch_file(table: str, scale: float) -> Path:
    """Return a TPC-H table as the generator writes it; generated once."""
    folder = CACHE / f"tpch-{scale:g}"
    path = folder / f"{table}.parquet"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        generator = Path(sys.executable).parent / "tpchgen-cli"
        scratch = folder / "scratch"
        flags = ["--scale-factor", f"{scale:g}", "--tables", table, "--output-dir", str(scratch)]
        subprocess.run([generator, "parquet", "--quiet", "--overwrite", *flags], check=True)
        (scratch / f"{table}.parquet").rename(path)
    return path


@functools.cache
def tpch(table: str, scale: float = 0.01) -> pa.Table:
    """Read a TPC-H table with plain types, without what its writer noted in the schema."""
    return plain(pq.read_table(tpch_file(table, scale))).replace_schema_metadata()


def plain(table: pa.Table) -> pa.Table:
    """Cast views to plain strings and binaries, as they are sent."""
    return table.cast(pa.schema([plain_field(one) for one in table.schema]))


def plain_field(of: pa.Field) -> pa.Field:
    """Return a field without views, on every level of lists and structs."""
    kind = VIEWS.get(of.type, of.type)
    if types.is_struct(kind):
        kind = pa.struct([plain_field(one) for one in kind.fields])
    elif types.is_list(kind):
        kind = pa.list_(plain_field(kind.value_field))
    return pa.field(of.name, kind, of.nullable)


def parquet(table: pa.Table, **options: Any) -> bytes:
    """Write a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def pieces(table: pa.Table, files: int, row_group_size: int, **options: Any) -> list[bytes]:
    """Write a table as several Parquet files, equally long but for the last."""
    rows = -(-table.num_rows // files)
    parts = [table.slice(start, rows) for start in range(0, table.num_rows, rows)]
    return [parquet(part, row_group_size=row_group_size, **options) for part in parts]


def assert_same(actual: pa.Table, expected: pa.Table) -> None:
    """Fail unless both have the same names, types, nullability and values, bit by bit."""
    got, want = ([str(one) for one in table.schema] for table in (actual, expected))
    for index, (a, b) in enumerate(zip(actual.schema, expected.schema, strict=False)):
        assert a.equals(b), f"column {index}: {a}, expected {b}"
    assert len(got) == len(want), f"columns {got}, expected {want}"
    assert actual.num_rows == expected.num_rows
    for name, a, b in zip(expected.column_names, actual.columns, expected.columns, strict=True):
        assert same(a, b), f"{name}: values differ: {difference(a, b)}"


def same(a: pa.ChunkedArray | pa.Array, b: pa.ChunkedArray | pa.Array) -> bool:
    """Whether two arrays hold the same values; NaN equals NaN, and 0.0 is not -0.0."""
    a, b = (one.combine_chunks() if isinstance(one, pa.ChunkedArray) else one for one in (a, b))
    a, b = (one.dictionary_decode() if types.is_dictionary(one.type) else one for one in (a, b))
    if types.is_floating(a.type):
        bits = {16: pa.uint16(), 32: pa.uint32(), 64: pa.uint64()}[a.type.bit_width]
        return bool(a.view(bits).equals(b.view(bits)))
    if types.is_list(a.type) and types.is_floating(a.type.value_type):
        lengths = (pc.list_value_length(one) for one in (a, b))
        return next(lengths).equals(next(lengths)) and same(a.flatten(), b.flatten())
    return bool(a.equals(b))


def difference(a: pa.ChunkedArray, b: pa.ChunkedArray) -> str:
    """Return the first row in which two columns differ."""
    for row in range(len(a)):
        if not same(a.slice(row, 1), b.slice(row, 1)):
            return f"row {row}: {a[row]!r}, expected {b[row]!r}"
    return "in no single row"


def ordered(table: pa.Table, *keys: str) -> pa.Table:
    """Sort by `keys`, for scans of several files."""
    return table.sort_by([(key, "ascending") for key in keys])
