"""What Flight SQL's clients ask a server about: itself, its catalogs, tables, columns and keys."""

import time
from collections.abc import Iterator
from typing import Any

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pytest

from harness.client import raises_kind
from harness.node import Dataset, Node, serving, store
from harness.process import poll
from harness.sql import ask, connect, info, plan, raises_sql, rows
from harness.stores import BlobContainer
from harness.tables import parquet, tpch

SYSTEM = ["chunks", "datasets", "metrics", "objects", "queries"]
VIEWS = ["columns", "parameters", "routines", "schemata", "tables", "views"]
BROKEN = "bad/0.parquet"


@pytest.fixture(scope="module")
def node(container: BlobContainer) -> Iterator[Node]:
    """A node with two tables, one that is broken, and one that is not there."""
    for name in ("nation", "region"):
        container.put(f"{name}/0.parquet", parquet(tpch(name)))
    container.put(BROKEN, b"PAR1 nothing PAR1")
    names = ["nation", "region", "bad", "missing"]
    datasets = [Dataset(name, container.url(f"{name}/")) for name in names]
    with serving(datasets, [store(container)]) as one:
        yield one


@pytest.fixture(scope="module")
def sql(node: Node) -> Iterator[adbc.Connection]:
    """A connection to it."""
    with connect(node) as one:
        yield one


