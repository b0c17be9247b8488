"""Plans and reads: descriptors, columns, limits, metadata."""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import flight

from harness.client import Client, metadata, raises_kind
from harness.node import Dataset, Node, serving, store
from harness.stores import BlobContainer
from harness.tables import assert_same, pieces, tpch

FILES = 3
GROUP = 4000


@dataclass
class Lineitem:
    """A node that serves lineitem in several files of several row groups."""

    node: Node
    client: Client
    table: pa.Table
    files: list[bytes]


@pytest.fixture(scope="module")
def lineitem(container: BlobContainer) -> Iterator[Lineitem]:
    """Lineitem at scale 0.01: 60,175 rows in three files."""
    table = tpch("lineitem")
    files = pieces(table, FILES, GROUP)
    for index, data in enumerate(files):
        container.put(f"lineitem/part-{index}.parquet", data)
    datasets = [
        Dataset("lineitem", container.url("lineitem/")),
        Dataset("gone", container.url("x/")),
    ]
    with serving(datasets, [store(container)]) as node, node.client() as client:
        yield Lineitem(node, client, table, files)


def test_path_reads_everything(lineitem: Lineitem) -> None:
    """A PATH descriptor is the whole dataset, in file order."""
    assert_same(lineitem.client.read("lineitem"), lineitem.table)


def test_command_reads_everything(lineitem: Lineitem) -> None:
    """A CMD without anything but the name is the same."""
    info = lineitem.client.flight.get_flight_info(
        flight.FlightDescriptor.for_command(b'{"dataset": "lineitem"}')
    )
    assert_same(lineitem.client.fetch(info), lineitem.table)


@pytest.mark.parametrize(
    "columns",
    [
        ["l_comment"],
        ["l_tax", "l_orderkey", "l_shipmode"],
        [f"l_{name}" for name in ("comment", "shipmode", "shipinstruct", "receiptdate")],
    ],
    ids=len,
)
def test_columns_come_as_asked(lineitem: Lineitem, columns: list[str]) -> None:
    """Columns come in the order of the command, not of the file."""
    assert_same(lineitem.client.read("lineitem", columns=columns), lineitem.table.select(columns))


def test_column_asked_twice_comes_twice_or_is_refused(lineitem: Lineitem) -> None:
    """A repeated column is never quietly dropped."""
    twice = ["l_tax", "l_orderkey", "l_tax"]
    try:
        table = lineitem.client.read("lineitem", columns=twice)
    except pa.ArrowInvalid as error:
        assert "l_tax" in str(error)  # noqa: PT017
    else:
        assert table.column_names == twice
        assert table.columns[0].equals(table.columns[2])


def test_no_columns_counts_rows(lineitem: Lineitem) -> None:
    """An empty projection keeps the number of rows."""
    info = lineitem.client.info("lineitem", columns=[])
    assert info.schema.names == []
    readers = [lineitem.client.flight.do_get(one.ticket) for one in info.endpoints]
    assert sum(chunk.data.num_rows for reader in readers for chunk in reader) == 60_175


@pytest.mark.parametrize("limit", [0, 1, GROUP, GROUP + 1, 20_059, 20_060, 45_001, 60_175, 99_999])
def test_limit_is_exact_over_all_endpoints(lineitem: Lineitem, limit: int) -> None:
    """The limit is of the scan, not of an endpoint, and no row comes twice."""
    columns = ["l_orderkey", "l_linenumber"]
    got = lineitem.client.read("lineitem", columns=columns, limit=limit)
    assert got.num_rows == min(limit, 60_175)
    keys = set(zip(*(column.to_pylist() for column in got.columns), strict=True))
    assert len(keys) == got.num_rows, "a row came twice"
    assert keys <= set(zip(*lineitem.table.select(columns).to_pydict().values(), strict=True))


def test_limit_reads_no_more_row_groups_than_it_needs(container: BlobContainer) -> None:
    """One row of a cold dataset does not fetch all of it."""
    with serving([Dataset("one", container.url("lineitem/"))], [store(container)]) as node:
        with node.client() as client:
            assert client.read("one", limit=1).num_rows == 1
        whole = sum(len(data) for data in pieces(tpch("lineitem"), FILES, GROUP))
        assert node.stats()["origin"]["bytes"] < whole / 2


def test_get_schema_and_info_agree(lineitem: Lineitem) -> None:
    """GetSchema answers what GetFlightInfo and DoGet do."""
    descriptor = flight.FlightDescriptor.for_path("lineitem")
    schema = lineitem.client.flight.get_schema(descriptor).schema
    assert schema.equals(lineitem.table.schema)
    assert schema.equals(lineitem.client.info("lineitem").schema)
    command = flight.FlightDescriptor.for_command(b'{"dataset":"lineitem","columns":["l_tax"]}')
    assert lineitem.client.flight.get_schema(command).schema.names == ["l_tax"]


def test_list_flights_names_every_dataset(lineitem: Lineitem) -> None:
    """ListFlights answers the datasets, the unreadable ones too, each by a PATH that reads it."""
    listed = lineitem.client.flight.list_flights()
    infos = {info.descriptor.path[0].decode(): info for info in listed}
    assert set(infos) == {"lineitem", "gone"}
    assert infos["lineitem"].schema.equals(lineitem.table.schema)


