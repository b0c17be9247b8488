"""SQL as clients speak it: ADBC, and Flight SQL's own messages where ADBC hides something."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest
from adbc_driver_flightsql import DatabaseOptions, dbapi
from adbc_driver_manager import Error
from pyarrow import flight

from harness.client import Client
from harness.node import Node

# How ADBC names the gRPC codes of the error kinds.
CODES = {
    "Invalid": "InvalidArgument",
    "NotFound": "NotFound",
    "Denied": "PermissionDenied",
    "Unauthenticated": "Unauthenticated",
    "Stale": "Aborted",
    "Exhausted": "ResourceExhausted",
    "Data": "DataLoss",
}
TYPES = "type.googleapis.com/arrow.flight.protocol.sql."


def connect(node: Node, token: str | None = None) -> dbapi.Connection:
    """Connect by ADBC."""
    header = DatabaseOptions.AUTHORIZATION_HEADER.value
    options = {header: f"Bearer {token}"} if token else {}
    return dbapi.connect(node.flight, options, autocommit=True)


def ask(connection: dbapi.Connection, sql: str, values: Sequence[Any] | None = None) -> pa.Table:
    """Run a statement, with values for its parameters, and fetch all rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetch_arrow_table()


def rows(connection: dbapi.Connection, sql: str, values: Sequence[Any] | None = None) -> list[Any]:
    """As `ask`, as tuples."""
    return [tuple(row.values()) for row in ask(connection, sql, values).to_pylist()]


@contextmanager
def raises_sql(kind: str, *words: str) -> Iterator[None]:
    """Expect an error of that kind from ADBC whose message has all `words`."""
    with pytest.raises(Error) as caught:
        yield
    for word in (f"({CODES[kind]};", *words):
        assert word in str(caught.value), f"{word!r} is not in: {caught.value}"


def message(name: str, *fields: tuple[int, bytes | str | int]) -> bytes:
    """Write a message of Flight SQL, wrapped as its commands and actions are."""
    return proto((1, TYPES + name), (2, proto(*fields)))


def proto(*fields: tuple[int, bytes | str | int]) -> bytes:
    """Write a protobuf message of numbers, strings and bytes."""
    written = b""
    for number, value in fields:
        if isinstance(value, int):
            written += varint(number << 3) + varint(value)
            continue
        data = value.encode() if isinstance(value, str) else value
        written += varint(number << 3 | 2) + varint(len(data)) + data
    return written


def varint(value: int) -> bytes:
    """Write a number as protobuf does."""
    written = b""
    while value > 0x7F:
        written += bytes([value & 0x7F | 0x80])
        value >>= 7
    return written + bytes([value])


def unproto(data: bytes) -> dict[int, bytes | int]:
    """Read a protobuf message of numbers, strings and bytes."""
    fields: dict[int, bytes | int] = {}
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = number()
        value: bytes | int = number()
        if key & 7 == 2:
            value, at = data[at : at + int(value)], at + int(value)
        fields[key >> 3] = value
    return fields


def plan(client: Client, sql: str) -> flight.FlightInfo:
    """Plan a statement, as a Flight SQL client does."""
    return info(client, "CommandStatementQuery", (1, sql))


def info(client: Client, name: str, *fields: tuple[int, bytes | str | int]) -> flight.FlightInfo:
    """Plan a command of Flight SQL."""
    descriptor = flight.FlightDescriptor.for_command(message(name, *fields))
    return client.flight.get_flight_info(descriptor, client.options)


def act(client: Client, action: str, body: bytes) -> list[bytes]:
    """Carry out one of Flight's or Flight SQL's own actions."""
    results = client.flight.do_action(flight.Action(action, body), client.options)
    return [result.body.to_pybytes() for result in results]


def prepare(client: Client, sql: str) -> bytes:
    """Prepare a statement; return its handle."""
    body = message("ActionCreatePreparedStatementRequest", (1, sql))
    (answer,) = act(client, "CreatePreparedStatement", body)
    return bytes(unproto(bytes(unproto(answer)[2]))[1])


def bind(client: Client, handle: bytes, values: pa.RecordBatch) -> bytes:
    """Bind values to a prepared statement; return its new handle."""
    command = message("CommandPreparedStatementQuery", (1, handle))
    descriptor = flight.FlightDescriptor.for_command(command)
    writer, reader = client.flight.do_put(descriptor, values.schema, client.options)
    writer.write_batch(values)
    writer.done_writing()
    answer = reader.read()
    writer.close()
    return bytes(unproto(answer.to_pybytes())[1])
