"""An origin that is away for a whole minute, with the settings a node has: one minute for all."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa
import pytest
from pyarrow import flight

from harness import trouble
from harness.load import memory_of
from harness.node import Dataset, Node, serving, store
from harness.process import poll
from harness.proxy import Proxy, proxied
from harness.stores import BlobContainer
from harness.tables import assert_same, pieces, tpch

MIB = 1 << 20
AWAY_S = 60
READERS = 4
FILES = 4
RETRIES = 8
DEFAULTS = {
    "max_retries": RETRIES,
    "retry_timeout": "1m",
    "stall_timeout": "30s",
    "request_timeout": "2m",
    "footer_prefetch": "4KiB",
}
WAYS = ("drops connections", "does not answer")


@dataclass
class Minute:
    """What was seen of a node while its origin was away, and after."""

    hits: int = 0
    grown: int = 0
    requests: int = 0
    attempts: int = 0
    refused: int = 0
    answered: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def away(proxy: Proxy, way: str) -> Iterator[None]:
    """Take the origin away until the block ends."""
    how = proxy.down() if way == WAYS[0] else proxy.troubled(trouble.hung)
    with how:
        yield


def cold(node: Node, plan: flight.FlightInfo, done: threading.Event) -> int:
    """Read as a patient client does: again after a pause; return how often it was refused."""
    refused = 0
    with node.client() as client:
        while True:
            try:
                assert_same(client.fetch(plan), tpch("orders"))
            except (flight.FlightUnavailableError, pa.ArrowInvalid):
                refused += 1
                done.wait(1)
            else:
                return refused


def watch(container: BlobContainer, way: str) -> Minute:
    """Read hot and cold data for the minute, and until it is over."""
    seen, done = Minute(), threading.Event()
    datasets = [Dataset(name, container.url(f"{name}/")) for name in ("orders", "customer")]
    with (
        proxied(container.endpoint) as proxy,
        serving(datasets, [store(container, proxy.endpoint)], origin=DEFAULTS) as node,
        node.client() as client,
        ThreadPoolExecutor(READERS) as pool,
    ):
        node.allowed.append("origin of|took over")
        assert_same(client.read("customer"), tpch("customer"))
        plan = client.info("orders")
        before = node.stats()["origin"]["requests"]
        proxy.forget()
        with memory_of(node) as memory, away(proxy, way):
            end = time.monotonic() + AWAY_S
            colds = [pool.submit(cold, node, plan, done) for _ in range(READERS)]
            while time.monotonic() < end:
                assert_same(client.read("customer"), tpch("customer"))
                seen.hits += 1
            assert not any(one.done() for one in colds)
            # Those that hang are noted when they end.
            seen.attempts = max(proxy.hanging, len(proxy.data()))
            seen.requests = node.stats()["origin"]["requests"] - before
            seen.grown = memory.peak - memory.before
        poll("the cold reads within seconds", lambda: all(one.done() for one in colds), 20)
        seen.refused = sum(one.result() for one in colds)
        seen.answered = [(one.path, one.range) for one in proxy.data() if one.status == 206]
        poll("streams closed", lambda: node.stats()["flight"]["streams_open"] == 0)
    return seen


@pytest.fixture(scope="module")
def minute(container: BlobContainer) -> dict[str, Minute]:
    """The minute, which every way to be away shares."""
    for index, data in enumerate(pieces(tpch("orders"), FILES, 4000)):
        container.put(f"orders/{index}.parquet", data)
    container.put("customer/0.parquet", pieces(tpch("customer"), 1, 500)[0])
    with ThreadPoolExecutor(len(WAYS)) as pool:
        return dict(zip(WAYS, pool.map(watch, [container] * len(WAYS), WAYS), strict=True))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("way", WAYS)
def test_a_minute_without_the_origin(minute: dict[str, Minute], way: str) -> None:
    """Hits are served in flat memory, few requests are sent, and reads go on after it."""
    seen = minute[way]
    assert seen.hits > AWAY_S, seen
    assert seen.grown < 64 * MIB, seen
    # All clients together wait for one request a file, whose attempts lie ever further apart.
    assert 0 < seen.attempts <= seen.requests * (RETRIES + 1), seen
    assert seen.attempts < 6 * AWAY_S, seen
    assert len(seen.answered) == len(set(seen.answered)) >= FILES, seen
