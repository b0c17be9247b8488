"""SQL over ADBC: statements, types, parameters, partitions, streams, snapshots, tickets."""

import io
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyarrow import flight

from harness.cases import CASES, Case
from harness.client import metadata, raises_kind
from harness.load import memory_of, put_numbers
from harness.node import Dataset, Node, serving, store
from harness.sql import ask, bind, connect, info, plan, prepare, raises_sql, rows
from harness.stores import BlobContainer
from harness.tables import assert_same, parquet, pieces, plain, tpch

TABLES = ["lineitem", "nation", "orders"]
FILES = 3


@pytest.fixture(scope="module")
def node(container: BlobContainer) -> Iterator[Node]:
    """A node with some of TPC-H."""
    for name in TABLES:
        for index, data in enumerate(pieces(tpch(name), FILES, 5000)):
            container.put(f"{name}/{index}.parquet", data)
    datasets = [Dataset(name, container.url(f"{name}/")) for name in TABLES]
    with serving(datasets, [store(container)]) as one:
        yield one


@pytest.fixture(scope="module")
def sql(node: Node) -> Iterator[adbc.Connection]:
    """A connection to it."""
    with connect(node) as one:
        yield one


def test_a_table_comes_as_it_is(sql: adbc.Connection) -> None:
    """Every row of every file, once."""
    table = ask(sql, "SELECT * FROM lineitem").sort_by(
        [("l_orderkey", "ascending"), ("l_linenumber", "ascending")]
    )
    assert_same(table.combine_chunks(), tpch("lineitem"))


def test_aggregates_and_joins(sql: adbc.Connection) -> None:
    """What pyarrow computes of the same tables."""
    lineitem = tpch("lineitem")
    by_flag = lineitem.group_by("l_returnflag").aggregate(
        [("l_quantity", "sum"), ([], "count_all")]
    )
    expected = sorted(
        (row["l_returnflag"], row["l_quantity_sum"], row["count_all"])
        for row in by_flag.to_pylist()
    )
    query = "SELECT l_returnflag, sum(l_quantity), count(*) FROM lineitem GROUP BY 1 ORDER BY 1"
    assert rows(sql, query) == expected
    joined = tpch("orders").join(lineitem, "o_orderkey", "l_orderkey", "inner")
    urgent = joined.filter(pc.field("o_orderpriority") == "1-URGENT").num_rows
    query = (
        "SELECT count(*) FROM flightcache.public.orders JOIN lineitem ON o_orderkey = l_orderkey "
        "WHERE o_orderpriority = '1-URGENT'"
    )
    assert rows(sql, query) == [(urgent,)]


def test_expressions_sets_and_windows(sql: adbc.Connection) -> None:
    """A little of each, whose answers are plain to see."""
    for query, expected in [
        ("SELECT 1 + 1, 'a' || 'b', CAST('1.50' AS DECIMAL(5, 2))", [(2, "ab", Decimal("1.50"))]),
        ("VALUES (1), (2) UNION ALL SELECT 3 ORDER BY 1", [(1,), (2,), (3,)]),
        (
            (
                "WITH n AS (SELECT n_regionkey AS r, count(*) AS c FROM nation GROUP BY 1) "
                "SELECT max(c), min(c) FROM n"
            ),
            [(5, 5)],
        ),
        (
            (
                "SELECT n_name FROM (SELECT n_name, row_number() OVER (PARTITION BY n_regionkey "
                "ORDER BY n_name) AS at FROM nation) WHERE at = 1 ORDER BY 1 LIMIT 2"
            ),
            [("ALGERIA",), ("ARGENTINA",)],
        ),
        ("SELECT count(*) FROM nation WHERE n_nationkey < 0", [(0,)]),
        ("SELECT n_name FROM nation WHERE false", []),
    ]:
        assert rows(sql, query) == expected, query
    assert "DataSourceExec" in str(rows(sql, "EXPLAIN SELECT * FROM nation"))
    assert ("public", "nation") in [row[1:3] for row in rows(sql, "SHOW TABLES")]
    assert [row[0] for row in rows(sql, "DESCRIBE nation")] == tpch("nation").column_names
    assert rows(sql, "DESCRIBE SELECT 1 AS a") == [("a", "Int64", "NO")]


