"""Origins without strong ETags: read through, never cached, still right."""

import time

import pyarrow as pa
import pytest
from pyarrow import flight

from harness.client import raises_kind
from harness.node import Dataset, serving
from harness.tables import assert_same, parquet
from harness.web import Etags, web

ROWS = 40_000


def version(number: int) -> pa.Table:
    """Return a table of which every row tells its version."""
    values = pa.array([number] * ROWS, pa.int64())
    return pa.table({"n": pa.array(range(ROWS), pa.int64()), "v": values})


def stored(number: int) -> bytes:
    """Return its file, too large to be read whole, and of one size."""
    options = {"compression": "none", "use_dictionary": False, "row_group_size": ROWS // 4}
    return parquet(version(number), write_statistics=False, **options)


def settle(client: object, number: int) -> None:
    """Read until nothing is stale, which one read after a change may be."""
    for _ in range(3):
        try:
            table = client.read("d")
        except flight.FlightInternalError as error:
            assert "aborted error" in str(error)  # noqa: PT017
            continue
        assert_same(table, version(number))
        return
    raise AssertionError("still stale")


@pytest.mark.parametrize("etags", ["none", "weak"])
def test_without_strong_etags_nothing_is_cached(etags: Etags, tmp_path: object) -> None:
    """Every read goes to the origin, in memory and on disk nothing is left, rows are right."""
    cache = {"dir": f"{tmp_path}/cache", "disk": "1GiB"}
    with web(etags) as server:
        server.put("d.parquet", stored(1), 1_000_000)
        datasets = [Dataset("d", server.url("d.parquet"), "0s")]
        with serving(datasets, cache=cache) as node, node.client() as client:
            assert_same(client.read("d"), version(1))
            first = server.reads
            assert_same(client.read("d"), version(1))
            assert server.reads > first
            stats = node.stats()
            assert stats["memory"]["hits"] == stats["memory"]["bytes"] == 0
            assert stats["disk"]["bytes"] == 0
            server.put("d.parquet", stored(2), 1_000_001)
            settle(client, 2)


def test_with_strong_etags_it_is(tmp_path: object) -> None:
    """Guard the test above: the same server with strong ETags is asked once."""
    cache = {"dir": f"{tmp_path}/cache", "disk": "1GiB"}
    with web("strong") as server:
        server.put("d.parquet", stored(1), 1_000_000)
        datasets = [Dataset("d", server.url("d.parquet"))]
        with serving(datasets, cache=cache) as node, node.client() as client:
            client.read("d")
            reads = server.reads
            assert_same(client.read("d"), version(1))
            assert server.reads == reads


@pytest.mark.parametrize("etags", ["none", "weak", "strong"])
def test_a_plan_of_what_was_replaced_is_stale(etags: Etags) -> None:
    """Even where versions are told apart by their date alone, a plan's split is of one of them."""
    with web(etags) as server:
        server.put("d.parquet", stored(1), 1_000_000)
        datasets = [Dataset("d", server.url("d.parquet"))]
        with serving(datasets) as node, node.client() as client:
            plan = client.info("d")
            server.put("d.parquet", stored(2), 1_000_060)
            with raises_kind("Stale", "d.parquet"):
                client.fetch(plan)
            settle(client, 2)


@pytest.mark.parametrize("etags", ["none", "weak"])
def test_no_read_mixes_versions(etags: Etags) -> None:
    """A file that is replaced all the while: one version, whole, or `Stale`."""
    with web(etags) as server:
        server.put("d.parquet", stored(1), 1_000_000)
        datasets = [Dataset("d", server.url("d.parquet"), "0s")]
        seen: set[int] = set()
        with serving(datasets) as node, node.client() as client:
            end = time.monotonic() + 3
            number = 1
            while time.monotonic() < end:
                plan = client.info("d")
                stream = client.flight.do_get(plan.endpoints[0].ticket)
                number += 1
                server.put("d.parquet", stored(number), 1_000_000 + number)
                try:
                    table = stream.read_all()
                except flight.FlightInternalError as error:
                    assert "aborted error" in str(error)  # noqa: PT017
                    continue
                versions = table["v"].unique().to_pylist()
                assert len(versions) == 1, versions
                seen.update(versions)
        assert number > 5
