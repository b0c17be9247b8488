"""SQL through the JDBC driver: statements, prepared ones, types, and DatabaseMetaData."""

import base64
import datetime as dt
import io
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.cases import CASES, Case
from harness.jdbc import Jdbc, jdbc
from harness.node import Dataset, Node, serving, store
from harness.stores import BlobContainer
from harness.tables import parquet, tpch

ROWS = 40
BIGINT, VARCHAR = -5, 12


@pytest.fixture(scope="module")
def node(container: BlobContainer) -> Iterator[Node]:
    """A node with two tables, and one for each type."""
    for name in ("nation", "orders"):
        container.put(f"{name}/0.parquet", parquet(tpch(name)))
    for case in CASES:
        data = parquet(case.table()[:ROWS], **case.options)
        container.put(f"types/{case.name}/0.parquet", data)
    datasets = [Dataset(name, container.url(f"{name}/")) for name in ("nation", "orders")]
    datasets += [Dataset(case.name, container.url(f"types/{case.name}/")) for case in CASES]
    with serving(datasets, [store(container)]) as one:
        yield one


@pytest.fixture(scope="module")
def sql(node: Node) -> Iterator[Jdbc]:
    """A connection to it."""
    with jdbc(node) as one:
        yield one


def test_statements(sql: Jdbc) -> None:
    """Columns with their types, and rows."""
    answer = sql.ask("query", "SELECT n_nationkey, n_name FROM nation ORDER BY 1 LIMIT 2")
    assert answer["columns"] == [["n_nationkey", BIGINT], ["n_name", VARCHAR]]
    assert answer["rows"] == [[0, "ALGERIA"], [1, "ARGENTINA"]]
    assert sql.rows("query", "SELECT n_name FROM nation WHERE false") == []
    orders = sql.rows("query", "SELECT count(*), max(o_orderkey) FROM orders")
    assert orders == [[tpch("orders").num_rows, max(tpch("orders")["o_orderkey"].to_pylist())]]


def test_prepared_statements(sql: Jdbc) -> None:
    """Run again with other values, of several types."""
    query = "SELECT n_name FROM nation WHERE n_nationkey = ? OR n_name = ? ORDER BY 1"
    runs = ["2", "long:3", "string:FRANCE", "2", "long:4", "string:PERU"]
    first, second = sql.ask("prepared", query, *runs)
    assert first["rows"] == [["CANADA"], ["FRANCE"]]
    assert second["rows"] == [["EGYPT"], ["PERU"]]
    query = "SELECT count(*) FROM orders WHERE o_orderdate >= ? AND o_totalprice > ?"
    (counted,) = sql.ask("prepared", query, "2", "date:1998-01-01", "decimal:1000.50")
    day, price = dt.date(1998, 1, 1), Decimal("1000.50")
    rows = tpch("orders").select(["o_orderdate", "o_totalprice"]).to_pylist()
    kept = [one for one in rows if one["o_orderdate"] >= day and one["o_totalprice"] > price]
    assert counted["rows"] == [[len(kept)]]
    assert sql.ask("prepared", "SELECT ?", "1", "string:any")[0]["rows"] == [["any"]]


def test_errors(sql: Jdbc) -> None:
    """They name what they concern, and writing is refused."""
    assert "did you mean `nation`" in sql.error("query", "SELECT * FROM natoin")
    assert "is refused" in sql.error("query", "DROP TABLE nation")
    assert "is refused" in sql.error("update", "INSERT INTO nation VALUES (1)")
    assert "is refused" in sql.error("update", "DELETE FROM nation")
    assert sql.rows("query", "SELECT 1") == [[1]]


