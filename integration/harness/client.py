"""What a Python user does with plain `pyarrow.flight`."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import pyarrow as pa
import pytest
from pyarrow import flight

# How pyarrow tells the gRPC codes of the error kinds apart: an exception, or words in its text.
KINDS: dict[str, tuple[type[Exception], str]] = {
    "Invalid": (pa.ArrowInvalid, "invalid argument error"),
    "NotFound": (KeyError, ""),
    "Denied": (flight.FlightUnauthorizedError, ""),
    "Unauthenticated": (flight.FlightUnauthenticatedError, ""),
    "Stale": (flight.FlightInternalError, "aborted error"),
    "Exhausted": (pa.ArrowInvalid, "resource exhausted error"),
    "Unavailable": (flight.FlightUnavailableError, ""),
    "Data": (flight.FlightInternalError, "data loss error"),
}


@contextmanager
def raises_kind(kind: str, *words: str) -> Iterator[pytest.ExceptionInfo[Exception]]:
    """Expect an error of that kind, on one line, whose message has all `words`."""
    exception, text = KINDS[kind]
    with pytest.raises(exception) as caught:
        yield caught
    said = message(caught.value)
    for word in (text, *words):
        assert word in said, f"{word!r} is not in: {said}"
    assert len(said) < 2000, said
    assert "\n" not in said, said


def message(error: BaseException) -> str:
    """Return what the server said, without what gRPC's client adds."""
    text = str(error.args[0] if error.args else error)
    return re.split(r"\. (?:gRPC client debug context|Client context|Detail)", text, maxsplit=1)[0]


class Client:
    """A connection; JSON in and tables out."""

    def __init__(self, url: str, token: str | None = None, **tls: Any) -> None:
        """Connect when first used; `token` goes with every call, `tls` is pyarrow's options."""
        self.flight = flight.connect(url, **tls)
        headers = [(b"authorization", f"Bearer {token}".encode())] if token is not None else []
        self.options = flight.FlightCallOptions(headers=headers)

    def __enter__(self) -> Self:
        """Keep the connection for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.flight.close()

    def info(self, dataset: str | None = None, **command: Any) -> flight.FlightInfo:
        """Plan a scan: by PATH if there is nothing but a name, else by CMD."""
        if dataset and not command:
            descriptor = flight.FlightDescriptor.for_path(dataset)
        else:
            descriptor = descriptor_for(dataset, **command)
        return self.flight.get_flight_info(descriptor, self.options)

    def read(self, dataset: str | None = None, **command: Any) -> pa.Table:
        """Read all endpoints of a scan, in their order."""
        return self.fetch(self.info(dataset, **command))

    def fetch(self, info: flight.FlightInfo) -> pa.Table:
        """Read all endpoints of a plan, in their order."""
        tables = [self.get(one.ticket) for one in info.endpoints]
        for table in tables:
            assert table.schema.equals(info.schema), (table.schema, info.schema)
        return pa.concat_tables(tables) if tables else info.schema.empty_table()

    def get(self, ticket: flight.Ticket) -> pa.Table:
        """Read one endpoint."""
        return self.flight.do_get(ticket, self.options).read_all()

    def names(self) -> list[str]:
        """Return the datasets that it may read."""
        listed = self.flight.list_flights(options=self.options)
        return [info.descriptor.path[0].decode() for info in listed]

    def act(self, action: str, body: Any = None, *, raw: bytes | None = None) -> list[Any]:
        """Carry out an action and return its JSON answers."""
        payload = json.dumps(body or {}).encode() if raw is None else raw
        results = self.flight.do_action(flight.Action(action, payload), self.options)
        return [json.loads(result.body.to_pybytes()) for result in results]

    def stats(self) -> dict[str, Any]:
        """Return the node's figures."""
        return dict(self.act("flightcache.stats")[0])


def descriptor_for(dataset: str | None = None, **command: Any) -> flight.FlightDescriptor:
    """Return a CMD descriptor."""
    named = {"dataset": dataset} if dataset else {}
    return flight.FlightDescriptor.for_command(json.dumps(named | command).encode())


def metadata(of: Any) -> Any:
    """Return the JSON in somebody's `app_metadata`."""
    raw = of.app_metadata
    return json.loads(raw if isinstance(raw, bytes) else raw.to_pybytes())
