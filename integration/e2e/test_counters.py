"""What the cache is for: Blob is read once, whoever asks, however often, across restarts."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pytest

from harness.cachefiles import overwrite
from harness.node import Dataset, Node, Store, serving, store
from harness.process import poll
from harness.proxy import Proxy, proxied
from harness.stores import BlobContainer
from harness.tables import assert_same, parquet, pieces, tpch

READERS = 64


@pytest.fixture(scope="module")
def proxy(container: BlobContainer) -> Iterator[Proxy]:
    """A proxy before Azurite, which holds lineitem in two files."""
    for index, data in enumerate(pieces(tpch("lineitem"), 2, 10_000)):
        container.put(f"lineitem/{index}.parquet", data)
    with proxied(container.endpoint) as one:
        yield one


@pytest.fixture(autouse=True)
def _forget(proxy: Proxy) -> None:
    """Count each test's requests alone."""
    proxy.forget()


@pytest.fixture
def lineitem(container: BlobContainer, proxy: Proxy) -> tuple[list[Dataset], list[Store]]:
    """What a node needs to serve lineitem through the proxy."""
    return [Dataset("lineitem", container.url("lineitem/"))], [store(container, proxy.endpoint)]


def disk(folder: Path) -> dict[str, object]:
    """Return a cache section with a disk tier."""
    return {"dir": folder / "cache", "disk": "1GiB"}


def settled(node: Node) -> None:
    """Wait until the disk tier, which is written off the read path, holds still."""
    last = [-1, -2]

    def still() -> bool:
        last.append(node.stats()["disk"]["bytes"])
        return last[-1] > 0 and len(set(last[-5:])) == 1

    poll("disk tier written", still)


def test_warm_read_makes_no_request(
    lineitem: tuple[list[Dataset], list[Store]], proxy: Proxy
) -> None:
    """The second read comes from memory: neither our counters nor the store see anything."""
    with serving(*lineitem) as node, node.client() as client:
        assert_same(client.read("lineitem"), tpch("lineitem"))
        cold = node.stats()
        assert cold["origin"]["requests"] == len(proxy.data()) > 0
        assert cold["origin"]["bytes"] == sum(one.bytes for one in proxy.data())
        assert cold["memory"]["misses"] > 0
        requests = len(proxy.seen)
        assert_same(client.read("lineitem"), tpch("lineitem"))
        warm = node.stats()
        assert len(proxy.seen) == requests
        assert warm["origin"] == cold["origin"]
        assert warm["memory"]["misses"] == cold["memory"]["misses"]
        assert warm["memory"]["hits"] > cold["memory"]["hits"]


def test_each_byte_is_fetched_once(
    lineitem: tuple[list[Dataset], list[Store]], proxy: Proxy
) -> None:
    """A cold read asks for no range twice, little more than is stored, always by version."""
    with serving(*lineitem) as node, node.client() as client:
        client.read("lineitem")
    assert set(proxy.ranges().values()) == {1}
    stored = sum(map(len, pieces(tpch("lineitem"), 2, 10_000)))
    assert sum(one.bytes for one in proxy.data()) < stored * 1.1
    assert all(one.if_match for one in proxy.data())


def test_columns_are_filled_apart(
    lineitem: tuple[list[Dataset], list[Store]], proxy: Proxy
) -> None:
    """Columns that are cached are not fetched again when others are wanted."""
    with serving(*lineitem, origin={"coalesce_gap": 0}) as node, node.client() as client:
        client.read("lineitem", columns=["l_tax"])
        first = sum(one.bytes for one in proxy.data())
        proxy.forget()
        client.read("lineitem", columns=["l_tax", "l_discount"])
        assert 0 < sum(one.bytes for one in proxy.data()) < first
        proxy.forget()
        assert_same(
            client.read("lineitem", columns=["l_discount", "l_tax"]),
            tpch("lineitem").select(["l_discount", "l_tax"]),
        )
        assert proxy.data() == []


def test_a_stampede_fetches_each_range_once(
    lineitem: tuple[list[Dataset], list[Store]], proxy: Proxy
) -> None:
    """64 cold readers at once fetch what one does, no byte twice, and get the same rows."""
    columns = ["l_orderkey", "l_extendedprice", "l_comment"]
    with serving(*lineitem) as node, node.client() as client:
        client.read("lineitem", columns=columns)
        alone = node.stats()["origin"]["bytes"]
    assert proxy.read_twice() == []
    proxy.forget()
    expected = tpch("lineitem").select(columns)
    with (
        serving(*lineitem) as node,
        ExitStack() as stack,
        ThreadPoolExecutor(READERS) as pool,
    ):
        clients = [stack.enter_context(node.client()) for _ in range(READERS)]
        with proxy.held():
            planning = [pool.submit(one.info, "lineitem", columns=columns) for one in clients]
            poll("a footer held back", lambda: proxy.waiting)
        plans = [one.result() for one in planning]
        with proxy.held():
            reading = [pool.submit(c.fetch, plan) for c, plan in zip(clients, plans, strict=True)]
            poll("all streams", lambda: node.stats()["flight"]["streams_open"] == READERS)
        for one in reading:
            assert_same(one.result(), expected)
        stats = node.stats()
    assert proxy.read_twice() == []
    assert stats["origin"]["bytes"] == alone
    assert stats["origin"]["requests"] == len(proxy.data())
    assert stats["memory"]["joined"] > 0