# What the driver itself says of types that it does not know: a CAST helps.
UNKNOWN = {
    "decimal32": "only supports 128-bit and 256-bit decimal",
    "decimal64": "only supports 128-bit and 256-bit decimal",
    "float16": "Unsupported ArrowType FloatingPoint(HALF)",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_type(sql: Jdbc, case: Case) -> None:
    """Value for value, as far as the driver shows them."""
    query = f'SELECT * FROM "{case.name}"'
    for kind, said in UNKNOWN.items():
        if case.name.startswith(kind):
            assert said in sql.error("query", query)
            return
    table = pq.read_table(io.BytesIO(parquet(case.table()[:ROWS], **case.options)))
    rows = sql.rows("query", query)
    assert len(rows) == table.num_rows
    for at, column in enumerate(table.columns):
        plain = (
            column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        )
        for row, scalar in zip(rows, plain, strict=True):
            assert same(row[at], scalar), (column.type, row[at], scalar)


def same(shown: Any, scalar: pa.Scalar) -> bool:
    """Whether the driver shows a value as it is; nulls inside of lists and structs aside."""
    if not scalar.is_valid or shown is None:
        return (shown is None) == (not scalar.is_valid)
    for is_kind, comparison in COMPARISONS:
        if is_kind(scalar.type):
            return comparison(shown, scalar)
    return isinstance(shown, str)


def equal(shown: Any, scalar: pa.Scalar) -> bool:
    """Numbers, booleans and text."""
    return bool(shown == scalar.as_py())


def floats(shown: str, scalar: pa.Scalar) -> bool:
    """To the last digit of what Java writes."""
    number, value = float(shown.replace("Infinity", "inf")), scalar.as_py()
    return repr(number) == repr(value) or abs(number - value) < 1e-6


def time(shown: str, scalar: pa.Scalar) -> bool:
    """The driver has milliseconds, and writes none where there are none."""
    seconds = scalar.cast(pa.time64("ns")).value // 1_000_000_000
    return shown[:8] == str(dt.timedelta(seconds=seconds)).zfill(8)


def moment(shown: str, scalar: pa.Scalar) -> bool:
    """In UTC, to the second; the driver shifts those of another zone, by whatever call."""
    seen = dt.datetime.fromisoformat(shown.split(".", maxsplit=1)[0]).replace(tzinfo=dt.UTC)
    if scalar.type.tz not in {None, "UTC"}:
        return abs(int(seen.timestamp()) - seconds(scalar)) < 24 * 3600
    return int(seen.timestamp()) == seconds(scalar)


def seconds(scalar: pa.Scalar) -> int:
    """Return the second since 1970 in which a moment lies."""
    return int(scalar.cast(pa.timestamp("ns", scalar.type.tz)).value // 1_000_000_000)


def is_binary(kind: pa.DataType) -> bool:
    """Whether values of a type are bytes."""
    fixed = pa.types.is_fixed_size_binary(kind)
    return fixed or pa.types.is_binary(kind) or kind in {pa.large_binary(), pa.binary_view()}


def is_text(kind: pa.DataType) -> bool:
    """Whether values of a type are text."""
    return kind in {pa.string(), pa.large_string(), pa.string_view()}


def is_integers(kind: pa.DataType) -> bool:
    """Whether values of a type are lists of integers."""
    return bool(pa.types.is_list(kind) and pa.types.is_integer(kind.value_type))


COMPARISONS: list[tuple[Callable[[pa.DataType], bool], Callable[[Any, pa.Scalar], bool]]] = [
    (pa.types.is_integer, equal),
    (pa.types.is_boolean, equal),
    (is_text, equal),
    (pa.types.is_floating, floats),
    (pa.types.is_decimal, lambda shown, scalar: Decimal(shown) == scalar.as_py()),
    (pa.types.is_date, lambda shown, scalar: shown == scalar.as_py().isoformat()),
    (pa.types.is_time, time),
    (pa.types.is_timestamp, moment),
    (is_binary, lambda shown, scalar: base64.b64decode(shown) == scalar.as_py()),
    (is_integers, lambda shown, scalar: json.loads(shown) == scalar.as_py()),
]


def test_database_metadata(sql: Jdbc) -> None:
    """Catalogs, schemas, tables, columns, types of tables."""
    assert sql.rows("catalogs") == [["flightcache"]]
    assert [row[0] for row in sql.rows("schemas")] == [
        "flightcache",
        "information_schema",
        "public",
    ]
    assert sql.rows("types") == [["SYSTEM TABLE"], ["TABLE"], ["VIEW"]]
    tables = sql.rows("tables", "public", "nati%")
    assert [row[:4] for row in tables] == [["flightcache", "public", "nation", "TABLE"]]
    assert len(sql.rows("tables", "public", "%")) == 2 + len(CASES)
    columns = sql.rows("columns", "public", "nation", "%")
    assert [row[3] for row in columns] == tpch("nation").column_names
    assert [row[4] for row in columns] == [BIGINT, VARCHAR, BIGINT, VARCHAR]
    for keys in ("keys", "imported", "exported"):
        assert sql.rows(keys, "public", "nation") == []


def test_what_the_driver_learns_of_the_server(sql: Jdbc) -> None:
    """From SqlInfo: each of these throws where the server leaves it out."""
    about = sql.ask("about")
    assert about == about | {
        "product": "Flightcache",
        "version": "0.1.0",
        "read_only": True,
        "quote": '"',
        "transactions": False,
        "group_by": True,
        "unions": True,
        "outer_joins": True,
        "statement_bytes": 1 << 20,
        "batches": False,
        "catalog": "catalog",
        "isolation": 0,
    }
    assert "sqrt" in about["numeric"]


def test_a_token(container: BlobContainer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The driver's own way to show one."""
    tokens = tmp_path_factory.mktemp("jdbc") / "tokens"
    tokens.write_text("alice alice-0123456789ab\n")
    rule = [{"principal": "alice", "datasets": ["nation"]}]
    datasets = [Dataset(name, container.url(f"{name}/")) for name in ("nation", "orders")]
    auth = {"token_file": tokens, "rule": rule}
    with (
        serving(datasets, [store(container)], auth=auth) as one,
        jdbc(one, "alice-0123456789ab") as alice,
    ):
        assert alice.rows("query", "SELECT count(*) FROM nation") == [[25]]
        assert "does not exist" in alice.error("query", "SELECT count(*) FROM orders")
