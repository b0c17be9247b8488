"""SQL that must not do what it says: refused by every route, bounded, and alone in its failure."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import flight

from harness.client import Client, raises_kind
from harness.load import memory_of, numbers, put_numbers
from harness.node import Dataset, Node, serving
from harness.process import poll
from harness.sql import (
    act,
    ask,
    bind,
    connect,
    info,
    message,
    plan,
    prepare,
    proto,
    raises_sql,
    rows,
    unproto,
)

SECRET = "s3cr3t-in-a-file"
MIB = 1 << 20
MEMORY_MIB, SQL_MIB = 64, 64
# What README promises.
CEILING = (MEMORY_MIB * 5 // 4 + SQL_MIB + 256) * MIB
FILES, ROWS = 4, 1 << 18


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbers that are served, and files beside them that are not."""
    folder = tmp_path_factory.mktemp("hostile")
    put_numbers(folder / "numbers", FILES, ROWS, 1 << 16)
    planted = folder / "planted"
    planted.mkdir()
    (planted / "secret.csv").write_text(f"a\n{SECRET}\n")
    (planted / "secret.json").write_text(f'{{"a": "{SECRET}"}}\n')
    pq.write_table(pa.table({"a": [SECRET]}), planted / "secret.parquet")
    return folder


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Node]:
    """A node with little memory and nothing to spill to."""
    datasets = [Dataset("numbers", f"file://{folder}/numbers/")]
    cache = {"memory": f"{MEMORY_MIB}MiB"}
    limits = {"memory": f"{SQL_MIB}MiB", "timeout": "20s"}
    with serving(datasets, cache=cache, sql=limits) as one:
        yield one


@pytest.fixture
def sql(node: Node) -> Iterator[adbc.Connection]:
    """A connection to it."""
    with connect(node) as one:
        yield one


def figure(node: Node, name: str) -> int:
    """Ask for one of the node's figures, in SQL."""
    with connect(node) as one:
        return int(
            rows(one, "SELECT value FROM flightcache.metrics WHERE metric = ?", [name])[0][0]
        )


def at_rest(node: Node) -> None:
    """Wait until no query runs but the one that asks, and none holds memory."""
    poll("queries ended", lambda: figure(node, "sql.queries_running") == 1)
    poll("memory given back", lambda: figure(node, "sql.memory_bytes") == 0)


def refused(folder: Path) -> list[str]:
    """Return statements that write, configure, or name something that is no dataset."""
    planted = folder / "planted"
    return [
        f"CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{planted}/secret.csv'",
        f"CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'file://{planted}/secret.parquet'",
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "CREATE SCHEMA s",
        "CREATE DATABASE d",
        "CREATE FUNCTION f(INT) RETURNS INT RETURN $1",
        "DROP TABLE numbers",
        "INSERT INTO numbers VALUES (1, 1, 1, 1)",
        "UPDATE numbers SET a = 1",
        "DELETE FROM numbers",
        "TRUNCATE TABLE numbers",
        "ALTER TABLE numbers ADD COLUMN z INT",
        f"COPY numbers TO '{planted}/out.csv'",
        f"COPY (SELECT 1) TO '{planted}/out.parquet' STORED AS PARQUET",
        "SET datafusion.execution.batch_size = 1",
        "RESET datafusion.execution.batch_size",
        "SHOW ALL",
        "SHOW datafusion.execution.batch_size",
        "BEGIN",
        "COMMIT",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "SELECT * FROM information_schema.df_settings",
        "WITH a AS (SELECT 1) INSERT INTO numbers SELECT * FROM a",
        "SELECT * INTO t FROM numbers",
        f"LOAD DATA INPATH '{planted}/secret.csv' INTO TABLE numbers",
    ]


def unknown(folder: Path) -> list[str]:
    """Return queries of what is no dataset."""
    planted = folder / "planted"
    names = [
        f"'{planted}/secret.csv'",
        f'"{planted}/secret.csv"',
        f'"{planted}/secret.parquet"',
        f'"file://{planted}/secret.parquet"',
        f'"{planted}"',
        f"read_csv('{planted}/secret.csv')",
        f"read_parquet('{planted}/secret.parquet')",
        f"read_json('{planted}/secret.json')",
        f"parquet_metadata('{planted}/secret.parquet')",
        f"csv('{planted}/secret.csv')",
        '"../planted/secret.parquet"',
        'public."numbers/../../planted/secret.parquet"',
        f'datafusion.public."{planted}/secret.csv"',
    ]
    return [f"SELECT * FROM {name}" for name in names]


# The ways in which a statement reaches the server.
def execute(node: Node, statement: str) -> object:
    """As a statement."""
    with node.client() as client:
        return client.fetch(plan(client, statement))