def test_errors_name_what_they_concern(sql: adbc.Connection) -> None:
    """And have the kind that tells what to do."""
    with raises_sql("NotFound", "`natoin`", "did you mean `nation`?"):
        ask(sql, "SELECT * FROM natoin")
    with raises_sql("Invalid", "n_nmae"):
        ask(sql, "SELECT n_nmae FROM nation")
    with raises_sql("Invalid", "Did you mean 'arrow_typeof'?"):
        ask(sql, "SELECT arrowtypeof(1)")
    with raises_sql("Invalid", "SELEC"):
        ask(sql, "SELEC 1")
    with raises_sql("Invalid", "2 statements"):
        ask(sql, "SELECT 1; SELECT 2")
    with raises_sql("Invalid"):
        ask(sql, "SELECT 1 / (n_nationkey - n_nationkey) FROM nation")
    assert rows(sql, "SELECT 1") == [(1,)]


# What SQL reads of these is of another type: DataFusion works on views, which come back plain.
OTHER = {
    pa.large_string(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.date64(): pa.date64(),
}
WRITTEN_OTHERWISE = {"date64": pa.date64(), "timestamp_s_zone": pa.timestamp("ms", "UTC")}


@pytest.fixture(scope="module")
def typed(container: BlobContainer) -> Iterator[adbc.Connection]:
    """A connection to a node with one dataset a type."""
    datasets = [Dataset(case.name, container.url(f"types/{case.name}/")) for case in CASES]
    with serving(datasets, [store(container)]) as one, connect(one) as connection:
        yield connection


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_type_equals_what_pyarrow_reads(
    typed: adbc.Connection, container: BlobContainer, case: Case
) -> None:
    """Value for value, cold and warm, whole and filtered."""
    data = parquet(case.table(), **case.options)
    container.put(f"types/{case.name}/0.parquet", data)
    expected = without_dictionaries(plain(pq.read_table(io.BytesIO(data))))
    if other := WRITTEN_OTHERWISE.get(case.name):
        fields = [pa.field(one.name, other, one.nullable) for one in expected.schema]
        expected = expected.cast(pa.schema(fields))
    fields = [pa.field(f.name, OTHER.get(f.type, f.type), f.nullable) for f in expected.schema]
    expected = expected.cast(pa.schema(fields))
    for _ in range(2):
        actual = ask(typed, f'SELECT * FROM "{case.name}"').replace_schema_metadata()
        assert_same(actual, expected)


def without_dictionaries(table: pa.Table) -> pa.Table:
    """Return values in the place of keys, which JDBC's driver would show."""
    types = [one.type for one in table.schema]
    types = [one.value_type if pa.types.is_dictionary(one) else one for one in types]
    fields = zip(table.schema, types, strict=True)
    schema = pa.schema([pa.field(one.name, kind, one.nullable) for one, kind in fields])
    return table.cast(schema)


def test_parameters(sql: adbc.Connection) -> None:
    """Of several types, by both spellings, null, and run again with others."""
    query = "SELECT n_name FROM nation WHERE n_nationkey = ? OR n_name = ? ORDER BY 1"
    assert rows(sql, query, [3, "FRANCE"]) == [("CANADA",), ("FRANCE",)]
    assert rows(sql, query, [4, "PERU"]) == [("EGYPT",), ("PERU",)]
    assert rows(sql, query.replace("?", "$1", 1).replace("?", "$2"), [None, "PERU"]) == [("PERU",)]
    for value in [7, 1.5, "text", b"\xff", True, None, Decimal("1.25")]:
        assert rows(sql, "SELECT ?", [value]) == [(value,)]
    with sql.cursor() as cursor:
        assert [str(one.type) for one in cursor.adbc_prepare(query)] == ["int64", "string"]
        for key, name in [(0, "ALGERIA"), (1, "ARGENTINA")]:
            cursor.execute("SELECT n_name FROM nation WHERE n_nationkey = ?", [key])
            assert cursor.fetchall() == [(name,)]


def test_parameters_that_do_not_fit_are_refused(node: Node, sql: adbc.Connection) -> None:
    """Too few, several rows, another type, too many bytes, and values that nobody bound."""
    query = "SELECT n_name FROM nation WHERE n_nationkey = ?"
    with raises_sql("Invalid", "$1", "no value"):
        ask(sql, query)
    with raises_sql("Invalid", "1 parameter"):
        ask(sql, query, [1, 2])
    with raises_sql("Invalid", "$1"):
        ask(sql, query, ["no number"])
    with raises_sql("Invalid", "bytes"):
        ask(sql, "SELECT ?", ["x" * (2 << 20)])
    with node.client() as client:
        handle = prepare(client, query)
        two = pa.record_batch({"$1": [1, 2]})
        with raises_kind("Invalid", "several rows"):
            bind(client, handle, two)
        with raises_kind("Invalid", "no value"):
            client.fetch(info(client, "CommandPreparedStatementQuery", (1, handle)))
        bound = bind(client, handle, two.slice(1))
        answer = client.fetch(info(client, "CommandPreparedStatementQuery", (1, bound)))
        assert answer["n_name"].to_pylist() == ["BRAZIL"]


def test_partitions_give_every_row_once(sql: adbc.Connection) -> None:
    """A plain scan has an endpoint a split, each readable on its own; an aggregate has one."""
    with sql.cursor() as cursor:
        partitions, schema = cursor.adbc_execute_partitions(
            "SELECT l_orderkey, l_quantity * 2 AS twice FROM lineitem WHERE l_quantity > 40"
        )
        assert len(partitions) == FILES
        tables = []
        for partition in reversed(partitions):
            cursor.adbc_read_partition(partition)
            tables.append(cursor.fetch_arrow_table())
        table = pa.concat_tables(tables)
        assert table.schema == schema
        kept = tpch("lineitem").filter(pc.field("l_quantity") > Decimal(40))
        assert table.num_rows == kept.num_rows
        assert pc.sum(table["twice"]).as_py() == 2 * pc.sum(kept["l_quantity"]).as_py()
        for query in [
            "SELECT count(*) FROM lineitem",
            "SELECT * FROM lineitem LIMIT 5",
            "SELECT * FROM lineitem ORDER BY l_orderkey",
            "SELECT DISTINCT l_returnflag FROM lineitem",
        ]:
            assert len(cursor.adbc_execute_partitions(query)[0]) == 1, query


def test_endpoints_tell_their_object(node: Node) -> None:
    """As those of scans do; the whole tells its id and its snapshots."""
    with node.client() as client:
        planned = plan(client, "SELECT n_name FROM nation")
        told = metadata(planned)
        assert told["snapshots"] == {"nation": metadata(client.info("nation"))["snapshot"]}
        assert len(told["query"]) == 32
        objects = [metadata(one)["objects"][0] for one in planned.endpoints]
        assert [one["path"].split("/")[-1] for one in objects] == [
            f"{n}.parquet" for n in range(FILES)
        ]
        assert client.fetch(planned).num_rows == 25


@pytest.mark.usefixtures("node")
def test_several_endpoints_of_one_query_take_one_place(container: BlobContainer) -> None:
    """A client that opens all of them before it reads one does not wait for itself."""
    dataset = Dataset("nation", container.url("nation/"))
    settings = {"max_queries": 1}
    server = {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "queue_timeout": "1s"}
    with (
        serving([dataset], [store(container)], sql=settings, server=server) as one,
        one.client() as client,
    ):
        planned = plan(client, "SELECT * FROM nation")
        streams = [client.flight.do_get(end.ticket) for end in planned.endpoints]
        assert sum(stream.read_all().num_rows for stream in reversed(streams)) == 25


def test_a_result_larger_than_the_memory_streams(tmp_path: Path) -> None:
    """256 MiB through a node of 64: whole, filtered and renamed, one batch at a time."""
    put_numbers(tmp_path / "numbers", 16, 1 << 19, 1 << 16)
    datasets = [Dataset("numbers", f"file://{tmp_path}/numbers/")]
    limits = {"memory": "64MiB"}
    with serving(datasets, cache={"memory": "64MiB"}, sql=limits) as one, one.client() as client:
        for query in [
            "SELECT * FROM numbers",
            "SELECT row AS r, a + b AS s, c FROM numbers WHERE row >= 0",
            "SELECT * FROM numbers UNION ALL SELECT * FROM numbers WHERE row < 0",
        ]:
            with memory_of(one) as memory:
                planned = plan(client, query)
                total = 0
                for endpoint in planned.endpoints:
                    for chunk in client.flight.do_get(endpoint.ticket):
                        total += chunk.data.num_rows
                assert total == 16 << 19, query
            assert memory.peak < (64 * 5 // 4 + 64 + 256) << 20, query


def version(number: int, rows_: int = 1000) -> bytes:
    """Return a file whose every row tells which version it is of."""
    table = pa.table({"n": pa.array(range(rows_)), "v": pa.array([number] * rows_, pa.int64())})
    return parquet(table, compression="none", use_dictionary=False)


ORIGIN = {"footer_prefetch": "4KiB"}


def test_a_query_reads_one_snapshot(fresh: BlobContainer) -> None:
    """One that was overwritten meanwhile: a whole is planned anew, a split is Stale."""
    fresh.put("d/0.parquet", version(0))
    fresh.put("d/1.parquet", version(0))
    dataset = Dataset("d", fresh.url("d/"))
    with serving([dataset], [store(fresh)], origin=ORIGIN) as one, one.client() as client:
        whole = plan(client, "SELECT v, count(*) AS c FROM d GROUP BY v")
        splits = plan(client, "SELECT * FROM d")
        fresh.put("d/0.parquet", version(1))
        fresh.put("d/1.parquet", version(1))
        assert client.fetch(whole).to_pylist() == [{"v": 1, "c": 2000}]
        with raises_kind("Stale", "d/0.parquet"):
            client.fetch(splits)
        assert set(client.fetch(plan(client, "SELECT v FROM d"))["v"].to_pylist()) == {1}


def test_an_answer_of_another_schema_is_stale(fresh: BlobContainer) -> None:
    """Columns that a client was told of are not exchanged for others."""
    fresh.put("d/0.parquet", version(0))
    dataset = Dataset("d", fresh.url("d/"))
    with serving([dataset], [store(fresh)], origin=ORIGIN) as one, one.client() as client:
        planned = plan(client, "SELECT DISTINCT v FROM d")
        fresh.put("d/0.parquet", parquet(pa.table({"v": ["x"] * 1000}), compression="none"))
        with raises_kind("Stale"):
            client.fetch(planned)
        client.act("flightcache.refresh", {"dataset": "d"})
        with raises_kind("Stale", "plan again"):
            client.fetch(planned)
        assert client.fetch(plan(client, "SELECT DISTINCT v FROM d"))["v"].to_pylist() == ["x"]


def test_tickets_and_handles_cannot_be_forged_or_mixed_up(node: Node) -> None:
    """One byte, another kind, or nothing at all."""
    with node.client() as client:
        ticket = plan(client, "SELECT count(*) FROM nation").endpoints[0].ticket.ticket
        handle = prepare(client, "SELECT 1")
        for forged in [
            ticket[:-1],
            ticket[:40] + b"x" + ticket[41:],
            b"\x02" + b"0" * 40,
            b"\x01" + ticket[1:],
        ]:
            with raises_kind("Invalid"):
                client.get(flight.Ticket(forged))
        with raises_kind("Invalid", "handle"):
            client.get(flight.Ticket(handle))
        with raises_kind("Invalid", "handle"):
            info(client, "CommandPreparedStatementQuery", (1, ticket))
        with raises_kind("Invalid", "CommandNothing"):
            info(client, "CommandNothing")
        with raises_kind("Invalid"):
            info(client, "CommandStatementQuery", (1, b"\xff\xfe"))
        assert client.get(flight.Ticket(ticket)).num_rows == 1


def test_schemas_are_told_without_a_plan(node: Node) -> None:
    """GetSchema answers what GetFlightInfo does."""
    with node.client() as client, connect(node) as connection, connection.cursor() as cursor:
        query = "SELECT n_name, count(*) AS c FROM nation GROUP BY 1"
        assert cursor.adbc_execute_schema(query) == plan(client, query).schema


def test_scan_commands_work_beside(node: Node) -> None:
    """JSON and paths are read as ever."""
    with node.client() as client:
        assert client.read("nation").num_rows == 25
        assert client.read("nation", columns=["n_name"], limit=3).num_rows == 3
