"""Bad requests get the right kind and one clear line; the node answers a good one after each."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import flight

from harness.client import Client, descriptor_for, raises_kind
from harness.node import Dataset, serving, store
from harness.process import poll
from harness.stores import BlobContainer
from harness.tables import parquet

TABLE = pa.table({"l_orderkey": range(5), "l_price": [0.5] * 5, "l_name": list("abcde")})


@pytest.fixture(scope="module")
def client(container: BlobContainer) -> Iterator[Client]:
    """A client of a node with one good dataset and tickets that expire soon."""
    container.put("d/0.parquet", parquet(TABLE))
    server = {"ticket_ttl": "1s"}
    datasets = [Dataset("orders", container.url("d/"))]
    with serving(datasets, [store(container)], server=server) as node, node.client() as one:
        yield one


@pytest.fixture(autouse=True)
def _lives_on(client: Client) -> Iterator[None]:
    """Read well after each bad request."""
    yield
    assert client.read("orders").equals(TABLE)


def ask(client: Client, raw: bytes) -> flight.FlightInfo:
    """Plan by a CMD of those bytes."""
    return client.flight.get_flight_info(flight.FlightDescriptor.for_command(raw))


@pytest.mark.parametrize(
    ("command", "kind", "words"),
    [
        ({"dataset": "order"}, "NotFound", ["order", "orders"]),
        ({"dataset": ""}, "Invalid", ["dataset"]),
        ({"dataset": "../etc/passwd"}, "NotFound", []),
        ({"dataset": "orders", "colums": ["x"]}, "Invalid", ["colums", "columns"]),
        ({"dataset": "orders", "url": "az://x/y"}, "Invalid", ["dataset", "url"]),
        ({}, "Invalid", ["dataset"]),
        ({"dataset": "orders", "columns": "l_price"}, "Invalid", ["l_price"]),
        ({"dataset": "orders", "columns": [1]}, "Invalid", ["1"]),
        ({"dataset": "orders", "limit": -1}, "Invalid", ["-1"]),
        ({"dataset": "orders", "limit": 1.5}, "Invalid", ["1.5"]),
        ({"dataset": "orders", "limit": "many"}, "Invalid", ["many"]),
        ({"dataset": "orders", "columns": ["l_orderkye"]}, "Invalid", ["l_orderkye", "l_orderkey"]),
        ({"dataset": "orders", "columns": ["L_PRICE"]}, "Invalid", ["L_PRICE", "l_price"]),
        ({"dataset": "orders", "filter": "l_prise > 1"}, "Invalid", ["l_prise", "l_price"]),
        ({"dataset": "orders", "filter": "l_price >"}, "Invalid", ["filter"]),
        ({"dataset": "orders", "filter": "l_price > 1 1"}, "Invalid", ["Column: 13"]),
        ({"dataset": "orders", "filter": ""}, "Invalid", ["filter"]),
        ({"dataset": "orders", "filter": "l_price + 1"}, "Invalid", ["filter"]),
        ({"dataset": "orders", "filter": "l_price AND true"}, "Invalid", ["Float64"]),
        ({"dataset": "orders", "filter": "l_name + 1 > 2"}, "Invalid", ["Utf8"]),
        (
            {"dataset": "orders", "filter": "l_orderkey = 'x' AND nope(l_price)"},
            "Invalid",
            ["nope"],
        ),
        ({"dataset": "orders", "filter": "sum(l_price) > 1"}, "Invalid", []),
        ({"dataset": "orders", "filter": "l_price > (SELECT 1)"}, "Invalid", []),
        ({"dataset": "orders", "filter": "EXISTS (SELECT * FROM orders)"}, "Invalid", []),
        ({"dataset": "orders", "filter": "true; DROP TABLE orders"}, "Invalid", []),
        ({"dataset": "orders", "prune": "l_prise > 1"}, "Invalid", ["l_prise"]),
        ({"dataset": "orders", "prefilter": "l_prise > 1"}, "Invalid", ["prefilter", "l_prise"]),
        ({"dataset": "orders", "prefilter": "true", "limit": 1}, "Invalid", ["prefilter"]),
        ({"dataset": "orders", "row_groups": [0]}, "Invalid", ["row_groups", "url"]),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else None,
)
def test_bad_command(client: Client, command: dict[str, Any], kind: str, words: list[str]) -> None:
    """The message names what is wrong, by GetFlightInfo and by GetSchema."""
    with raises_kind(kind, *words):
        client.info(**command)
    with raises_kind(kind, *words):
        client.flight.get_schema(descriptor_for(**command))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"orders"',
        b"\xff\xfe\x00",
        b'{"dataset": "orders"} trailing',
        b'{"dataset": "orders", "dataset": "orders"}',
        b'{"dataset": "orders", "filter": "' + b"(" * 100_000 + b'"}',
        b'{"dataset": "orders", "filter": "' + b"NOT " * 50_000 + b'true"}',
        b'{"dataset": "orders", "filter": "true' + b" OR true" * 50_000 + b'"}',
        b'{"dataset": "orders", "filter": "repeat(l_name, 1000000000) = l_name"}',
        b'{"dataset": "orders", "columns": [' + b"[" * 100_000,
        b'{"dataset": "' + b"x" * 2_000_000 + b'"}',
        b'{"dataset": "orders", "columns": [' + b'"l_price",' * 90_000 + b'"nope"]}',
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_bad_bytes(client: Client, raw: bytes) -> None:
    """JSON that is cut, nested, huge or none at all is Invalid and quickly so."""
    with raises_kind("Invalid"):
        ask(client, raw)


@pytest.mark.parametrize(
    "text",
    ["l_name > DATE '2020-01-01'", "CAST(l_name AS INT) > 1", "l_orderkey / (l_orderkey - 2) > 1"],
)
def test_filter_that_fails_on_a_row(client: Client, text: str) -> None:
    """Values that an expression cannot take are the request's fault, not the data's or ours."""
    with raises_kind("Invalid"):
        client.read("orders", filter=text)


def test_bad_paths(client: Client) -> None:
    """A PATH is one dataset."""
    with raises_kind("NotFound", "nope"):
        client.info("nope")
    for path in ([], ["orders", "x"]):
        with raises_kind("Invalid"):
            client.flight.get_flight_info(flight.FlightDescriptor.for_path(*path))


def forgeries(ticket: bytes) -> Iterator[bytes]:
    """Return tickets that nobody issued."""
    yield b""
    yield b"\0"
    yield b"{}"
    yield os.urandom(len(ticket))
    yield ticket + b"\0"
    for cut in (1, 16, len(ticket) // 2):
        yield ticket[:-cut]
        yield ticket[cut:]
    for at in range(0, len(ticket), max(len(ticket) // 40, 1)):
        yield ticket[:at] + bytes([ticket[at] ^ 1]) + ticket[at + 1 :]


def test_forged_and_cut_tickets(client: Client) -> None:
    """A ticket with any bit changed is refused, without a word on what the right one is."""
    ticket = client.info("orders").endpoints[0].ticket.ticket
    for forged in forgeries(ticket):
        with pytest.raises((pa.ArrowInvalid, flight.FlightUnauthorizedError), match="ticket"):
            client.flight.do_get(flight.Ticket(forged)).read_all()


def test_expired_ticket(client: Client) -> None:
    """A ticket past its time is Stale: plan again."""
    ticket = client.info("orders").endpoints[0].ticket

    def expired() -> bool:
        try:
            client.flight.do_get(ticket).read_all()
        except flight.FlightInternalError as error:
            assert "expired" in str(error)  # noqa: PT017
            return True
        return False

    poll("expiry", expired, 5)
    with raises_kind("Stale", "expired"):
        client.flight.do_get(ticket).read_all()


@pytest.mark.parametrize(
    ("action", "raw", "kind", "words"),
    [
        ("flightcache.wram", b"{}", "Invalid", ["flightcache.wram", "flightcache.warm"]),
        ("", b"", "Invalid", []),
        ("DropEverything", b"\xff", "Invalid", ["DropEverything"]),
        ("flightcache.evict", b"", "Invalid", ["dataset"]),
        ("flightcache.evict", b'{"dataset": "nope"}', "NotFound", ["nope"]),
        ("flightcache.refresh", b'{"dataset": 1}', "Invalid", ["column 13"]),
        ("flightcache.warm", b'{"dataset": "orders", "x": 1}', "Invalid", ["x"]),
        ("flightcache.warm", b'{"dataset": "orders", "columns": ["q"]}', "Invalid", ["q"]),
        ("flightcache.warm", b'{"dataset": "orders", "filter": "q >"}', "Invalid", ["filter"]),
        ("flightcache.stats", b'{"x": 1}', "Invalid", ["x"]),
        ("flightcache.stats", b"[" * 100_000, "Invalid", []),
    ],
)
def test_bad_action(client: Client, action: str, raw: bytes, kind: str, words: list[str]) -> None:
    """Unknown actions and bad bodies are errors, never a panic."""
    with raises_kind(kind, *words):
        client.act(action, raw=raw)


def test_actions_are_listed(client: Client) -> None:
    """ListActions names what DoAction knows."""
    names = {action.type for action in client.flight.list_actions()}
    wanted = {f"flightcache.{name}" for name in ("warm", "refresh", "evict", "map", "stats")}
    assert wanted <= names


def test_writing_is_not_offered(client: Client) -> None:
    """DoPut is not implemented, and says so."""
    descriptor = flight.FlightDescriptor.for_path("orders")

    def write() -> None:
        writer, _ = client.flight.do_put(descriptor, TABLE.schema)
        writer.write_table(TABLE)
        writer.done_writing()
        writer.close()

    with pytest.raises(NotImplementedError, match="read-only"):
        write()
