"""Filters return exactly the matching rows; what cannot match is not fetched."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from harness.client import Client, metadata
from harness.node import Dataset, Node, serving, store
from harness.stores import BlobContainer
from harness.tables import assert_same, parquet, pieces, tpch

KEY, QUANTITY, MODE, SHIPPED = (
    pc.field(f"l_{name}") for name in ("orderkey", "quantity", "shipmode", "shipdate")
)
DAY = dt.date(1995, 1, 1)
FILTERS = {
    "l_quantity < 10": Decimal(10) > QUANTITY,
    "l_shipdate >= DATE '1995-01-01'": SHIPPED >= DAY,
    "l_shipmode = 'AIR' AND l_quantity > 49": (MODE == "AIR") & (Decimal(49) < QUANTITY),
    "l_shipmode IN ('MAIL', 'SHIP') OR l_orderkey = 1": MODE.isin(["MAIL", "SHIP"]) | (KEY == 1),
    "NOT (l_shipmode = 'AIR')": ~(MODE == "AIR"),
    "l_orderkey BETWEEN 100 AND 200": (KEY >= 100) & (KEY <= 200),
    "l_orderkey > 1000000000": KEY > 1_000_000_000,
    "l_comment LIKE '%furiously%'": pc.match_like(pc.field("l_comment"), "%furiously%"),
    "l_shipmode LIKE 'R%'": pc.match_like(MODE, "R%"),
    "true": pc.is_valid(KEY),
    "false": pc.is_null(KEY),
}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Lineitem, sorted by order key as its generator writes it."""
    return tpch("lineitem")


@pytest.fixture(scope="module")
def node(container: BlobContainer, table: pa.Table) -> Iterator[Node]:
    """A node with lineitem, and with a table of nulls and edges."""
    for index, data in enumerate(pieces(table, 2, 5000)):
        container.put(f"lineitem/{index}.parquet", data)
    container.put("nulls/0.parquet", parquet(nulls(), row_group_size=4, write_page_index=True))
    datasets = [Dataset(name, container.url(f"{name}/")) for name in ("lineitem", "nulls")]
    with serving(datasets, [store(container)]) as one:
        yield one


@pytest.fixture(scope="module")
def client(node: Node) -> Iterator[Client]:
    """A client of that node."""
    with node.client() as one:
        yield one


def nulls() -> pa.Table:
    """Return row groups all null, half null, NaN, and strings whose statistics are cut short."""
    number = [None] * 4 + [1, None, 3, None] + [4, 5, 6, 7]
    real = [float("nan")] * 4 + [1.0, float("nan"), -0.0, 0.0] + [None, 2.0, float("inf"), 3.0]
    text = [None, "", "a", "b" * 300, *("b" * 300 + c for c in "abcd"), "ž", "é", "🦀", None]
    return pa.table({"n": pa.array(number, pa.int32()), "r": real, "s": text, "i": range(12)})


@pytest.mark.parametrize("text", FILTERS)
def test_filter_equals_pyarrow(client: Client, table: pa.Table, text: str) -> None:
    """The same rows in the same order as pyarrow.compute keeps, projected columns or not."""
    expected = table.filter(FILTERS[text])
    columns = ["l_orderkey", "l_linenumber"]
    assert_same(client.read("lineitem", columns=columns, filter=text), expected.select(columns))
    if expected.num_rows < 5000:
        assert_same(client.read("lineitem", filter=text), expected)


NULL_FILTERS = {
    "n IS NULL": [0, 1, 2, 3, 5, 7],
    "n IS NOT NULL": [4, 6, 8, 9, 10, 11],
    "n > 3": [8, 9, 10, 11],
    "NOT (n > 3)": [4, 6],
    "n <> 1": [6, 8, 9, 10, 11],
    "n = 1 OR n IS NULL": [0, 1, 2, 3, 4, 5, 7],
    "r = 0.0": [6, 7],
    "r >= 2.0 AND r < 100": [9, 11],
    "s = ''": [1],
    f"s = '{'b' * 300}c'": [6],
    f"s > '{'b' * 300}b'": [6, 7, 8, 9, 10],
    "s = 'é'": [9],
    "s IS NULL": [0, 11],
    "s LIKE '🦀%'": [10],
    "i % 5 = 0": [0, 5, 10],
    "n + i > 12": [9, 10, 11],
}


