"""Spark over object stores: abfs:// on Azurite, s3a:// on moto, and a slow disk for older ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.node import Dataset, Node, serving, store
from harness.proxy import Proxy, proxied
from harness.spark import CLUSTER, LOCAL, NEWEST, OLDEST, Session, connectors, hadoop, plugged
from harness.sparkcases import came, read, sql
from harness.sparklab import Lab, await_plans
from harness.stores import ACCOUNT, ACCOUNT_KEY, BlobContainer, Bucket, Place
from harness.tables import pieces, tpch

QUERIES = [
    sql("sum", "SELECT o_orderpriority, sum(o_totalprice), count(*) FROM {orders} GROUP BY 1"),
    read("all", "orders", where="o_orderkey % 3 = 0"),
    sql("files", "SELECT _metadata.file_name, count(*) FROM {orders} GROUP BY 1"),
]


def abfs(endpoint: str) -> dict[str, str]:
    """Return what Spark 4.2 and later need to read from Azurite; older Hadoops cannot."""
    return hadoop(
        fs__azure__abfs__endpoint=endpoint.removeprefix("http://"),
        fs__azure__always__use__https="false",
        fs__azure__account__hns__enabled="false",
        # Hadoop's default client wants TLS set up even where none is used.
        fs__azure__networking__library="JDK_HTTP_URL_CONNECTION",
    ) | {f"spark.hadoop.fs.azure.account.key.{ACCOUNT}.dfs.core.windows.net": ACCOUNT_KEY}


def s3a(endpoint: str) -> dict[str, str]:
    """Return what Spark needs to read from moto."""
    return hadoop(
        fs__s3a__endpoint=endpoint,
        fs__s3a__endpoint__region="us-east-1",
        fs__s3a__path__style__access="true",
        fs__s3a__access__key="test",
        fs__s3a__secret__key="test",
    )


def fill(place: Place) -> None:
    """Put a table there, in two files."""
    for index, data in enumerate(pieces(tpch("orders"), 2, 3000)):
        place.put(f"orders/part-{index}.parquet", data)


@contextmanager
def over(place: Place, url: str) -> Iterator[Node]:
    """Run a node whose dataset has the URL that Spark reads."""
    with serving([Dataset("orders", f"{url}/orders/")], [store(place)]) as node:
        with node.client() as client:
            client.info("orders")
        yield node


def compare(lab: Lab, lake: str, node: Node, proxy: Proxy, conf: dict[str, str]) -> None:
    """Ask both sides; through the cache, Spark reads one footer, for its schema."""
    jars = connectors()
    plain = lab.pool.get(NEWEST, **conf, **{"spark.jars": jars})
    expected = {query.name: query.run(plain, lake) for query in QUERIES}
    for master in (LOCAL, CLUSTER):
        settings = plugged(NEWEST, node.flight) | conf
        settings["spark.jars"] += f",{jars}"
        spark: Session = lab.pool.get(NEWEST, master, **settings)
        await_plans(spark, lake, "orders")
        proxy.forget()
        for query in QUERIES:
            answer = query.run(spark, lake)
            assert answer.same == expected[query.name].same
            if master == LOCAL:
                came(answer, "cached")
        if master == LOCAL:
            # Hadoop may fetch a small file whole, which is no ranged read.
            assert len({one.path.partition("?")[0] for one in proxy.data()}) <= 1
    assert node.stats()["flight"]["streams"] > 0


def test_abfs(lab: Lab, fresh: BlobContainer) -> None:
    """On Azurite, whose Blob endpoint Hadoop speaks to since 3.5."""
    fill(fresh)
    lake = f"abfs://{fresh.name}@{ACCOUNT}.dfs.core.windows.net"
    node_store = store(fresh)
    datasets = [Dataset("orders", f"{lake}/orders/")]
    with (
        proxied(fresh.endpoint) as proxy,
        serving(datasets, [type(node_store)(lake, node_store.options)]) as node,
    ):
        compare(lab, lake, node, proxy, abfs(proxy.endpoint))


def test_s3a(lab: Lab, bucket: Bucket) -> None:
    """On moto."""
    fill(bucket)
    lake = f"s3a://{bucket.name}"
    with proxied(bucket.endpoint) as proxy, over(bucket, f"s3://{bucket.name}") as node:
        compare(lab, lake, node, proxy, s3a(proxy.endpoint))


def test_slow_disk(lab: Lab) -> None:
    """Where a request takes 15 ms: through the cache, Spark asks for footers alone."""
    slow: dict[str, Any] = hadoop(fs__file__impl="dev.flightcache.integration.LatencyFileSystem")
    slow |= {"spark.sql.files.maxPartitionBytes": "1m"}
    query = sql(
        "slow", "SELECT l_shipmode, sum(l_quantity), max(l_comment) FROM {lineitem} GROUP BY 1"
    )
    plain = lab.pool.get(OLDEST, **slow)
    spark = lab.pool.get(OLDEST, **(plugged(OLDEST, lab.wire.url) | slow))
    await_plans(spark, lab.lake, "lineitem")
    figures = []
    for session in (plain, spark):
        before = session.run("origin", lab.lake).value
        answer = query.run(session, lab.lake)
        assert answer.same == lab.expected(OLDEST, query).same
        after = session.run("origin", lab.lake).value
        figures.append({name: after[name] - before[name] for name in after})
    direct, cached = figures
    came(answer, "cached")
    assert cached["bytes"] < direct["bytes"] / 2, figures
    assert cached["requests"] < direct["requests"], figures