def test_totals(lineitem: Lineitem) -> None:
    """Records and bytes are exact where known, and -1 where a filter decides."""
    info = lineitem.client.info("lineitem")
    assert info.total_records == 60_175
    assert lineitem.client.info("lineitem", limit=7).total_records in {7, -1}
    filtered = lineitem.client.info("lineitem", filter="l_quantity < 10")
    assert filtered.total_records == -1


def test_plan_metadata_describes_the_files(lineitem: Lineitem) -> None:
    """Snapshot and stored bytes of the whole; object, rows and midpoints of each endpoint."""
    info = lineitem.client.info("lineitem")
    whole = metadata(info)
    assert whole["snapshot"]
    assert whole["bytes"] == sum(map(len, lineitem.files))
    objects = [one for endpoint in info.endpoints for one in metadata(endpoint)["objects"]]
    seen: dict[str, list[dict[str, int]]] = {}
    for one in objects:
        assert one["etag"]
        assert abs(one["modified_ms"] / 1000 - time.time()) < 3600
        seen.setdefault(one["path"], []).extend(one["row_groups"])
    assert [path.rsplit("/", 1)[-1] for path in sorted(seen)] == [
        f"part-{i}.parquet" for i in range(FILES)
    ]
    for data, path in zip(lineitem.files, sorted(seen), strict=True):
        assert {one["size"] for one in objects if one["path"] == path} == {len(data)}
        assert seen[path] == [
            described(pq.read_metadata(io.BytesIO(data)), i) for i in range(len(seen[path]))
        ]
        assert len(seen[path]) == pq.read_metadata(io.BytesIO(data)).num_row_groups


def described(file: pq.FileMetaData, ordinal: int) -> dict[str, int]:
    """Return a row group's metadata by the rule of parquet-mr."""
    group = file.row_group(ordinal)
    columns = [group.column(index) for index in range(group.num_columns)]
    first = columns[0]
    dictionary = first.dictionary_page_offset
    start = min(dictionary, first.data_page_offset) if dictionary else first.data_page_offset
    compressed = sum(column.total_compressed_size for column in columns)
    return {
        "ordinal": ordinal,
        "first_row": sum(file.row_group(before).num_rows for before in range(ordinal)),
        "rows": group.num_rows,
        "midpoint": start + compressed // 2,
    }


def test_endpoints_say_where_and_how_long(lineitem: Lineitem) -> None:
    """Each endpoint has a location that works and an expiration time."""
    for endpoint in lineitem.client.info("lineitem").endpoints:
        assert endpoint.expiration_time is not None
        assert endpoint.locations[0].uri.decode() == lineitem.node.flight
        with flight.connect(endpoint.locations[0]) as client:
            assert client.do_get(endpoint.ticket).read_all().num_rows > 0


def test_endpoints_say_what_is_advertised(container: BlobContainer) -> None:
    """Behind a load balancer or in a container, clients are told another address."""
    server = {"advertise": "grpc://node-7:50051"}
    datasets = [Dataset("d", container.url("lineitem/"))]
    with serving(datasets, [store(container)], server=server) as node, node.client() as client:
        places = [one.locations[0].uri for one in client.info("d").endpoints]
    assert set(places) == {b"grpc://node-7:50051"}


def test_batches_tile_the_files(lineitem: Lineitem) -> None:
    """Batch metadata covers every row of each file once, in order, inside one row group."""
    for endpoint in lineitem.client.info("lineitem", columns=["l_orderkey"]).endpoints:
        (one,) = metadata(endpoint)["objects"]
        data = lineitem.files[int(one["path"].removesuffix(".parquet")[-1])]
        keys = pq.read_table(io.BytesIO(data), columns=["l_orderkey"])["l_orderkey"]
        at = 0
        for chunk in lineitem.client.flight.do_get(endpoint.ticket):
            batch = metadata(chunk)
            assert batch == {"row_group": at // GROUP, "first_row": at, "rows": chunk.data.num_rows}
            assert chunk.data["l_orderkey"].equals(keys.slice(at, batch["rows"]).combine_chunks())
            at += batch["rows"]
        assert at == len(keys)


def test_same_files_have_the_same_snapshot(lineitem: Lineitem) -> None:
    """A snapshot id is a digest of the objects, so that it outlives the process."""
    first = metadata(lineitem.client.info("lineitem"))["snapshot"]
    assert_same(lineitem.client.read("lineitem", snapshot=first), lineitem.table)
    with raises_kind("Stale", "0123"):
        lineitem.client.info("lineitem", snapshot="0123")


def test_url_names_a_file_or_folder_of_a_dataset(
    lineitem: Lineitem, container: BlobContainer
) -> None:
    """`url` inside a dataset's prefix reads that part; elsewhere it is refused."""
    part = lineitem.client.read(url=container.url("lineitem/part-1.parquet"))
    assert_same(part, pq.read_table(io.BytesIO(lineitem.files[1])))
    assert_same(lineitem.client.read(url=container.url("lineitem/")), lineitem.table)
    with raises_kind("NotFound", "URL"):
        lineitem.client.info(url="file:///etc/passwd")