def prepared(node: Node, statement: str) -> object:
    """As a prepared statement."""
    with node.client() as client:
        handle = prepare(client, statement)
        return client.fetch(info(client, "CommandPreparedStatementQuery", (1, handle)))


def schema(node: Node, statement: str) -> object:
    """Asking for its schema alone."""
    command = message("CommandStatementQuery", (1, statement))
    with node.client() as client:
        return client.flight.get_schema(flight.FlightDescriptor.for_command(command))


def explained(node: Node, statement: str) -> object:
    """Explained."""
    return execute(node, f"EXPLAIN {statement}")


def analyzed(node: Node, statement: str) -> object:
    """Explained as it runs."""
    return execute(node, f"EXPLAIN ANALYZE VERBOSE {statement}")


def hidden(node: Node, statement: str) -> object:
    """After something harmless."""
    return execute(node, f"SELECT 1; {statement}")


def nested(node: Node, statement: str) -> object:
    """As a table."""
    return execute(node, f"WITH x AS ({statement}) SELECT * FROM x")


def put(node: Node, statement: str) -> object:
    """As an update."""
    command = message("CommandStatementUpdate", (1, statement))
    with node.client() as client:
        descriptor = flight.FlightDescriptor.for_command(command)
        writer, reader = client.flight.do_put(descriptor, pa.schema([]))
        writer.done_writing()
        answer = reader.read()
        writer.close()
        return answer


