"""How objects lie in a prefix: partitions, names, hidden files, schemas that differ."""

from collections.abc import Iterator
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from harness.client import Client, metadata, raises_kind
from harness.node import Dataset, Node, serving, store
from harness.stores import BlobContainer
from harness.tables import assert_same, ordered, parquet


def rows(start: int, count: int = 5) -> pa.Table:
    """Return a small table."""
    return pa.table({"n": pa.array(range(start, start + count), pa.int64())})


NAMES = [
    "plain.parquet",
    "with space.parquet",
    "100%.parquet",
    "100%25.parquet",
    "a+b&c=d.parquet",
    "déjà vu.parquet",
    "東京/🦀.parquet",
    "no-extension",
    "UPPER.PARQUET",
    "deep/er/and/deeper/x.parquet",
]
HIDDEN = [
    "_SUCCESS",
    "_delta_log/0.parquet",
    ".part.parquet.crc",
    "deep/.hidden/x.parquet",
    "empty/",
    "empty.parquet",
]


@pytest.fixture(scope="module")
def node(container: BlobContainer) -> Iterator[Node]:
    """A node with a dataset for each layout."""
    for index, name in enumerate(NAMES):
        container.put(f"names/{name}", parquet(rows(10 * index)))
    for name in HIDDEN:
        container.put(f"names/{name}", b"" if name.startswith("empty") else b"not Parquet at all")
    for year in (2023, 2024):
        for place in ("Praha 1", "New York/NY", "x=y"):
            folder = f"hive/year={year}/place={quote(place, safe='')}"
            container.put(f"{folder}/0.parquet", parquet(rows(year)))
    container.put("hive/year=2024/place=__HIVE_DEFAULT_PARTITION__/0.parquet", parquet(rows(1)))
    for name, table in SCHEMAS.items():
        container.put(f"schemas/{name}.parquet", parquet(table))
    container.put("clash/a.parquet", parquet(pa.table({"x": [1, 2]})))
    container.put("clash/b.parquet", parquet(pa.table({"x": [{"y": 1}]})))
    names = ["names", "hive", "schemas", "clash", "nothing"]
    datasets = [Dataset(name, container.url(f"{name}/")) for name in names]
    datasets += [
        Dataset("one_file", container.url("names/plain.parquet")),
        Dataset("folder", container.url("names/deep")),
        Dataset("neighbour", container.url("name")),
    ]
    with serving(datasets, [store(container)]) as one:
        yield one


@pytest.fixture(scope="module")
def client(node: Node) -> Iterator[Client]:
    """A client of that node."""
    with node.client() as one:
        yield one


SCHEMAS = {
    "a": pa.table({"id": pa.array([1, 2], pa.int32()), "old": ["x", "y"]}),
    "b": pa.table({"new": [0.5, 1.5], "id": pa.array([2**40, 4], pa.int64())}),
    "c": pa.table({"id": pa.array([5, None], pa.int32()), "old": [None, "z"], "new": [2.5, 3.5]}),
}


def test_every_name_is_read_and_nothing_hidden(client: Client) -> None:
    """Any name is read; `_`, `.` and objects without a byte are skipped in every folder."""
    got = client.read("names")
    expected = pa.concat_tables([rows(10 * index) for index in range(len(NAMES))])
    assert_same(ordered(got, "n"), expected)
    endpoints = client.info("names").endpoints
    paths = {one["path"] for end in endpoints for one in metadata(end)["objects"]}
    assert paths == {f"names/{name}" for name in NAMES}


def test_url_of_one_file(client: Client) -> None:
    """A dataset may be a single file."""
    assert_same(client.read("one_file"), rows(0))


def test_folder_without_slash(client: Client) -> None:
    """A folder's URL may lack its slash, and does not take in neighbours that start alike."""
    assert_same(client.read("folder"), rows(10 * (len(NAMES) - 1)))
    with raises_kind("NotFound", "neighbour"):
        client.info("neighbour")


def test_empty_prefix_says_so(client: Client) -> None:
    """A prefix without files is an error that names dataset and prefix."""
    with raises_kind("NotFound", "nothing"):
        client.info("nothing")


def test_partitions_are_columns(client: Client) -> None:
    """Hive folders become columns after the file's own, decoded, with nulls."""
    got = client.read("hive")
    assert got.column_names == ["n", "year", "place"]
    assert got.num_rows == 35
    counts = got.group_by(["year", "place"]).aggregate([("n", "count")]).to_pylist()
    found = {(str(one["year"]), one["place"]): one["n_count"] for one in counts}
    wanted = {(y, p) for y in ("2023", "2024") for p in ("Praha 1", "New York/NY", "x=y")}
    assert found == dict.fromkeys(wanted | {("2024", None)}, 5)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("place = 'Praha 1'", 10),
        ("place = 'New York/NY' AND n > 2023", 9),
        ("place IS NULL", 5),
        ("year = '2024'", 20),
        ("place = 'nowhere'", 0),
    ],
)
def test_partition_filters(client: Client, text: str, count: int) -> None:
    """Filters on partitions select rows, and leave out endpoints of other partitions."""
    assert client.read("hive", filter=text).num_rows == count
    assert len(client.info("hive", filter=text).endpoints) < len(client.info("hive").endpoints)


def test_partition_columns_can_be_projected(client: Client) -> None:
    """Partition columns alone, and in any order."""
    got = client.read("hive", columns=["place", "n", "year"], filter="year = '2023'")
    assert got.column_names == ["place", "n", "year"]
    assert client.read("hive", columns=["place"]).num_rows == 35


def test_schemas_are_united(client: Client) -> None:
    """Missing columns are null, integers widen to the widest."""
    got = client.read("schemas")
    assert set(got.column_names) == {"id", "old", "new"}
    assert got.schema.field("id").type == pa.int64()
    parts = [
        table.set_column(table.schema.get_field_index("id"), "id", table["id"].cast("int64"))
        for table in SCHEMAS.values()
    ]
    expected = pa.concat_tables(parts, promote_options="default").select(got.column_names)
    assert_same(got, expected)


def test_filters_reach_across_schemas(client: Client) -> None:
    """A filter on a column that some files lack, or hold in a narrower type."""
    assert client.read("schemas", filter="new IS NULL")["id"].to_pylist() == [1, 2]
    assert client.read("schemas", filter="id > 3")["id"].to_pylist() == [2**40, 4, 5]
    assert client.read("schemas", filter="old = 'z'", columns=["new"])["new"].to_pylist() == [3.5]


def test_irreconcilable_schemas_name_the_file(node: Node, client: Client) -> None:
    """A column that is a number here and a struct there is the data's fault."""
    with node.expect_log("clash/"), raises_kind("Data", "clash/", ".parquet", "x"):
        client.info("clash")
    assert pc.sum(client.read("one_file")["n"]).as_py() == 10
