"""An origin in trouble: right rows or a clean error in time, hits meanwhile, and no storm."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from pyarrow import flight

from harness import trouble
from harness.client import Client, raises_kind
from harness.node import Dataset, Node, serving, store
from harness.process import poll
from harness.proxy import Proxy, Trouble, proxied
from harness.stores import BlobContainer
from harness.tables import assert_same, pieces, tpch

RETRIES = 6
FILES = 4
# What the log says of an origin in trouble.
EXPECTED = "origin of|took over|but|got .* of .* bytes"


@pytest.fixture(scope="module")
def proxy(container: BlobContainer) -> Iterator[Proxy]:
    """A proxy before Azurite, which holds orders in four files and customer in one."""
    for index, data in enumerate(pieces(tpch("orders"), FILES, 500)):
        container.put(f"orders/{index}.parquet", data)
    container.put("customer/0.parquet", pieces(tpch("customer"), 1, 500)[0])
    with proxied(container.endpoint) as one:
        yield one


@contextmanager
def node(container: BlobContainer, proxy: Proxy, **origin: Any) -> Iterator[Node]:
    """Serve both tables through the proxy, each range read by itself."""
    limits = {"max_retries": RETRIES, "retry_timeout": "20s", "stall_timeout": "2s"}
    limits |= {"request_timeout": "4s", "coalesce_gap": "0", "coalesce_max": "64KiB"}
    datasets = [Dataset(name, container.url(f"{name}/")) for name in ("orders", "customer")]
    options = [store(container, proxy.endpoint)]
    proxy.forget()
    with serving(datasets, options, origin=limits | {"footer_prefetch": "4KiB"} | origin) as one:
        yield one


FLAKY: dict[str, Trouble] = {
    "latency and jitter": trouble.data(trouble.delayed(0.0, 0.08, 0.01, 0.04)),
    "10 % 503": trouble.every(10, trouble.answered(503)),
    "5 % 429": trouble.every(20, trouble.answered(429, retry_after="1")),
    "resets before an answer": trouble.data(trouble.every(5, trouble.reset_before)),
    "resets within bodies": trouble.data(trouble.every(4, trouble.reset_within)),
    "bodies cut short": trouble.data(trouble.every(4, trouble.cut)),
    "each range fails once": trouble.data(trouble.first_of_each(trouble.answered(500))),
    "everything": trouble.one_of(
        trouble.data(trouble.delayed(0.0, 0.02)),
        trouble.every(10, trouble.answered(503)),
        trouble.every(11, trouble.answered(429, retry_after="1")),
        trouble.data(trouble.every(7, trouble.reset_within)),
        trouble.data(trouble.every(9, trouble.reset_before)),
    ),
}


@pytest.mark.parametrize("name", FLAKY)
def test_flaky_origin_gives_every_row(container: BlobContainer, proxy: Proxy, name: str) -> None:
    """Retries hide it: right rows, no more attempts than allowed, and throttling is counted."""
    with node(container, proxy) as one, one.client() as client, proxy.troubled(FLAKY[name]):
        assert_same(client.read("orders"), tpch("orders"))
        origin = one.stats()["origin"]
        assert origin["errors"] == 0
        assert origin["throttled"] == sum(seen.status in {429, 503} for seen in proxy.seen)
        # Every data read of the node was at most so many requests, and most were one.
        attempts = len(proxy.data())
        assert origin["requests"] <= attempts <= 2.5 * origin["requests"]
        assert max(proxy.ranges().values()) <= RETRIES + 1
        assert_same(client.read("orders"), tpch("orders"))
        assert len(proxy.data()) == attempts


def test_retry_after_is_honoured(container: BlobContainer, proxy: Proxy) -> None:
    """After a 429 nobody asks the store again before the time it gave; then the scan goes on."""
    pause_s = 2
    throttle = trouble.data(trouble.first(1, trouble.answered(429, retry_after=str(pause_s))))
    with node(container, proxy) as one, one.client() as client, proxy.troubled(throttle):
        client.info("orders")
        proxy.forget()
    with node(container, proxy) as one, one.client() as client:
        info = client.info("orders")
        proxy.forget()
        throttle = trouble.data(trouble.first(1, trouble.answered(429, retry_after=str(pause_s))))
        with proxy.troubled(throttle):
            assert_same(client.fetch(info), tpch("orders"))
        turned_away = next(seen.at for seen in proxy.seen if seen.status == 429)
        after = [seen.at - turned_away for seen in proxy.seen if seen.at > turned_away]
        # What was under way at that moment still arrives.
        early = [wait for wait in after if wait < 0.9 * pause_s]
        assert all(wait < 0.5 for wait in early), early
        assert len(after) > len(early)
        assert one.stats()["origin"]["throttled"] == 1


def test_throttled_for_good(container: BlobContainer, proxy: Proxy) -> None:
    """A store that only says 503 is asked as often as configured, and is then Unavailable."""
    with node(container, proxy, max_retries=2) as one, one.client() as client:
        one.allowed.append(EXPECTED)
        info = client.info("orders")
        proxy.forget()
        with (
            proxy.troubled(trouble.answered(503, retry_after="1")),
            raises_kind("Unavailable", "503"),
        ):
            client.fetch(info)
        assert set(proxy.ranges().values()) <= {1, 2, 3}
        assert_same(client.read("orders"), tpch("orders"))


class Elsewhere(HTTPServer):
    """A server that answers everything and remembers what it was asked."""

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), Anything)
        self.asked: list[str] = []


class Anything(BaseHTTPRequestHandler):
    """Answers 200."""

    server: Elsewhere

    def do_GET(self) -> None:
        """Remember the request."""
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write no access log."""


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_refused(container: BlobContainer, proxy: Proxy, status: int) -> None:
    """Neither listings nor reads go where a store points; the error says so, once."""
    with Elsewhere() as elsewhere, node(container, proxy) as one, one.client() as client:
        threading.Thread(target=elsewhere.serve_forever, args=(0.05,), daemon=True).start()
        one.allowed.append("redirects are not followed")
        there = f"http://127.0.0.1:{elsewhere.server_port}/bait"
        with proxy.troubled(trouble.answered(status, location=there)):
            with raises_kind("Unavailable", "orders", "redirects are not followed"):
                client.info("orders")
            assert len(proxy.seen) == 1
        info = client.info("orders")
        with (
            proxy.troubled(trouble.data(trouble.answered(status, location=there))),
            raises_kind("Unavailable", "orders/", "redirects are not followed"),
        ):
            client.fetch(info)
        elsewhere.shutdown()
        assert elsewhere.asked == []
        recovered(client, info)