ROUTES = [execute, prepared, schema, explained, analyzed, hidden, nested, put]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.__name__)
def test_what_writes_configures_or_reaches_a_file_is_refused(
    node: Node, folder: Path, route: Callable[[Node, str], object]
) -> None:
    """By every route, without a trace in any file and without a word of any file."""
    before = contents(folder)
    plain = route in {execute, prepared, schema}
    for statement in [*refused(folder), *unknown(folder)]:
        with pytest.raises((flight.FlightError, pa.ArrowException, KeyError, OSError)) as caught:
            route(node, statement)
        assert SECRET not in str(caught.value), statement
        assert "internal" not in str(caught.value).lower(), statement
        if plain and statement in refused(folder):
            text = str(caught.value).lower()
            denied = "unauthorized" in text
            # What does not even parse is no statement.
            assert denied or "invalid argument" in text, statement
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, bytes]:
    """Read every file."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_ingesting_and_plans_of_others_are_refused(node: Node) -> None:
    """Commands that would write, and those that are not understood."""
    with node.client() as client:
        handle = prepare(client, "SELECT ?")
        for name, fields, kind in [
            ("CommandStatementIngest", [(2, "t")], "Denied"),
            ("CommandPreparedStatementUpdate", [(1, handle)], "Denied"),
            ("CommandStatementUpdate", [(1, "SELECT 1")], "Denied"),
            ("CommandStatementSubstraitPlan", [(1, proto((1, b"x")))], "Invalid"),
        ]:
            with raises_kind(kind):
                info(client, name, *fields)
            descriptor = flight.FlightDescriptor.for_command(message(name, *fields))
            with raises_kind("Denied"):
                writer, reader = client.flight.do_put(descriptor, pa.schema([]))
                writer.done_writing()
                reader.read()
                writer.close()
        with raises_kind("Invalid", "transactions"):
            info(client, "CommandStatementQuery", (1, "SELECT 1"), (2, b"t1"))
        for action in ["BeginTransaction", "BeginSavepoint", "CreatePreparedSubstraitPlan"]:
            with raises_kind("Invalid", action):
                act(client, action, b"")
        for action in ["CreatePreparedStatement", "ClosePreparedStatement", "CancelQuery"]:
            for body in [b"", b"\xff" * 50, message("ActionEndTransactionRequest", (1, b"x"))]:
                with raises_kind("Invalid", action):
                    act(client, action, body)


PATTERNS = [
    "' OR '1' = '1",
    "'; DROP TABLE numbers; --",
    "\\",
    "[",
    "(a+)+$",
    "_%" * 400,
    "\0",
    "ü",
]
MATCHING = ["%", "numb%", "_umbers", "%" * 1000]


@pytest.mark.parametrize("pattern", PATTERNS + MATCHING)
def test_patterns_of_metadata_are_patterns(node: Node, pattern: str) -> None:
    """They match, or they do not; nothing else comes of them."""
    with node.client() as client:
        answer = client.fetch(info(client, "CommandGetTables", (3, pattern)))
        names = answer["table_name"].to_pylist()
        assert ("numbers" in names) == (pattern in MATCHING), names
        client.fetch(info(client, "CommandGetDbSchemas", (2, pattern)))
        with raises_kind("Invalid", "pattern"):
            info(client, "CommandGetTables", (3, pattern * 2000))


GREEDY = {
    "a long value": "SELECT repeat('a', 1000000000)",
    "long values": "SELECT repeat('a', row) FROM numbers",
    "a long list": "SELECT array_repeat(1, 1000000000)",
    "a long series": "SELECT count(DISTINCT value) FROM generate_series(1, 1000000000000)",
    "a series as a value": "SELECT generate_series(1, 1000000000000)",
    "padding": "SELECT lpad('a', 2000000000)",
    "doubling": (
        "SELECT * FROM " + "(SELECT concat(s, s) AS s FROM " * 40 + "(SELECT 'a' AS s)" + ")" * 40
    ),
    "a cross join": "SELECT count(DISTINCT x.row * 7 + y.row) FROM numbers x, numbers y",
    "a large group": "SELECT row, array_agg(a) FROM numbers GROUP BY row ORDER BY 2 LIMIT 1",
    "a large sort": "SELECT * FROM numbers ORDER BY b DESC, a, c",
    "windows": (
        "SELECT sum(a) OVER (ORDER BY c, row DESC ROWS BETWEEN UNBOUNDED PRECEDING "
        "AND UNBOUNDED FOLLOWING) FROM numbers, generate_series(1, 50)"
    ),
    "deep nesting": "SELECT " + "(" * 20000 + "1" + ")" * 20000,
    "nested queries": "SELECT * FROM " + "(SELECT * FROM " * 3000 + "numbers" + ")" * 3000,
    "a long sum": "SELECT " + "1 + " * 100000 + "1",
    "a huge list": f"SELECT * FROM numbers WHERE row IN ({','.join(map(str, range(300_000)))})",
    "a long text": "SELECT '" + "x" * (3 << 20) + "'",
    "recursion": (
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    ),
    "unnesting": (
        "SELECT count(DISTINCT v) FROM (SELECT unnest(range(0, 100000)) + row AS v FROM numbers)"
    ),
}


@pytest.mark.parametrize("name", GREEDY)
def test_what_asks_for_too_much_fails_alone(node: Node, name: str) -> None:
    """As Exhausted or Invalid, within the memory that README states, beside a scan that goes on."""
    with node.client() as beside, memory_of(node) as memory, ThreadPoolExecutor(1) as pool:
        failing = pool.submit(failure, node, GREEDY[name])
        scans = 0
        while not failing.done() or scans == 0:
            assert beside.read("numbers", columns=["row"]).num_rows == FILES * ROWS
            scans += 1
        text = failing.result()
        assert "resource exhausted" in text or "invalid argument" in text, text
    assert memory.peak < CEILING, f"{memory.peak / MIB:.0f} MiB"
    at_rest(node)


def failure(node: Node, statement: str) -> str:
    """Run a statement, taking what it gives batch by batch; return how it failed."""
    with node.client() as client:
        try:
            for endpoint in plan(client, statement).endpoints:
                for _ in client.flight.do_get(endpoint.ticket):
                    pass
        except pa.ArrowException as error:
            return str(error)
    return "it did not fail"


def test_a_query_over_its_time_is_ended(folder: Path) -> None:
    """Also while it makes no row, and its memory comes back."""
    datasets = [Dataset("numbers", f"file://{folder}/numbers/")]
    with serving(datasets, sql={"timeout": "1s"}) as one, connect(one) as connection:
        with raises_sql("Exhausted", "longer than 1 s", "[sql] timeout"):
            ask(connection, "SELECT count(*) FROM numbers x, numbers y WHERE x.row * y.row = -7")
        at_rest(one)


def test_a_cancelled_query_stops_and_gives_its_memory_back(node: Node) -> None:
    """By CancelFlightInfo and CancelQuery; its other endpoints are refused."""
    query = "SELECT count(*) FROM numbers x, numbers y WHERE x.row < 100000 AND x.row * y.row = -7"
    for action, body, cancelled in [
        ("CancelFlightInfo", lambda sent: proto((1, sent)), {1: 1}),
        ("CancelQuery", lambda sent: message("ActionCancelQueryRequest", (1, sent)), {1: 1}),
    ]:
        with node.client() as client, ThreadPoolExecutor(1) as pool:
            planned = plan(client, query)
            reading = pool.submit(client.get, planned.endpoints[0].ticket)
            poll("it runs", lambda: running(node, query) == 1)
            poll("it holds memory", lambda: figure(node, "sql.memory_bytes") > 0)
            (answer,) = act(client, action, body(planned.serialize()))
            said = unproto(answer)
            assert (unproto(bytes(said[2])) if action == "CancelQuery" else said) == cancelled
            with raises_kind("Invalid", "cancelled"):
                reading.result(20)
            with raises_kind("Invalid", "cancelled"):
                client.get(planned.endpoints[0].ticket)
            poll("it stopped", lambda: running(node, query) == 0)
            at_rest(node)
            # Scans are nothing that can be cancelled.
            scan = client.info("numbers")
            assert unproto(act(client, "CancelFlightInfo", proto((1, scan.serialize())))[0])[1] == 3


def running(node: Node, query: str) -> int:
    """Count the reads of a query that run."""
    with connect(node) as one:
        counted = "SELECT count(*) FROM flightcache.queries WHERE sql = ? AND state = 'running'"
        return int(rows(one, counted, [query])[0][0])


def test_a_client_that_goes_away_ends_its_query(node: Node) -> None:
    """Dropping the stream is enough."""
    query = "SELECT x.row FROM numbers x, numbers y"
    with node.client() as client:
        stream = client.flight.do_get(plan(client, query).endpoints[0].ticket)
        stream.read_chunk()
        assert running(node, query) == 1
        stream.cancel()
    poll("it stopped", lambda: running(node, query) == 0)
    at_rest(node)


def test_places_for_queries_are_limited(folder: Path) -> None:
    """Who finds none waits for the queue timeout, and is told when to come back."""
    datasets = [Dataset("numbers", f"file://{folder}/numbers/")]
    server = {"queue_timeout": "500ms"}
    with serving(datasets, sql={"max_queries": 1}, server=server) as one, one.client() as client:
        endless = plan(client, "SELECT x.row FROM numbers x, numbers y")
        stream = client.flight.do_get(endless.endpoints[0].ticket)
        stream.read_chunk()
        with raises_kind("Exhausted", "1 queries run already") as caught:
            client.fetch(plan(client, "SELECT count(*) FROM numbers"))
        assert isinstance(caught.value, pa.ArrowInvalid)
        assert client.read("numbers", columns=["a"]).num_rows == FILES * ROWS
        stream.cancel()
        poll("a place is free", lambda: answers(client))


def answers(client: Client) -> bool:
    """Whether a query finds a place."""
    try:
        return client.fetch(plan(client, "SELECT 1")).num_rows == 1
    except pa.ArrowException:
        return False


def test_what_does_not_fit_is_spilled_within_bounds(folder: Path, tmp_path: Path) -> None:
    """A sort of more than its memory is right, leaves nothing behind, and has an end."""
    datasets = [Dataset("numbers", f"file://{folder}/numbers/")]
    spill = tmp_path / "spill"
    (spill / "datafusion-old").mkdir(parents=True)
    query = "SELECT * FROM numbers ORDER BY b DESC, row DESC"
    limits = {"memory": "24MiB", "query_memory": "24MiB", "partitions": 1, "spill_dir": spill}
    with serving(datasets, sql=limits) as one:
        assert not (spill / "datafusion-old").exists()
        with connect(one) as connection:
            table = ask(connection, query)
            assert table.equals(
                numbers(FILES * ROWS).take(pa.array(range(FILES * ROWS - 1, -1, -1)))
            )
        at_rest(one)
        assert figure(one, "sql.spilled_bytes") == 0
        assert not [path for path in spill.rglob("*") if path.is_file()]
    with serving(datasets, sql=limits | {"spill": "1MiB"}) as one, connect(one) as connection:
        with raises_sql("Exhausted"):
            ask(connection, query)
        at_rest(one)
    limits.pop("spill_dir")
    with serving(datasets, sql=limits) as one, connect(one) as connection:
        with raises_sql("Exhausted"):
            ask(connection, query)
        at_rest(one)
        assert rows(connection, "SELECT count(*) FROM numbers") == [(FILES * ROWS,)]


def test_hostile_values_of_parameters(node: Node) -> None:
    """What is no Arrow, or too much of it, is refused, and the node goes on."""
    with node.client() as client:
        handle = prepare(client, "SELECT ?")
        for values in [
            pa.record_batch({"$1": [None]}, pa.schema([("$1", pa.null())])),
            pa.record_batch({"$1": [[1, 2]]}),
            pa.record_batch({"$1": [{"a": 1}]}),
        ]:
            bound = bind(client, handle, values)
            client.fetch(info(client, "CommandPreparedStatementQuery", (1, bound)))
        with raises_kind("Invalid"):
            bind(client, b"no handle", pa.record_batch({"$1": [1]}))
        with raises_kind("Invalid", "bytes"):
            bind(client, handle, pa.record_batch({"$1": [os.urandom(2 << 20)]}))
        with raises_kind("Invalid", "bytes"):
            bind(client, handle, pa.record_batch({"$1": [os.urandom(8 << 20)]}))
        assert client.fetch(plan(client, "SELECT 1")).num_rows == 1