@pytest.mark.parametrize("text", NULL_FILTERS, ids=lambda text: text.replace("b" * 300, "bbb"))
def test_nulls_nans_and_long_strings(client: Client, text: str) -> None:
    """Three-valued logic and truncated statistics never drop or add a row."""
    rows = NULL_FILTERS[text]
    got = client.read("nulls", filter=text)
    expected = nulls().take(rows)
    if "r " in text:  # IEEE order is asked for, not NaN's place in it
        got = got.filter(~pc.is_nan(pc.field("r")))
    assert_same(got, expected)


@pytest.mark.parametrize("limit", [1, 5, 1000])
def test_limit_counts_matching_rows(client: Client, table: pa.Table, limit: int) -> None:
    """With a filter, the limit is of rows that match, over all endpoints."""
    matching = table.filter(Decimal(2) > QUANTITY)
    got = client.read("lineitem", filter="l_quantity < 2", limit=limit)
    assert got.num_rows == min(limit, matching.num_rows)
    assert pc.all(pc.less(got["l_quantity"], Decimal(2))).as_py()


@pytest.mark.parametrize("key", ["filter", "prune"])
def test_what_cannot_match_is_not_fetched(
    container: BlobContainer, table: pa.Table, node: Node, key: str
) -> None:
    """A selective command on a cold node reads a small part of the bytes, and every match."""
    assert node.stats()["flight"]["streams_open"] == 0  # the data is there
    stored = sum(map(len, pieces(table, 2, 5000)))
    with serving([Dataset("cold", container.url("lineitem/"))], [store(container)]) as cold:
        with cold.client() as client:
            got = client.read("cold", **{key: "l_orderkey = 33"})
        matching = table.filter(KEY == 33)
        if key == "filter":
            assert_same(got, matching)
        else:
            assert 5000 > got.num_rows - matching.num_rows > 0, "prune drops groups, not rows"
            assert_same(got.filter(KEY == 33), matching)
        assert cold.stats()["origin"]["bytes"] < stored / 2


@pytest.mark.parametrize("text", FILTERS)
@pytest.mark.parametrize("key", ["prune", "prefilter"])
def test_hints_keep_every_match(client: Client, table: pa.Table, key: str, text: str) -> None:
    """What `prune` and `prefilter` leave holds every row that matches, in order."""
    columns = ["l_orderkey", "l_quantity", "l_shipmode", "l_shipdate", "l_comment"]
    kept = client.read("lineitem", columns=columns, **{key: text})
    assert_same(kept.filter(FILTERS[text]), table.select(columns).filter(FILTERS[text]))


def test_prefilter_spares_rows_where_few_match(client: Client, table: pa.Table) -> None:
    """A node leaves out what few rows pass, and copies nothing where most do."""
    few = client.read("lineitem", prefilter="l_quantity < 5")
    assert_same(few, table.filter(Decimal(5) > QUANTITY))
    assert_same(client.read("lineitem", prefilter="l_quantity >= 5"), table)


def test_filter_needs_no_projected_column(client: Client, table: pa.Table) -> None:
    """A filter's columns need not be among those returned, nor any column at all."""
    got = client.read("lineitem", columns=["l_tax"], filter="l_orderkey = 33")
    assert_same(got, table.filter(KEY == 33).select(["l_tax"]))
    info = client.info("lineitem", columns=[], filter="l_orderkey = 33")
    readers = [client.flight.do_get(one.ticket) for one in info.endpoints]
    rows = sum(chunk.data.num_rows for reader in readers for chunk in reader)
    assert rows == table.filter(KEY == 33).num_rows


def test_pruned_objects_are_named(client: Client) -> None:
    """Of a command with a `prune`, a client learns what it need not read elsewhere."""
    whole = client.info("lineitem")
    objects = [one for endpoint in whole.endpoints for one in metadata(endpoint)["objects"]]
    files = {one["path"]: {**one, "row_groups": []} for one in objects}
    assert "pruned" not in metadata(whole)
    none = client.info("lineitem", prune="l_orderkey < 0")
    assert (none.endpoints, metadata(none)["pruned"]) == ([], list(files.values()))
    first = client.info("lineitem", prune="l_orderkey < 5")
    (read,) = {one["path"] for e in first.endpoints for one in metadata(e)["objects"]}
    assert [one["path"] for one in metadata(first)["pruned"]] == [
        one for one in files if one != read
    ]


def test_prune_and_filter_together(client: Client, table: pa.Table) -> None:
    """Pruned row groups are gone, the rest is filtered."""
    got = client.read("lineitem", prune="l_orderkey < 100", filter="l_quantity < 10")
    few = table.filter(Decimal(10) > QUANTITY)
    assert_same(got.filter(KEY < 100), few.filter(KEY < 100))
    assert got.num_rows < few.num_rows
