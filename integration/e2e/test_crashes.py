"""SIGKILL in the middle of fills, and every cache file damaged in turn: never a wrong value."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from harness.cachefiles import DAMAGES, chunks, damage, leftovers
from harness.node import Dataset, Node, Store, serving, store
from harness.process import poll
from harness.proxy import Proxy, proxied
from harness.stores import BlobContainer
from harness.tables import assert_same, pieces, tpch

KILLS = 50
PARTS = 3


def table() -> pa.Table:
    """Return what the dataset holds: every kind of column, nine row groups."""
    return tpch("orders").slice(0, 9000)


@pytest.fixture(scope="module")
def proxy(container: BlobContainer) -> Iterator[Proxy]:
    """A proxy before Azurite, which holds the dataset."""
    for index, data in enumerate(pieces(table(), PARTS, 1000)):
        container.put(f"d/{index}.parquet", data)
    with proxied(container.endpoint) as one:
        yield one


@pytest.fixture
def parts(container: BlobContainer, proxy: Proxy) -> tuple[list[Dataset], list[Store]]:
    """What a node needs to serve the dataset through the proxy, one request a column."""
    return [Dataset("d", container.url("d/"))], [store(container, proxy.endpoint)]


def settings(folder: Path) -> dict[str, object]:
    """Return sections that let a fill take many requests and files."""
    cache = {"dir": folder / "cache", "disk": "1GiB"}
    return {"cache": cache, "origin": {"coalesce_gap": 0, "footer_prefetch": "4KiB"}}


def fill_and_kill(node: Node, folder: Path, proxy: Proxy, chance: random.Random) -> None:
    """Read all columns, and kill at some request or some file of the way."""
    proxy.forget()
    before = len(chunks(folder))
    requests, files = chance.randrange(1, 60), before + chance.randrange(60)
    by_files = chance.random() < 0.5

    def reached() -> bool:
        return len(chunks(folder)) > files if by_files else len(proxy.seen) >= requests

    with ThreadPoolExecutor(1) as pool, node.client() as client:
        reading = pool.submit(client.read, "d")
        # A fill that ends first is killed while it is written behind, or after.
        poll("a moment to kill", lambda: reached() or reading.done())
        node.kill()
        with suppress(pa.ArrowException):
            assert_same(reading.result(), table())


@pytest.mark.timeout(300)
def test_kill_at_any_moment(
    parts: tuple[list[Dataset], list[Store]], proxy: Proxy, tmp_path: Path
) -> None:
    """Fifty kills: what is left is whole, and is all that a later start finds."""
    chance = random.Random(42)
    folder = tmp_path / "cache"
    for _ in range(KILLS):
        with serving(*parts, **settings(tmp_path)) as node:
            assert leftovers(folder) == []
            fill_and_kill(node, folder, proxy, chance)
        left = chunks(folder)
        for path in chance.sample(left, len(left) * 2 // 3):
            path.unlink()
    with serving(*parts, **settings(tmp_path)) as node, node.client() as client:
        assert leftovers(folder) == []
        assert_same(client.read("d"), table())
        stats = node.stats()["disk"]
        assert stats["corrupt"] == 0
        assert stats["hits"] > 0
    with serving(*parts, **settings(tmp_path)) as node, node.client() as client:
        client.info("d")
        proxy.forget()
        assert_same(client.read("d"), table())
        assert proxy.data() == []


def test_every_file_damaged_in_turn(
    parts: tuple[list[Dataset], list[Store]], tmp_path: Path
) -> None:
    """Each file gets each damage: right rows, counted, gone, and filled anew as it was."""
    folder = tmp_path / "cache"
    with serving(*parts, **settings(tmp_path)) as node, node.client() as client:
        assert_same(client.read("d"), table())
    good = {path: path.read_bytes() for path in chunks(folder)}
    assert len(good) >= 9 * table().num_columns
    for turn in range(len(DAMAGES)):
        damaged = damage(list(good), turn)
        with serving(*parts, **settings(tmp_path)) as node, node.client() as client:
            assert_same(client.read("d"), table())
            assert node.stats()["disk"]["corrupt"] == len(damaged), turn
            assert node.stats()["disk"]["hits"] == 0
        again = {path: path.read_bytes() for path in chunks(folder)}
        assert again.keys() == good.keys(), turn
        for path, data in good.items():
            assert again[path] == data, f"{path} after damage {turn}"