WRONG: dict[str, Trouble] = {
    "bodies that are short": trouble.short,
    "bodies that are long": trouble.overlong,
    "another range": trouble.other_range,
    "no range": trouble.no_range,
    "status 200": trouble.answered(200),
    "the rest from elsewhere": trouble.resumed_elsewhere(),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers_are_no_rows(container: BlobContainer, proxy: Proxy, name: str) -> None:
    """Answers that are not what was asked for end in a clean error, and nothing of them is kept."""
    with node(container, proxy) as one, one.client() as client:
        one.allowed.append(EXPECTED)
        info = client.info("orders")
        with (
            proxy.troubled(trouble.data(WRONG[name])),
            raises_kind("Unavailable", "orders/"),
        ):
            client.fetch(info)
        recovered(client, info)


STUCK: dict[str, Trouble] = {
    "hangs": trouble.data(trouble.hung),
    "1 kB/s": trouble.data(trouble.trickled(1000)),
}


@pytest.mark.parametrize("name", STUCK)
def test_stuck_origin(container: BlobContainer, proxy: Proxy, name: str) -> None:
    """Cold reads are Unavailable in time, hits are served all the while, and it all recovers."""
    limits = {"max_retries": 1, "retry_timeout": "1s", "request_timeout": "4s"}
    with node(container, proxy, **limits) as one, one.client() as client:
        one.allowed.append(EXPECTED)
        assert_same(client.read("customer"), tpch("customer"))
        info = client.info("orders")
        before = one.rss()
        with ThreadPoolExecutor(8) as pool, proxy.troubled(STUCK[name]):
            colds = [pool.submit(client.fetch, info) for _ in range(8)]
            poll("a read is stuck", lambda: proxy.hanging)
            hits = 0
            while not all(cold.done() for cold in colds):
                assert_same(client.read("customer"), tpch("customer"))
                hits += 1
            for cold in colds:
                with raises_kind("Unavailable", "orders/"):
                    cold.result()
            assert hits > 5
            assert max(proxy.ranges().values()) <= 2
        assert one.rss() - before < 64 << 20
        recovered(client, info)
        assert one.stats()["flight"]["streams_open"] == 0


def test_cut_during_a_scan(container: BlobContainer, proxy: Proxy) -> None:
    """An origin that is gone for seconds delays a scan and breaks nothing."""
    patient = {"max_retries": 30}
    with (
        node(container, proxy, **patient) as one,
        one.client() as client,
        ThreadPoolExecutor(4) as pool,
    ):
        info = client.info("orders")
        slow = trouble.data(trouble.delayed(0.03))
        with proxy.troubled(slow):
            scans = [pool.submit(client.fetch, info) for _ in range(4)]
            poll("the scan is under way", lambda: len(proxy.data()) > FILES + 8)
        with proxy.down():
            since = time.monotonic()
            poll("requests dropped for seconds", lambda: proxy.seen[-1].at - since > 2.5)
        for scan in scans:
            assert_same(scan.result(), tpch("orders"))
        assert max(proxy.ranges().values()) <= 31
        assert one.stats()["origin"]["errors"] == 0


def test_readers_that_leave_a_hung_origin_give_their_places_back(
    container: BlobContainer, proxy: Proxy
) -> None:
    """A read that is over its deadline frees its stream at once, though the fill goes on."""
    limits = {"stall_timeout": "30s", "request_timeout": "30s", "retry_timeout": "0s"}
    with (
        node(container, proxy, **limits) as one,
        one.client() as client,
        ThreadPoolExecutor(20) as pool,
    ):
        one.allowed.append(EXPECTED)
        assert_same(client.read("customer"), tpch("customer"))
        info = client.info("orders")
        ticket = info.endpoints[0].ticket
        with proxy.troubled(trouble.data(trouble.hung)):
            options = flight.FlightCallOptions(timeout=1)
            calls = [pool.submit(client.flight.do_get, ticket, options) for _ in range(20)]
            poll("streams open", lambda: one.stats()["flight"]["streams_open"] == 20)
            for call in calls:
                with pytest.raises(flight.FlightTimedOutError):
                    call.result()
            poll("streams closed", lambda: one.stats()["flight"]["streams_open"] == 0)
            assert_same(client.read("customer"), tpch("customer"))
            hung = Counter(proxy.ranges())
            assert set(hung.values()) <= {1}, "one request a range, however many ask"
        recovered(client, info)


def recovered(client: Client, info: flight.FlightInfo) -> None:
    """Read until the fills that were in trouble have failed, which takes seconds at most."""

    def read() -> bool:
        try:
            assert_same(client.fetch(info), tpch("orders"))
        except flight.FlightUnavailableError:
            return False
        return True

    poll("right rows after the trouble", read, 10)
