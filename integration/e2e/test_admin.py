"""Health, metrics, and shutting down without cutting anybody off."""

import re
import signal
import socket
from collections.abc import Iterator

import pyarrow as pa
import pytest
from pyarrow import flight

from harness.client import raises_kind
from harness.node import Dataset, Node, serving, store
from harness.process import poll
from harness.proxy import proxied
from harness.stores import BlobContainer
from harness.tables import assert_same, parquet, pieces, tpch

BIG = 3_000_000


@pytest.fixture(scope="module")
def node(container: BlobContainer) -> Iterator[Node]:
    """A node with lineitem."""
    for index, data in enumerate(pieces(tpch("lineitem"), 2, 10_000)):
        container.put(f"lineitem/{index}.parquet", data)
    with serving([Dataset("lineitem", container.url("lineitem/"))], [store(container)]) as one:
        yield one


def samples(text: str) -> dict[str, float]:
    """Parse the plain samples of Prometheus text."""
    found = re.findall(r"^(flightcache_\w+)(\{[^}]*\})? (\S+)$", text, re.MULTILINE)
    return {name + labels: float(value) for name, labels, value in found}


def test_health(node: Node) -> None:
    """/livez and /readyz answer 200; what is not there is 404."""
    assert node.get("/livez")[0] == 200
    assert node.get("/readyz")[0] == 200
    assert node.get("/nope")[0] == 404


def test_metrics_equal_stats(node: Node) -> None:
    """Every figure of `flightcache.stats` stands at /metrics with the same value."""
    with node.client() as client:
        client.read("lineitem")
        client.read("lineitem")
    stats = node.stats()
    metrics = samples(node.get("/metrics")[1])
    for section, figures in stats.items():
        for name, value in figures.items():
            base = f"flightcache_{section}_{name}"
            pattern = re.compile(rf"{base}(_bytes)?(_total)?(\{{.*)?$")
            same = [metrics[one] for one in metrics if pattern.match(one)]
            assert same, f"{base} is not at /metrics"
            if (section, name) != ("flight", "bytes"):
                assert sum(same) == value, base


def test_metrics_have_help_types_and_latencies(node: Node) -> None:
    """Every family has HELP and TYPE; histograms of latency end in their unit."""
    with node.client() as client:
        client.read("lineitem")
    text = node.get("/metrics")[1]
    families = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE))
    assert set(re.findall(r"^# HELP (\S+) ", text, re.MULTILINE)) == set(families)
    assert all(name.startswith("flightcache_") for name in families)
    histograms = [name for name, kind in families.items() if kind == "histogram"]
    assert histograms
    assert all(name.endswith(("_seconds", "_bytes")) for name in histograms)


def test_admin_answers_while_the_origin_hangs(container: BlobContainer) -> None:
    """Readers that wait for Blob do not hold up health and metrics."""
    with proxied(container.endpoint) as proxy, proxy.held() as release:
        datasets = [Dataset("lineitem", container.url("lineitem/"))]
        with serving(datasets, [store(container, proxy.endpoint)]) as one, one.client() as client:
            descriptor = flight.FlightDescriptor.for_path("lineitem")
            options = flight.FlightCallOptions(timeout=1)
            with pytest.raises((flight.FlightTimedOutError, flight.FlightCancelledError)):
                client.flight.get_flight_info(descriptor, options)
            assert one.get("/livez")[0] == 200
            assert "flightcache_" in one.get("/metrics")[1]
            release.set()
            assert_same(client.read("lineitem"), tpch("lineitem"))


@pytest.fixture
def big(fresh: BlobContainer) -> pa.Table:
    """A table whose stream is far larger than every buffer on the way."""
    table = pa.table({"n": pa.array(range(BIG), pa.int64()), "m": pa.array(range(BIG), pa.int64())})
    fresh.put("big/0.parquet", parquet(table, row_group_size=250_000, compression="zstd"))
    return table


def refuses(url: str) -> bool:
    """Whether nobody takes new connections at `url`."""
    host, port = url.split("//")[1].split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) != 0


def test_drain_finishes_open_streams(fresh: BlobContainer, big: pa.Table) -> None:
    """After SIGTERM an open stream ends whole, new work is refused, and the node exits 0."""
    with serving([Dataset("big", fresh.url("big/"))], [store(fresh)]) as one:
        with one.client() as client:
            (endpoint,) = client.info("big").endpoints
            stream = client.flight.do_get(endpoint.ticket)
            batches = [stream.read_chunk().data]
            one.process.send_signal(signal.SIGTERM)
            poll("not ready", lambda: drains(one))
            with raises_kind("Unavailable"), one.client() as late:
                late.info("big")
            batches += [chunk.data for chunk in stream]
            assert pa.Table.from_batches(batches).equals(big)
        assert one.process.wait(20) == 0
        assert refuses(one.flight)


def drains(node: Node) -> bool:
    """Whether a node says that it is not ready, or no longer listens to say so."""
    try:
        return node.get("/readyz")[0] == 503
    except OSError:
        return True


def test_drain_has_an_end(fresh: BlobContainer, big: pa.Table) -> None:
    """A client that stops reading cannot hold a node beyond its grace period."""
    server = {"drain_timeout": "1s"}
    datasets = [Dataset("big", fresh.url("big/"))]
    with serving(datasets, [store(fresh)], server=server) as one, one.client() as client:
        (endpoint,) = client.info("big").endpoints
        stream = client.flight.do_get(endpoint.ticket)
        assert stream.read_chunk().data.num_rows < big.num_rows
        one.allowed.append("(?i)drain|grace|cancel")
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(10) == 0


def test_a_reader_that_leaves_frees_its_stream(fresh: BlobContainer, big: pa.Table) -> None:
    """A cancelled read gives its budget back."""
    datasets = [Dataset("big", fresh.url("big/"))]
    with serving(datasets, [store(fresh)]) as one, one.client() as client:
        (endpoint,) = client.info("big").endpoints
        stream = client.flight.do_get(endpoint.ticket)
        stream.read_chunk()
        assert one.stats()["flight"]["streams_open"] == 1
        stream.cancel()
        poll("stream closed", lambda: one.stats()["flight"]["streams_open"] == 0)
        assert client.read("big").num_rows == big.num_rows


def test_streams_are_admitted_up_to_a_limit(fresh: BlobContainer, big: pa.Table) -> None:
    """Past `max_streams` a caller waits, then is told to back off; a freed place is taken."""
    server = {"max_streams": 2, "queue_timeout": "500ms"}
    datasets = [Dataset("big", fresh.url("big/"))]
    with serving(datasets, [store(fresh)], server=server) as one, one.client() as client:
        (endpoint,) = client.info("big").endpoints
        streams = [client.flight.do_get(endpoint.ticket) for _ in range(2)]
        for stream in streams:
            stream.read_chunk()
        with raises_kind("Exhausted", "2"):
            client.flight.do_get(endpoint.ticket).read_all()
        streams[0].cancel()
        poll("stream closed", lambda: one.stats()["flight"]["streams_open"] == 1)
        assert client.read("big").num_rows == big.num_rows
        streams[1].cancel()
