"""What a client on the node's machine does: it maps the files that `flightcache.map` names."""

import base64
import mmap
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import flight

from harness.client import Client
from harness.process import poll

HEADER_BYTES = 64


def ask(client: Client, ticket: flight.Ticket) -> dict[str, Any]:
    """Ask where a ticket's columns lie."""
    body = {"ticket": base64.b64encode(ticket.ticket).decode()}
    return dict(client.act("flightcache.map", body)[0])


def groups(client: Client, ticket: flight.Ticket) -> list[dict[str, Any]]:
    """Ask until all is on disk, which it is a moment after it was read."""
    return list(poll("the ticket is mapped", lambda: ask(client, ticket).get("row_groups")))


def files(row_groups: list[dict[str, Any]]) -> list[Path]:
    """Return the files of an answer."""
    return [Path(file["path"]) for group in row_groups for file in group["columns"]]


def opened(file: dict[str, Any]) -> pa.ipc.RecordBatchStreamReader:
    """Map a file, compare it with what was told of it, and open the column in it."""
    with Path(file["path"]).open("rb") as source:
        mapped = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
    assert len(mapped) == file["bytes"]
    assert mapped[:8] == b"FLTCACHE"
    assert mapped[8:24].hex() == file["checksum"]
    (key_bytes,) = struct.unpack_from("<I", mapped, 28)
    payload = -(-(HEADER_BYTES + key_bytes) // 64) * 64
    return pa.ipc.open_stream(pa.py_buffer(mapped).slice(payload))


def table(readers: list[list[pa.ipc.RecordBatchStreamReader]]) -> pa.Table:
    """Put the columns of each row group side by side."""
    whole = []
    for columns in readers:
        tables = [reader.read_all() for reader in columns]
        fields = [one.schema.field(0) for one in tables]
        whole.append(pa.table([one.column(0) for one in tables], schema=pa.schema(fields)))
    return pa.concat_tables(whole)


def read(row_groups: list[dict[str, Any]]) -> pa.Table:
    """Read what an answer names."""
    return table([[opened(file) for file in group["columns"]] for group in row_groups])