def tables(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the tables of `adbc_get_objects` by schema and name."""
    return {
        f"{schema['db_schema_name']}.{table['table_name']}": table
        for catalog in objects
        for schema in catalog["catalog_db_schemas"] or []
        for table in schema["db_schema_tables"] or []
    }


def test_objects(node: Node, sql: adbc.Connection) -> None:
    """Every table with its type and columns; a broken one without columns."""
    with node.expect_log("claims .* bytes of footer"):
        objects = sql.adbc_get_objects(depth="all").read_all().to_pylist()
    assert [one["catalog_name"] for one in objects] == ["flightcache"]
    found = tables(objects)
    public = ["bad", "missing", "nation", "region"]
    names = [f"public.{name}" for name in public]
    names += [f"flightcache.{name}" for name in SYSTEM]
    names += [f"information_schema.{name}" for name in VIEWS]
    assert sorted(found) == sorted(names)
    columns = found["public.nation"]["table_columns"]
    assert [one["column_name"] for one in columns] == tpch("nation").column_names
    assert [one["ordinal_position"] for one in columns] == [1, 2, 3, 4]
    assert not found["public.bad"]["table_columns"]
    for name, table in found.items():
        schema = name.split(".")[0]
        kinds = {"public": "TABLE", "flightcache": "SYSTEM TABLE", "information_schema": "VIEW"}
        assert table["table_type"] == kinds[schema]
        assert table["table_columns"] or name in {"public.bad", "public.missing"}, name


def test_objects_are_filtered(sql: adbc.Connection) -> None:
    """By patterns and depth."""
    only = sql.adbc_get_objects(depth="tables", table_name_filter="_ation").read_all().to_pylist()
    assert list(tables(only)) == ["public.nation"]
    schemas = sql.adbc_get_objects(depth="db_schemas").read_all().to_pylist()
    names = [one["db_schema_name"] for one in schemas[0]["catalog_db_schemas"]]
    assert names == ["flightcache", "information_schema", "public"]
    none = sql.adbc_get_objects(depth="tables", catalog_filter="nothing").read_all().to_pylist()
    assert not tables(none)
    assert sql.adbc_get_table_types() == ["SYSTEM TABLE", "TABLE", "VIEW"]


def test_table_schema(sql: adbc.Connection) -> None:
    """What a query of it returns."""
    schema = sql.adbc_get_table_schema("nation")
    assert schema == ask(sql, "SELECT * FROM nation").schema == tpch("nation").schema


def test_sql_info(node: Node, sql: adbc.Connection) -> None:
    """What the server says of itself is so."""
    told = sql.adbc_get_info()
    assert (told["vendor_name"], told["vendor_version"]) == ("Flightcache", "0.1.0")
    with node.client() as client:
        facts = client.fetch(info(client, "CommandGetSqlInfo"))
        known = dict(zip(facts["info_name"].to_pylist(), facts["value"].to_pylist(), strict=True))
        assert known[3] is True  # read only
        assert known[4] is True  # SQL
        assert known[5] is False  # no Substrait
        assert known[8] == 0  # no transactions
        assert known[9] is True  # cancel
        assert known[100] == 300_000  # the time limit in milliseconds
        assert known[557] == 1 << 20
        # Asked for by number.
        one = client.fetch(info(client, "CommandGetSqlInfo", (1, 0), (1, 3)))
        assert one.num_rows in {1, 2}
        # Null ordering: high, so last when ascending and first when descending.
        assert known[507] == 0
        nulls = "SELECT * FROM (VALUES (1), (NULL)) AS t(a) ORDER BY a"
        assert client.fetch(plan(client, nulls))["a"].to_pylist() == [
            1,
            None,
        ]
        descending = client.fetch(plan(client, nulls + " DESC"))
        assert descending["a"].to_pylist() == [None, 1]


def test_keys_and_types(node: Node) -> None:
    """Keys are empty, with the columns that Flight SQL defines; types are listed."""
    with node.client() as client:
        for name, fields, columns in [
            ("CommandGetPrimaryKeys", [(3, "nation")], 6),
            ("CommandGetImportedKeys", [(3, "nation")], 13),
            ("CommandGetExportedKeys", [(3, "nation")], 13),
            ("CommandGetCrossReference", [(3, "nation"), (6, "region")], 13),
        ]:
            keys = client.fetch(info(client, name, *fields))
            assert (keys.num_rows, keys.num_columns) == (0, columns), name
        types = client.fetch(info(client, "CommandGetXdbcTypeInfo"))
        assert {"BIGINT", "VARCHAR", "TIMESTAMP", "DECIMAL"} <= set(types["type_name"].to_pylist())
        bigint = client.fetch(info(client, "CommandGetXdbcTypeInfo", (1, 12)))
        assert bigint["type_name"].to_pylist() == ["VARCHAR"]


def test_the_information_schema(sql: adbc.Connection) -> None:
    """The standard's own, which a broken dataset does not break."""
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = ? ORDER BY 1"
    assert rows(sql, query, ["flightcache"]) == [(name,) for name in SYSTEM]
    assert [row[0] for row in rows(sql, query, ["public"])] == [
        "bad",
        "missing",
        "nation",
        "region",
    ]
    own = {row[0] for row in rows(sql, query, ["information_schema"])}
    assert own == {"tables", "views", "columns", "schemata", "routines", "parameters"}
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'nation'"
    assert [row[0] for row in rows(sql, query)] == tpch("nation").column_names
    with raises_sql("Denied"):
        ask(sql, "SELECT * FROM information_schema.df_settings")


def test_system_tables_of_datasets(sql: adbc.Connection, container: BlobContainer) -> None:
    """What is served, and why something is not."""
    found = {
        row["dataset"]: row for row in ask(sql, "SELECT * FROM flightcache.datasets").to_pylist()
    }
    assert list(found) == ["bad", "missing", "nation", "region"]
    nation = found["nation"]
    assert (nation["objects"], nation["rows"], nation["error"]) == (1, 25, None)
    assert nation["url"] == container.url("nation/")
    assert "footer" in found["bad"]["error"]
    assert found["missing"]["snapshot"] is None
    assert found["missing"]["error"]
    objects = ask(sql, "SELECT * FROM flightcache.objects WHERE dataset = 'nation'").to_pylist()
    assert [one["path"] for one in objects] == ["nation/0.parquet"]
    assert objects[0]["bytes"] == len(parquet(tpch("nation")))


def test_system_table_of_chunks(fresh: BlobContainer, tmp_path_factory: Any) -> None:
    """What is cached, where, and how often it was read."""
    fresh.put("nation/0.parquet", parquet(tpch("nation"), row_group_size=10))
    dataset = Dataset("nation", fresh.url("nation/"))
    cache = {"memory": "64MiB", "dir": tmp_path_factory.mktemp("chunks"), "disk": "64MiB"}
    held = (
        'SELECT tier, row_group, "column", hits FROM flightcache.chunks '
        "WHERE dataset = 'nation' AND kind = 'column' ORDER BY 1, 2, 3"
    )
    with serving([dataset], [store(fresh)], cache=cache) as one, connect(one) as sql:
        assert rows(sql, held) == []
        for _ in range(3):
            ask(sql, "SELECT n_name, n_regionkey FROM nation")
        in_memory = [("memory", group, column, 2) for group in range(3) for column in (1, 2)]
        on_disk = [("disk", group, column, None) for group in range(3) for column in (1, 2)]
        poll("written behind", lambda: rows(sql, held) == on_disk + in_memory)
        sizes = "SELECT sum(bytes) FROM flightcache.chunks WHERE tier = 'memory'"
        assert rows(sql, sizes)[0][0] > 0
        with one.client() as client:
            client.act("flightcache.evict", {"dataset": "nation"})
        assert rows(sql, held) == []


def test_system_tables_of_queries_and_metrics(node: Node, sql: adbc.Connection) -> None:
    """What runs and ran, and the figures that stats has."""
    mark = f"SELECT count(*) AS c, {time.monotonic_ns()} AS mark FROM nation"
    ask(sql, mark)
    last = "SELECT * FROM flightcache.queries WHERE sql = ?"
    (ran,) = ask(sql, last, [mark]).to_pylist()
    assert (ran["state"], ran["rows"], ran["error"]) == ("finished", 1, None)
    assert ran["elapsed_ms"] >= 0
    assert ran["started"].tzinfo is not None
    running = "SELECT count(*) FROM flightcache.queries WHERE state = 'running'"
    assert rows(sql, running) == [(1,)]
    failing = "SELECT 1 / (n_nationkey - n_nationkey) AS z FROM nation"
    with raises_sql("Invalid"):
        ask(sql, failing)
    (failed,) = ask(sql, last, [failing]).to_pylist()
    assert failed["state"] == "failed"
    assert "zero" in failed["error"].lower()
    stats = node.stats()
    query = "SELECT value FROM flightcache.metrics WHERE metric = 'origin.requests'"
    assert rows(sql, query) == [(stats["origin"]["requests"],)]
    figures = dict(rows(sql, "SELECT * FROM flightcache.metrics WHERE metric LIKE 'sql.%'"))
    assert figures == {f"sql.{name}": value for name, value in stats["sql"].items()} | {
        "sql.queries_running": 1
    }
    assert figures["sql.queries_refused"] == 0


RULES = [
    {"principal": "alice", "datasets": ["nation"]},
    {"principal": "ops", "datasets": ["*"], "actions": True},
]
ALICE, OPS = "alice-0123456789ab", "ops-0123456789abcd"


@pytest.mark.usefixtures("node")
def test_everybody_sees_what_he_may_read(container: BlobContainer, tmp_path_factory: Any) -> None:
    """In metadata, system tables and queries alike; tickets and handles are their owner's alone."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text(f"alice {ALICE}\nops {OPS}\n")
    datasets = [Dataset(name, container.url(f"{name}/")) for name in ("nation", "region")]
    auth = {"token_file": tokens, "rule": RULES}
    with (
        serving(datasets, [store(container)], auth=auth) as one,
        connect(one, ALICE) as alice,
        connect(one, OPS) as ops,
        one.client(ALICE) as as_alice,
        one.client(OPS) as as_ops,
    ):
        ask(ops, "SELECT * FROM region")
        ask(ops, "SELECT * FROM nation")
        seen = alice.adbc_get_objects(depth="tables").read_all().to_pylist()
        names = [name for name in tables(seen) if name.startswith("public.")]
        assert names == ["public.nation"]
        for table in ["datasets", "objects", "chunks"]:
            query = f"SELECT DISTINCT dataset FROM flightcache.{table}"
            assert rows(alice, query) == [("nation",)], table
            assert len(rows(ops, query)) == 2, table
        listed = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        assert rows(alice, listed) == [("nation",)]
        query = "SELECT DISTINCT principal FROM flightcache.queries"
        assert rows(alice, query) == [("alice",)]
        assert sorted(rows(ops, query)) == [("alice",), ("ops",)]
        with raises_sql("Denied", "flightcache.metrics"):
            ask(alice, "SELECT * FROM flightcache.metrics")
        assert rows(ops, "SELECT count(*) > 10 FROM flightcache.metrics") == [(True,)]
        with raises_sql("NotFound", "`region`"):
            ask(alice, "SELECT * FROM region")
        with raises_sql("NotFound", "`region`"):
            ask(alice, "SELECT * FROM nation WHERE n_regionkey IN (SELECT r_regionkey FROM region)")
        with raises_sql("Unauthenticated"), connect(one, "nobody-0123456789") as nobody:
            ask(nobody, "SELECT 1")
        ticket = plan(as_ops, "SELECT * FROM nation").endpoints[0].ticket
        with raises_kind("Denied"):
            as_alice.get(ticket)
        assert as_ops.get(ticket).num_rows == 25


def test_columns_are_plain(sql: adbc.Connection) -> None:
    """No client is sent views."""
    for table in ["nation", "flightcache.datasets", "information_schema.tables"]:
        schema = ask(sql, f"SELECT * FROM {table}").schema
        assert not [one for one in schema if one.type in {pa.string_view(), pa.binary_view()}]
