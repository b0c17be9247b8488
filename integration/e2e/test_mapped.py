"""Columns that a client on the node's machine maps instead of having them streamed."""

import base64
import datetime as dt
import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import flight

from harness import mapped
from harness.cachefiles import flipped, overwrite
from harness.client import Client, raises_kind
from harness.node import Dataset, Node, serving
from harness.process import poll

ALICE, BOB = "alice-0123456789ab", "bob-0123456789abcd"
ROWS, GROUP = 200_000, 150_000


def columns(rows: int) -> pa.Table:
    """Return a table with each kind of layout, and nulls in most."""
    some = [i if i % 7 else None for i in range(rows)]
    words = [None if i is None else f"row {i}" for i in some]
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "word": pa.array(words),
            "kind": pa.array(
                ["even" if i % 2 == 0 else "odd" for i in range(rows)]
            ).dictionary_encode(),
            "flag": pa.array([None if i is None else i % 3 == 0 for i in some]),
            "price": pa.array(
                [decimal.Decimal(i % 1000) for i in range(rows)], pa.decimal128(9, 2)
            ),
            "day": pa.array([dt.date(2020, 1, 1 + i % 28) for i in range(rows)]),
            "pair": pa.array([[i, i + 1] for i in range(rows)]),
            "both": pa.array([{"a": i, "b": word} for i, word in zip(some, words, strict=True)]),
        }
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Datasets: `plain`, of one file of two row groups, and `folders`, of files that differ."""
    data = tmp_path_factory.mktemp("mapped")
    for name in ("plain", "folders/year=1", "folders/year=2"):
        (data / name).mkdir(parents=True)
    pq.write_table(columns(ROWS), data / "plain/0.parquet", row_group_size=GROUP)
    pq.write_table(pa.table({"a": pa.array([1], pa.int32())}), data / "folders/year=1/0.parquet")
    pq.write_table(
        pa.table({"a": pa.array([2], pa.int64()), "b": [3]}), data / "folders/year=2/0.parquet"
    )
    return data


def start(data: Path, cache: Path, **sections: Any) -> Any:
    """Run a node over both."""
    datasets = [Dataset(name, f"{(data / name).as_uri()}/") for name in ("plain", "folders")]
    return serving(datasets, cache={"memory": "1GiB", "dir": cache, "disk": "1GiB"}, **sections)


@pytest.fixture(scope="module")
def node(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that has read the plain dataset."""
    with start(data, tmp_path_factory.mktemp("cache")) as node, node.client() as client:
        client.read("plain")
        yield node


@pytest.fixture
def client(node: Node) -> Iterator[Client]:
    """A client of that node."""
    with node.client() as client:
        yield client


def ticket(client: Client, dataset: str = "plain", **command: Any) -> flight.Ticket:
    """Return the first ticket of a scan."""
    return client.info(dataset, **command).endpoints[0].ticket


def test_files_hold_what_streams_give(client: Client) -> None:
    """Value for value and type for type, with the columns in the scan's order."""
    asked = ["both", "id", "kind", "word", "pair", "flag", "price", "day"]
    one = ticket(client, columns=asked)
    groups = mapped.groups(client, one)
    assert [(group["row_group"], group["first_row"], group["rows"]) for group in groups] == [
        (0, 0, GROUP),
        (1, GROUP, ROWS - GROUP),
    ]
    assert mapped.read(groups).equals(client.get(one))


@pytest.mark.parametrize("hint", ["prune", "prefilter"])
def test_pruned_row_groups_are_left_out(client: Client, hint: str) -> None:
    """Hints drop row groups from both answers; no row of a file need be left out for one."""
    one = ticket(client, columns=["id"], **{hint: f"id >= {GROUP} AND id % 50 = 0"})
    groups = mapped.groups(client, one)
    assert [group["row_group"] for group in groups] == [1]
    whole = mapped.read(groups)
    assert whole["id"].to_pylist() == list(range(GROUP, ROWS))
    assert client.get(one).num_rows == (ROWS - GROUP if hint == "prune" else 1000)


@pytest.mark.parametrize(
    ("dataset", "command"),
    [
        ("plain", {"filter": "id > 5"}),
        ("plain", {"limit": 10}),
        ("plain", {"filter": "id > 5", "limit": 10}),
        ("plain", {"columns": []}),
        ("folders", {}),
        ("folders", {"columns": ["year"]}),
        ("folders", {"columns": ["a"]}),
        ("folders", {"columns": ["b"]}),
    ],
)
def test_what_is_computed_is_streamed(
    client: Client, dataset: str, command: dict[str, Any]
) -> None:
    """Filters, limits, folders' values, missing columns and widened types are in no file."""
    client.read(dataset, **command)
    answer = mapped.ask(client, ticket(client, dataset, **command))
    assert set(answer) == {"streamed"}
    assert answer["streamed"]


