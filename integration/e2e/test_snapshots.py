"""Old snapshots: pinned by id, read by old tickets, forgotten by the node, of another schema."""

from pathlib import Path

import pyarrow as pa
import pytest

from harness.client import Client, metadata, raises_kind
from harness.node import Dataset, serving, store
from harness.stores import BlobContainer
from harness.tables import assert_same, parquet

ROWS = 2000


def table(number: int, kind: pa.DataType | None = None) -> pa.Table:
    """Return rows that tell which file they are of."""
    values = pa.array([number] * ROWS, kind or pa.int64())
    return pa.table({"n": pa.array(range(ROWS), pa.int64()), "v": values})


def stored(of: pa.Table) -> bytes:
    """Return a file too large to come along with its footer."""
    options = {"compression": "none", "use_dictionary": False, "row_group_size": ROWS // 2}
    return parquet(of, write_statistics=False, **options)


def refresh(client: Client) -> None:
    """List anew."""
    client.act("flightcache.refresh", {"dataset": "d"})


@pytest.fixture
def dataset(fresh: BlobContainer) -> Dataset:
    """A dataset of two files, listed when somebody says so."""
    for number in range(2):
        fresh.put(f"d/{number}.parquet", stored(table(number)))
    return Dataset("d", fresh.url("d/"))


def both() -> pa.Table:
    """Return what the two files hold."""
    return pa.concat_tables([table(0), table(1)])


ORIGIN = {"footer_prefetch": "4KiB"}


def test_a_pinned_snapshot_is_read_while_its_objects_exist(
    fresh: BlobContainer, dataset: Dataset
) -> None:
    """Nothing of it is cached, and newer objects do not show; without its objects it is Stale."""
    with serving([dataset], [store(fresh)], origin=ORIGIN) as node, node.client() as client:
        old = metadata(client.info("d"))["snapshot"]
        fresh.put("d/2.parquet", stored(table(2)))
        refresh(client)
        client.act("flightcache.evict", {"dataset": "d"})
        assert_same(client.read("d", snapshot=old), both())
        assert client.read("d").num_rows == 3 * ROWS
        fresh.delete("d/1.parquet")
        refresh(client)
        assert_same(client.read("d", snapshot=old), both())
        client.act("flightcache.evict", {"dataset": "d"})
        with raises_kind("Stale", "d/1.parquet"):
            client.read("d", snapshot=old)
        assert client.read("d")["v"].unique().to_pylist() == [0, 2]
        with raises_kind("Stale", "0123"):
            client.read("d", snapshot="0123")


def test_a_ticket_outlives_the_memory_of_its_snapshot(
    fresh: BlobContainer, dataset: Dataset
) -> None:
    """Many snapshots later a split is read as planned, if its own object is still there."""
    with serving([dataset], [store(fresh)], origin=ORIGIN) as node, node.client() as client:
        plan = client.info("d")
        whole = client.info("d", filter="v >= 0", limit=5 * ROWS)
        for number in range(20):
            fresh.put(f"d/more-{number}.parquet", stored(table(number)))
            refresh(client)
        assert_same(client.fetch(plan), both())
        with raises_kind("Stale", "plan again"):
            client.fetch(whole)
        with raises_kind("Stale", "plan again"):
            client.read("d", snapshot=metadata(plan)["snapshot"])
        fresh.put("d/1.parquet", stored(table(7)))
        client.act("flightcache.evict", {"dataset": "d"})
        assert_same(client.flight.do_get(plan.endpoints[0].ticket).read_all(), table(0))
        with raises_kind("Stale", "d/1.parquet"):
            client.flight.do_get(plan.endpoints[1].ticket).read_all()
        assert 7 in client.read("d")["v"].unique().to_pylist()


def test_a_ticket_outlives_its_node(fresh: BlobContainer, dataset: Dataset, tmp_path: Path) -> None:
    """Another node with the same key serves it, also when there are more objects by then."""
    (tmp_path / "key").write_bytes(b"sixteen bytes or more")
    server = {"ticket_key_file": tmp_path / "key"}
    with serving([dataset], [store(fresh)], server=server) as node, node.client() as client:
        plan = client.info("d")
    fresh.put("d/2.parquet", stored(table(2)))
    with serving([dataset], [store(fresh)], server=server) as node, node.client() as client:
        assert_same(client.fetch(plan), both())
        fresh.put("d/3.parquet", stored(table(3, pa.float64())))
        refresh(client)
    # By now a column would come as another type than was planned.
    with serving([dataset], [store(fresh)], server=server) as node, node.client() as client:
        with raises_kind("Stale", "plan again"):
            client.fetch(plan)
        assert client.read("d").schema.field("v").type == pa.float64()


def test_a_dataset_changes_its_schema(fresh: BlobContainer, dataset: Dataset) -> None:
    """Each plan has the schema of its snapshot; columns come, go, widen, or contradict."""
    with serving([dataset], [store(fresh)]) as node, node.client() as client:
        old = client.info("d")
        client.fetch(old)
        wider = table(0, pa.int32()).append_column("extra", pa.array(["x"] * ROWS))
        fresh.put("d/0.parquet", stored(wider))
        refresh(client)
        new = client.read("d")
        assert new.column_names == ["n", "v", "extra"]
        assert new["extra"].null_count == ROWS
        assert_same(client.fetch(old), both())
        for number in range(2):
            fresh.put(f"d/{number}.parquet", stored(table(number).drop_columns(["v"])))
        refresh(client)
        assert client.read("d").column_names == ["n"]
        with raises_kind("Invalid", "extra"):
            client.read("d", columns=["extra"])
        assert_same(client.fetch(old), both())
        odd = pa.table({"n": [[1], [2]]})
        fresh.put("d/1.parquet", stored(odd))
        refresh(client)
        node.allowed.append("d/1.parquet")
        with raises_kind("Data", "d/1.parquet"):
            client.read("d")
        assert_same(client.fetch(old), both())
        fresh.delete("d/1.parquet")
        refresh(client)
        assert client.read("d").num_rows == ROWS


def test_a_snapshot_is_pinned_after_many_newer_ones_and_a_restart(
    fresh: BlobContainer, dataset: Dataset, tmp_path: Path
) -> None:
    """With a cache folder its id is good for longer than memory knows it; what is left is read."""
    cache = {"dir": tmp_path / "cache", "disk": "1GiB"}
    settings = {"cache": cache, "origin": ORIGIN}
    with serving([dataset], [store(fresh)], **settings) as node, node.client() as client:
        old = metadata(client.info("d"))["snapshot"]
        # The one object is cached, and then overwritten; the other is still where it was.
        client.read("d", filter="v = 0")
        fresh.put("d/0.parquet", stored(table(7)))
        for number in range(20):
            fresh.put(f"d/more{number:02}.parquet", stored(table(9)))
            refresh(client)
        assert_same(client.read("d", snapshot=old), both())
        newer = metadata(client.info("d"))["snapshot"]
        for wrong in (newer[:-1], newer[:-1] + "g", "../snapshots", "0" * len(old)):
            with raises_kind("Stale", "d"):
                client.info("d", snapshot=wrong)
    with serving([dataset], [store(fresh)], **settings) as node, node.client() as client:
        assert_same(client.read("d", snapshot=old), both())
        assert client.read("d").num_rows == 22 * ROWS
        client.act("flightcache.evict", {"dataset": "d"})
        with raises_kind("Stale", "d/0.parquet"):
            client.read("d", snapshot=old)