def test_restart_keeps_the_disk_tier(
    lineitem: tuple[list[Dataset], list[Store]], proxy: Proxy, tmp_path: Path
) -> None:
    """After SIGTERM and a new start, data and footers come from disk."""
    with serving(*lineitem, cache=disk(tmp_path)) as node, node.client() as client:
        client.read("lineitem")
        settled(node)
    proxy.forget()
    with serving(*lineitem, cache=disk(tmp_path)) as node, node.client() as client:
        assert_same(client.read("lineitem"), tpch("lineitem"))
        stats = node.stats()
    assert proxy.data() == []
    assert stats["origin"]["requests"] == 0
    assert stats["disk"]["hits"] > 0
    assert stats["disk"]["corrupt"] == 0


def test_kill_loses_no_byte(
    lineitem: tuple[list[Dataset], list[Store]], proxy: Proxy, tmp_path: Path
) -> None:
    """SIGKILL in the middle of a fill leaves a cache that is right, and not refetched whole."""
    exact = {"coalesce_gap": 0}
    with serving(*lineitem, cache=disk(tmp_path), origin=exact) as node, node.client() as client:
        client.read("lineitem", columns=["l_comment", "l_tax"])
        settled(node)
        kept = sum(one.bytes for one in proxy.data())
        plan = client.info("lineitem")
        stream = client.flight.do_get(plan.endpoints[0].ticket)
        stream.read_chunk()
        node.kill()
    proxy.forget()
    with serving(*lineitem, cache=disk(tmp_path), origin=exact) as node, node.client() as client:
        assert_same(client.read("lineitem"), tpch("lineitem"))
        assert node.stats()["disk"]["hits"] > 0
    stored = sum(map(len, pieces(tpch("lineitem"), 2, 10_000)))
    assert sum(one.bytes for one in proxy.data()) < stored - kept / 2


@pytest.mark.parametrize("damage", ["flip", "cut", "swap", "empty"])
def test_damaged_cache_files_are_misses(
    lineitem: tuple[list[Dataset], list[Store]], tmp_path: Path, damage: str
) -> None:
    """A bad cache file is counted, deleted and filled again; the read is right."""
    with serving(*lineitem, cache=disk(tmp_path)) as node, node.client() as client:
        client.read("lineitem")
        settled(node)
    files = sorted(
        (path for path in (tmp_path / "cache").rglob("*") if path.is_file()),
        key=lambda path: path.stat().st_size,
    )
    spoil(files, damage)
    with serving(*lineitem, cache=disk(tmp_path)) as node, node.client() as client:
        node.allowed.append("(?i)corrupt|checksum|damaged|discard|bad cache file|verif")
        assert_same(client.read("lineitem"), tpch("lineitem"))
        assert_same(client.read("lineitem"), tpch("lineitem"))
        assert node.stats()["disk"]["corrupt"] > 0


def spoil(files: list[Path], damage: str) -> None:
    """Damage the larger half of the files."""
    large = files[len(files) // 2 :]
    if damage == "swap":
        for one, other in zip(large[::2], large[1::2], strict=False):
            first, second = one.read_bytes(), other.read_bytes()
            overwrite(one, second)
            overwrite(other, first)
        return
    for path in large:
        data = bytearray(path.read_bytes())
        if damage == "flip":
            data[len(data) // 2] ^= 0x40
        overwrite(
            path, b"" if damage == "empty" else data[: len(data) // 2] if damage == "cut" else data
        )


def test_ceilings_hold(container: BlobContainer, tmp_path: Path) -> None:
    """Small tiers evict and stay below their capacity, and reads stay right."""
    table = tpch("lineitem")
    for index in range(4):
        container.put(f"more/{index}.parquet", parquet(table, row_group_size=10_000))
    cache = disk(tmp_path) | {"memory": "16MiB", "disk": "4MiB"}
    datasets = [Dataset("more", container.url("more/"))]
    with serving(datasets, [store(container)], cache=cache) as node, node.client() as client:
        for _ in range(2):
            assert_same(client.read("more"), pa.concat_tables([table] * 4))
            stats = node.stats()
            assert stats["memory"]["bytes"] <= stats["memory"]["capacity"] == 16 << 20
            assert stats["disk"]["bytes"] <= stats["disk"]["capacity"] == 4 << 20
        settled(node)
        assert node.stats()["memory"]["evictions"] > 0
        assert node.stats()["disk"]["evictions"] > 0
        files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) <= 4 << 20


def test_a_lost_cache_folder_fails_no_read(
    lineitem: tuple[list[Dataset], list[Store]], tmp_path: Path
) -> None:
    """Where cache files can no longer be written or read, reads go on and a counter says so."""
    cache = disk(tmp_path)
    with serving(*lineitem, cache=cache) as node, node.client() as client:
        client.read("lineitem", columns=["l_tax"])
        settled(node)
        shutil.rmtree(tmp_path / "cache")
        (tmp_path / "cache").write_text("in the way")
        with node.expect_log("(?i)cache"):
            assert_same(client.read("lineitem"), tpch("lineitem"))
            poll("write errors", lambda: node.stats()["disk"]["write_errors"])
        assert_same(client.read("lineitem"), tpch("lineitem"))