def test_what_is_not_on_disk_is_streamed(data: Path, tmp_path: Path) -> None:
    """Neither what nobody has read yet, nor anything of a node without a folder."""
    with start(data, tmp_path / "cache") as node, node.client() as client:
        one = ticket(client)
        assert "on disk" in mapped.ask(client, one)["streamed"]
        client.get(one)
        assert mapped.groups(client, one)
    plain = Dataset("plain", f"{(data / 'plain').as_uri()}/")
    with serving([plain]) as node, node.client() as client:
        client.read("plain")
        assert "no cache folder" in mapped.ask(client, ticket(client))["streamed"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", ["ticket"]),
        (b'{"ticket": "?"}', ["base64"]),
        (b'{"ticket": 1}', ["string"]),
        (b'{"ticket": "", "path": "/etc"}', ["path"]),
        (b'{"ticket": ""}', ["GetFlightInfo"]),
        (b'{"ticket": "AQID"}', ["GetFlightInfo"]),
    ],
)
def test_bad_tickets(client: Client, body: bytes, words: list[str]) -> None:
    """Whatever no node has sealed is refused as `DoGet` refuses it."""
    with raises_kind("Invalid", *words):
        client.act("flightcache.map", raw=body)


def test_tickets_of_sql_are_streamed(client: Client) -> None:
    """A query has tickets of its own."""
    body = {"ticket": base64.b64encode(b"\2 anything").decode()}
    assert "query" in client.act("flightcache.map", body)[0]["streamed"]


def test_only_who_may_read_is_told(data: Path, tmp_path: Path) -> None:
    """As with `DoGet`: whose ticket it is, and nobody else; to be allowed to read is enough."""
    (tmp_path / "tokens").write_text(f"alice {ALICE}\nbob {BOB}\n")
    rules = [{"principal": "alice", "datasets": ["plain"]}]
    rules += [{"principal": "bob", "datasets": ["folders"], "actions": True}]
    auth = {"token_file": tmp_path / "tokens", "rule": rules}
    server = {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "ticket_ttl": "1m"}
    with (
        start(data, tmp_path / "cache", auth=auth, server=server) as node,
        node.client(ALICE) as alice,
        node.client(BOB) as bob,
        node.client() as nobody,
    ):
        one = ticket(alice)
        alice.get(one)
        assert mapped.groups(alice, one)
        with raises_kind("Denied", "somebody else"):
            mapped.ask(bob, one)
        with pytest.raises(flight.FlightUnauthenticatedError):
            mapped.ask(nobody, one)


def test_versions_that_are_gone_are_stale(tmp_path: Path) -> None:
    """The ticket of an object that was overwritten gives no names, though its files are there."""
    folder = tmp_path / "data"
    folder.mkdir()
    pq.write_table(columns(1000), folder / "0.parquet")
    cache = {"memory": "1GiB", "dir": tmp_path / "cache", "disk": "1GiB"}
    datasets = [Dataset("one", f"{folder.as_uri()}/", revalidate_after="0s")]
    server = {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"}
    server |= {"ticket_key_file": tmp_path / "key"}
    (tmp_path / "key").write_text("0123456789abcdef\n")
    with serving(datasets, cache=cache, server=server) as node, node.client() as client:
        one = ticket(client, "one")
        client.get(one)
        assert mapped.groups(client, one)
    pq.write_table(columns(1001), folder / "0.parquet")
    for path in (tmp_path / "cache" / "snapshots").glob("*"):
        path.unlink()
    with serving(datasets, cache=cache, server=server) as node, node.client() as client:
        with raises_kind("Stale"):
            mapped.ask(client, one)
        with raises_kind("Stale"):
            client.get(one)


def test_a_damaged_file_is_not_handed_out(data: Path, tmp_path: Path) -> None:
    """It is counted and removed, and the next read writes it anew."""
    cache = tmp_path / "cache"
    with start(data, cache) as node, node.client() as client:
        one = ticket(client, columns=["id", "word"])
        expected = client.get(one)
        groups = mapped.groups(client, one)
    victim = mapped.files(groups)[1]
    overwrite(victim, flipped(victim.read_bytes()))
    with start(data, cache) as node, node.client() as client:
        one = ticket(client, columns=["id", "word"])
        assert "on disk" in mapped.ask(client, one)["streamed"]
        assert node.stats()["disk"]["corrupt"] == 1
        assert not victim.exists()
        assert client.get(one).equals(expected)
        assert mapped.read(mapped.groups(client, one)).equals(expected)


def test_mapped_files_outlive_eviction_and_the_node(data: Path, tmp_path: Path) -> None:
    """Files leave by unlink alone, so whoever has mapped one reads on, also after `kill -9`."""
    with start(data, tmp_path / "cache") as node, node.client() as client:
        one = ticket(client, columns=["id", "word", "kind"])
        expected = client.get(one)
        groups = mapped.groups(client, one)
        readers = [[mapped.opened(file) for file in group["columns"]] for group in groups]
        before = node.stats()["disk"]
        assert client.act("flightcache.evict", {"dataset": "plain"})[0]["disk_bytes"] > 0
        poll("the files are gone", lambda: not any(f.exists() for f in mapped.files(groups)))
        client.read("plain")
        node.kill()
        assert mapped.table(readers).equals(expected)
        assert before["leases"] >= len(mapped.files(groups))
