"""One read sees one snapshot: overwritten, removed and added objects, and the actions on them."""

import itertools
import time
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from pyarrow import flight

from harness.client import Client, metadata, raises_kind
from harness.node import Dataset, Node, serving, store
from harness.process import poll
from harness.proxy import proxied
from harness.stores import BlobContainer
from harness.tables import assert_same, ordered, parquet

ROWS = 30_000


def version(number: int, rows: int = ROWS) -> pa.Table:
    """Return a table of which every row tells its version."""
    return pa.table(
        {"n": pa.array(range(rows), pa.int64()), "v": pa.array([number] * rows, pa.int64())}
    )


def stored(number: int, rows: int = ROWS) -> bytes:
    """Return its file: no codec and no dictionary, so that versions have the same size."""
    options = {"compression": "none", "use_dictionary": False, "row_group_size": 5000}
    return parquet(version(number, rows), write_statistics=False, **options)


@pytest.fixture
def node(fresh: BlobContainer) -> Iterator[Node]:
    """A node that looks at `quick` anew every 300 ms, and at `slow` never."""
    for name in ("quick", "slow"):
        for part in range(2):
            fresh.put(f"{name}/{part}.parquet", stored(1))
    datasets = [Dataset("quick", fresh.url("quick/"), "300ms"), Dataset("slow", fresh.url("slow/"))]
    with serving(datasets, [store(fresh)]) as one:
        yield one


@pytest.fixture
def client(node: Node) -> Iterator[Client]:
    """A client of that node."""
    with node.client() as one:
        yield one


def versions(table: pa.Table) -> set[int]:
    """Return the versions that a read saw."""
    return set(table["v"].unique().to_pylist())


def twice(table: pa.Table) -> pa.Table:
    """Return the table as the two files hold it."""
    return pa.concat_tables([table, table])


def settle(client: Client, dataset: str, wanted: Callable[[pa.Table], bool]) -> pa.Table:
    """Read until it is as wanted; a plan that grew old in between is made again."""

    def ask() -> pa.Table | None:
        try:
            table = client.read(dataset)
        except flight.FlightInternalError as error:
            assert "aborted" in str(error)  # noqa: PT017
            return None
        return table if wanted(table) else None

    return poll("the new version", ask, 5)


def test_same_size_overwrite_is_seen_whole(fresh: BlobContainer, client: Client) -> None:
    """New bytes of the same length are a new version, seen within `revalidate_after`."""
    assert len(stored(1)) == len(stored(2))
    assert_same(client.read("quick"), twice(version(1)))
    for part in range(2):
        fresh.put(f"quick/{part}.parquet", stored(2))
    begun = time.monotonic()
    table = settle(client, "quick", lambda table: versions(table) == {2})
    assert time.monotonic() - begun < 3
    assert_same(table, twice(version(2)))


def test_no_read_mixes_versions_of_one_object(fresh: BlobContainer, client: Client) -> None:
    """Readers during overwrites get one version of each file, whole, or are told to plan again."""
    seen: set[int] = set()
    end = time.monotonic() + 2
    for number in itertools.count(2):
        if time.monotonic() > end:
            break
        fresh.put("quick/0.parquet", stored(number))
        try:
            table = client.read("quick")
        except flight.FlightInternalError as error:
            assert "aborted" in str(error)  # noqa: PT017
            continue
        first, second = table[:ROWS], table[ROWS:]
        assert len(versions(first)) == 1, "rows of two versions"
        assert first["n"].equals(second["n"])
        assert versions(second) == {1}
        seen |= versions(first)
    assert len(seen) > 2


def test_added_and_removed_objects(fresh: BlobContainer, client: Client) -> None:
    """A snapshot is a list: files come and go with it."""
    client.read("quick")
    fresh.put("quick/2.parquet", stored(3, 10))
    settle(client, "quick", lambda table: table.num_rows == 2 * ROWS + 10)
    fresh.delete("quick/0.parquet")
    table = settle(client, "quick", lambda table: table.num_rows == ROWS + 10)
    assert versions(table) == {1, 3}


def test_old_ticket_of_a_new_object_is_stale(fresh: BlobContainer, client: Client) -> None:
    """A plan that was made before an overwrite, and of which nothing is cached, fails as Stale."""
    plan = client.info("slow", columns=["v"])
    for part in range(2):
        fresh.put(f"slow/{part}.parquet", stored(2))
    with raises_kind("Stale", "slow/"):
        client.fetch(plan)
    client.act("flightcache.refresh", {"dataset": "slow"})
    assert versions(client.read("slow")) == {2}


