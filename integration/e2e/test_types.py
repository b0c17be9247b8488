"""What arrives over Flight equals what pyarrow.parquet reads, value for value, for every type."""

import io
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.cases import CASES, Case, mixed
from harness.client import Client
from harness.node import Dataset, serving, store
from harness.stores import BlobContainer
from harness.tables import assert_same, parquet, plain


def wide() -> bytes:
    """Return a file of 2,000 columns."""
    base = np.arange(50, dtype=np.int32)
    columns = {f"column_{index}": pa.array(base + index) for index in range(2000)}
    return parquet(pa.table(columns))


def many_row_groups() -> bytes:
    """Return a file of 2,000 row groups of 3 rows."""
    rows = pa.array(range(6000), pa.int64())
    return parquet(pa.table({"n": rows, "s": rows.cast(pa.string())}), row_group_size=3)


def with_empty_row_groups() -> bytes:
    """Return a file whose first, third and last row groups have no rows."""
    table = mixed()
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema) as writer:
        for part in (table[:0], table[:10], table[:0], table[10:], table[:0]):
            writer.write_table(part)
    return sink.getvalue()


def without_row_groups() -> bytes:
    """Return a file with a schema and nothing else."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, mixed().schema):
        pass
    return sink.getvalue()


# Where the parquet crate takes more, or less, from the Arrow schema in the file than pyarrow does:
# the same days and moments, under another type.
OTHER_TYPES = {
    "date64": pa.date64(),
    "timestamp_s_zone": pa.timestamp("ms", "UTC"),
}

FILES: dict[str, Callable[[], bytes]] = {
    "wide": wide,
    "many_row_groups": many_row_groups,
    "with_empty_row_groups": with_empty_row_groups,
    "without_row_groups": without_row_groups,
}


@pytest.fixture(scope="module")
def client(container: BlobContainer) -> Iterator[Client]:
    """A client of a node with one dataset a file."""
    names = [*(case.name for case in CASES), *FILES]
    datasets = [Dataset(name, container.url(f"{name}/")) for name in names]
    with serving(datasets, [store(container)]) as node, node.client() as one:
        yield one


def check(client: Client, container: BlobContainer, name: str, data: bytes) -> None:
    """Put the file and read it, cold and then warm."""
    container.put(f"{name}/file.parquet", data)
    expected = plain(pq.read_table(io.BytesIO(data)))
    if other := OTHER_TYPES.get(name):
        fields = [pa.field(one.name, other, one.nullable) for one in expected.schema]
        expected = expected.cast(pa.schema(fields))
    assert_same(client.read(name), expected)
    assert_same(client.read(name), expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equals_pyarrow(client: Client, container: BlobContainer, case: Case) -> None:
    """Every type, encoding, codec and writer's option."""
    check(client, container, case.name, parquet(case.table(), **case.options))


@pytest.mark.parametrize("name", FILES)
def test_shape_equals_pyarrow(client: Client, container: BlobContainer, name: str) -> None:
    """Files that are unusually wide, cut up, or empty."""
    check(client, container, name, FILES[name]())


def test_files_are_what_they_claim() -> None:
    """Guard the fixtures: a writer that ignores an option would make the tests above vacuous."""
    groups = pq.ParquetFile(io.BytesIO(with_empty_row_groups())).metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)][:3] == [0, 10, 0]
    assert pq.ParquetFile(io.BytesIO(many_row_groups())).num_row_groups == 2000
    assert pq.ParquetFile(io.BytesIO(without_row_groups())).num_row_groups == 0
    assert len(pq.ParquetFile(io.BytesIO(wide())).schema_arrow) == 2000
    for case in CASES:
        wanted = next(iter((case.options.get("column_encoding") or {}).values()), None)
        if wanted:
            file = pq.ParquetFile(io.BytesIO(parquet(case.table(), **case.options)))
            assert wanted in file.metadata.row_group(0).column(0).encodings
