"""Stores of one node keep to themselves: what hangs in one is waited for by its readers alone."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import flight

from harness import trouble
from harness.node import Dataset, Node, serving, store
from harness.process import poll
from harness.proxy import Proxy, proxied
from harness.stores import Azurite, BlobContainer
from harness.tables import assert_same, parquet, tpch

FILES = 16
LIMIT = 4
SMALL = tpch("customer").slice(0, 100)


def numbers(part: int) -> pa.Table:
    """Return 2 MiB that no codec makes smaller: one row group, and so one fill."""
    return pa.table({"a": np.random.default_rng(part).integers(0, 2**62, 1 << 18)})


@contextmanager
def two(
    azurite: Azurite, name: str, **limits: dict[str, object]
) -> Iterator[tuple[Node, Proxy, Proxy]]:
    """Serve the same tables from two stores, and the proxies before them, with few places."""
    containers = [azurite.container(f"{name}-{one}") for one in "ab"]
    for container in containers:
        for index in range(FILES):
            data = parquet(numbers(index), compression="none", use_dictionary=False)
            container.put(f"large/{index:02}.parquet", data)
        container.put("small/0.parquet", parquet(SMALL))
    datasets = [
        Dataset(f"{table}_{one}", container.url(f"{table}/"))
        for one, container in zip("ab", containers, strict=True)
        for table in ("large", "small")
    ]
    patient = {"max_retries": 0, "stall_timeout": "60s", "request_timeout": "60s"}
    patient |= {"coalesce_gap": "0", "footer_prefetch": "4KiB"}
    origin = patient | limits.pop("origin", {})
    with proxied(containers[0].endpoint) as a, proxied(containers[1].endpoint) as b:
        options = stores(containers, [a, b])
        with serving(datasets, options, origin=origin, **limits) as node:
            yield node, a, b


def stores(containers: list[BlobContainer], proxies: list[Proxy]) -> list[object]:
    """Return the entries of the stores."""
    pairs = zip(containers, proxies, strict=True)
    return [store(container, proxy.endpoint) for container, proxy in pairs]


# Which ceiling the hung store would take whole: each is low in one case and out of reach in others.
CEILINGS: dict[str, dict[str, dict[str, object]]] = {
    "fills": {"cache": {"max_fills": LIMIT}},
    "requests": {"origin": {"max_concurrent_requests": LIMIT}},
    "memory": {"cache": {"memory": "16MiB", "headroom": "16MiB"}},
}


@pytest.mark.parametrize("ceiling", CEILINGS)
def test_a_store_that_hangs_is_its_readers_trouble_alone(azurite: Azurite, ceiling: str) -> None:
    """It takes no ceiling whole: the other store's datasets are filled, its own hits served."""
    limits = CEILINGS[ceiling] | {"server": {"queue_timeout": "15s"}}
    with (
        two(azurite, ceiling, **limits) as (node, a, _),
        node.client() as client,
        ThreadPoolExecutor(FILES) as pool,
    ):
        node.allowed.append("origin of|but|no room|all|took over")
        assert_same(client.read("small_a"), SMALL)
        info = client.info("large_a")
        with a.troubled(trouble.data(trouble.hung)):
            colds = [pool.submit(cold, node, one.ticket) for one in info.endpoints]
            poll("reads are stuck", lambda: a.hanging > 1)
            poll("and more wait", lambda: node.stats()["flight"]["streams_open"] == FILES)
            for part, one in enumerate(client.info("large_b").endpoints[:LIMIT]):
                assert_same(client.get(one.ticket), numbers(part))
            for _ in range(3):
                assert_same(client.read("small_a"), SMALL)
            assert node.stats()["flight"]["streams_open"] >= FILES, "they hung all the while"
        ended = [one.result() for one in colds]
        assert ended.count("failed") > 1
        assert client.get(info.endpoints[0].ticket).num_rows == 1 << 18


def cold(node: Node, ticket: flight.Ticket) -> str:
    """Read an endpoint of a store that hangs; what had only to wait may still be read."""
    with node.client() as client:
        try:
            assert client.get(ticket).num_rows == 1 << 18
        except (flight.FlightUnavailableError, pa.ArrowInvalid) as error:
            assert re.search("origin of|resource exhausted", str(error))  # noqa: PT017
            return "failed"
    return "read"