def test_old_ticket_of_a_removed_object_is_stale(fresh: BlobContainer, client: Client) -> None:
    """So does one of an object that is gone."""
    plan = client.info("slow", columns=["v"])
    fresh.delete("slow/1.parquet")
    with raises_kind("Stale", "slow/1.parquet"):
        client.fetch(plan)
    client.act("flightcache.refresh", {"dataset": "slow"})
    assert client.read("slow").num_rows == ROWS


def test_refresh_shows_what_changed_at_once(fresh: BlobContainer, client: Client) -> None:
    """Until `revalidate_after` or a refresh, the old snapshot is what everybody reads."""
    before = metadata(client.info("slow"))["snapshot"]
    client.read("slow")
    for part in range(2):
        fresh.put(f"slow/{part}.parquet", stored(2))
    assert versions(client.read("slow")) == {1}
    (reply,) = client.act("flightcache.refresh", {"dataset": "slow"})
    assert reply["snapshot"] != before
    assert reply["objects"] == 2
    assert reply["bytes"] == 2 * len(stored(2))
    assert_same(client.read("slow"), twice(version(2)))
    assert metadata(client.info("slow"))["snapshot"] == reply["snapshot"]


def test_older_snapshot_can_be_pinned(fresh: BlobContainer, client: Client) -> None:
    """While its chunks are cached an older snapshot is read whole; after that it is Stale."""
    old = metadata(client.info("slow"))["snapshot"]
    client.read("slow")
    for part in range(2):
        fresh.put(f"slow/{part}.parquet", stored(2))
    client.act("flightcache.refresh", {"dataset": "slow"})
    assert_same(client.read("slow", snapshot=old), twice(version(1)))
    assert_same(client.read("slow"), twice(version(2)))
    client.act("flightcache.evict", {"dataset": "slow"})
    with raises_kind("Stale"):
        client.read("slow", snapshot=old)


def test_evict_empties_one_dataset(node: Node, client: Client) -> None:
    """Evicting drops a dataset's chunks and no other's; the next read fetches again."""
    client.read("slow")
    client.read("quick", columns=["v"])
    held = node.stats()["memory"]["bytes"]
    (reply,) = client.act("flightcache.evict", {"dataset": "slow"})
    assert 0 < reply["memory_bytes"] < held
    requests = node.stats()["origin"]["requests"]
    client.read("quick", columns=["v"])
    assert node.stats()["origin"]["requests"] == requests
    assert_same(client.read("slow"), twice(version(1)))
    assert node.stats()["origin"]["requests"] > requests


def test_warm_fills_what_a_read_needs(node: Node, client: Client) -> None:
    """Warming streams progress and ends in a summary; the read after it touches nothing."""
    replies = client.act("flightcache.warm", {"dataset": "slow", "columns": ["v"]})
    summary = replies[-1]["summary"]
    assert summary["fragments"] == 12
    assert summary["failures"] == []
    assert summary["bytes"] >= 2 * ROWS * 8
    assert all(reply["progress"]["of"] == 12 for reply in replies[:-1])
    requests = node.stats()["origin"]["requests"]
    assert versions(client.read("slow", columns=["v"])) == {1}
    assert node.stats()["origin"]["requests"] == requests


def test_warm_names_what_failed(fresh: BlobContainer, node: Node, client: Client) -> None:
    """A file that cannot be read is in the summary, and the others are warm."""
    client.info("slow")
    broken = bytearray(stored(1))
    broken[4:-4000] = bytes(len(broken) - 4004)
    fresh.put("quick/1.parquet", bytes(broken))
    client.act("flightcache.refresh", {"dataset": "quick"})
    node.allowed.append("quick/1.parquet")
    summary = client.act("flightcache.warm", {"dataset": "quick"})[-1]["summary"]
    assert summary["failures"], "zeroed pages were read"
    assert {failure["object"] for failure in summary["failures"]} == {"quick/1.parquet"}
    assert all(failure["error"] for failure in summary["failures"])


def test_origin_going_away_leaves_what_is_cached(fresh: BlobContainer) -> None:
    """Cached chunks are served while the store is down; a fill is Unavailable, then works again."""
    fresh.put("d/0.parquet", stored(1))
    with proxied(fresh.endpoint) as proxy:
        datasets = [Dataset("d", fresh.url("d/"))]
        with serving(datasets, [store(fresh, proxy.endpoint)]) as node, node.client() as client:
            client.read("d", columns=["n"])
            node.allowed.append("(?i)origin|unavailable|d/0.parquet")
            with proxy.down():
                assert_same(client.read("d", columns=["n"]), version(1).select(["n"]))
                with raises_kind("Unavailable", "d/0.parquet"):
                    client.read("d", columns=["v"])
            assert_same(ordered(client.read("d"), "n"), version(1))
            assert node.stats()["origin"]["errors"] > 0
