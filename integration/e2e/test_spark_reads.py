"""Spark reads through the cache what it reads without, and the rows come from where they must."""

from pathlib import Path

import pytest

from harness.process import poll
from harness.spark import CLUSTER, NEWEST, OLDEST, VERSIONS, Answer
from harness.sparkcases import FILTERED, QUERIES, TPCH, TYPES, Query, read
from harness.sparkdata import numbers, split
from harness.sparklab import Lab

BOTH_ENDS = [OLDEST, NEWEST]
ORDERS = 15_000
# Spark 3.5 reads no column as a wider type, and no INT96 as local time.
REFUSED = {"user_schema_wider", "int96_as_local"}
# What the releases between the ends are asked, and clusters.
FEW = [
    one
    for one in QUERIES
    if one.name in {"q1", "q5", "q9", "q21", "types", "decimals", "dynamic_pruning", "metadata"}
    or one.name in {"bucketed_join", "partition_columns", "count", "empties", "python_udf"}
]

# Files that others wrote and filters over every type are read alike by all releases.
ASKED = [(NEWEST, one) for one in QUERIES]
ASKED += [(OLDEST, one) for one in QUERIES if one not in TYPES and one not in FILTERED]
ASKED = [(v, one) for v, one in ASKED if v != OLDEST or one.name not in REFUSED]


@pytest.mark.parametrize(
    ("version", "query"),
    [pytest.param(version, one, id=f"{version}-{one.name}") for version, one in ASKED],
)
def test_same_rows(lab: Lab, version: str, query: Query) -> None:
    """Each query gives the rows that Spark reads itself, by the way that it is to take."""
    lab.check(version, query)


@pytest.mark.parametrize("query", FEW, ids=lambda query: query.name)
@pytest.mark.parametrize("version", [one for one in VERSIONS if one not in BOTH_ENDS])
def test_releases_between(lab: Lab, version: str, query: Query) -> None:
    """A few queries on the releases between."""
    lab.check(version, query)


@pytest.mark.parametrize("query", FEW, ids=lambda query: query.name)
@pytest.mark.parametrize("version", BOTH_ENDS)
def test_real_executors(lab: Lab, version: str, query: Query) -> None:
    """Processes of their own get the tickets, the token and the settings."""
    lab.check(version, query, CLUSTER)


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_explain_shows_the_cache(lab: Lab, version: str) -> None:
    """A plan says which scans are cached, and why one that could be is not."""
    spark = lab.ready(version)
    assert (
        "Parquet+Flightcache" in spark.run("read", lab.lake, folders=["nation"], select=["*"]).plan
    )
    left = spark.run("read", lab.lake, folders=["wide"], select=["*"])
    assert "Parquet+Flightcache" not in left.plan
    refused = spark.run("read", lab.lake, folders=["int96_mixed"], select=["ts"])
    assert "not by Flightcache: column `ts`" in refused.plan


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_tasks_prefer_the_nodes(lab: Lab, version: str) -> None:
    """With `locality` tasks would rather run where the cache is, and read the same."""
    spark, asked = lab.ready(version), {"folder": "lineitem", "select": ["l_comment"]}
    assert spark.run("preferred", lab.lake, **asked).value == []
    near = {"spark.flightcache.locality": "true"}
    assert spark.run("preferred", lab.lake, near, **asked).value == ["127.0.0.1"]
    query = read(
        "near", "lineitem", select=["l_orderkey", "_metadata.file_size", "input_file_name()"]
    )
    answer = spark.run("read", lab.lake, near, **query.arguments)
    assert answer.same == lab.expected(version, query).same
    assert answer.served == answer.rows


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_half_cached(lab: Lab, version: str, tmp_path: Path) -> None:
    """Folders of which one has a dataset, and files that the node does not know yet."""
    outside = tmp_path / "outside"
    split(outside, numbers(700, 10_000), 2, 100)
    folders = {"both": ["empties", "more"], "later": ["empties"]}
    (lab.lake / "more").symlink_to(outside)
    added = lab.lake / "empties" / "later.parquet"
    try:
        query = read("half_more", *folders["both"])
        assert_half(lab, version, query)
        (outside / "part-0.parquet").rename(outside / "later")
        added.write_bytes((outside / "later").read_bytes())
        assert_half(lab, version, read("half_later", *folders["later"]))
        assert_half(lab, version, read("half_filter", *folders["later"], where="id % 7 < 3"))
    finally:
        added.unlink(missing_ok=True)
        (lab.lake / "more").unlink()


def assert_half(lab: Lab, version: str, query: Query) -> Answer:
    """Ask both sides; some rows come from the cache, and some do not."""
    expected = query.run(lab.plain(version), lab.lake)
    answer = query.run(lab.ready(version), lab.lake)
    assert answer.same == expected.same
    assert 0 < answer.served < answer.rows or "where" in query.arguments
    return answer


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_switched_off(lab: Lab, version: str) -> None:
    """With `enabled` false the plugin does nothing."""
    query = TPCH[5]
    spark = lab.through(version, enabled="false")
    answer = query.run(spark, lab.lake)
    assert answer.same == lab.expected(version, query).same
    assert not answer.served
    assert "Flightcache" not in answer.plan


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_one_fill_however_often(lab: Lab, version: str) -> None:
    """What Spark reads again, the node reads no more from the origin."""
    query = read("warm", "customer", select=["c_name", "c_comment"])
    spark = lab.ready(version)
    assert lab.node
    query.run(spark, lab.lake)
    before = lab.node.stats()
    answer = query.run(spark, lab.lake)
    after = lab.node.stats()
    assert answer.served == answer.rows
    assert after["origin"]["requests"] == before["origin"]["requests"]
    assert after["flight"]["streams"] > before["flight"]["streams"]
    assert after["flight"]["bytes"] > before["flight"]["bytes"]


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_figures_on_stages(lab: Lab, version: str) -> None:
    """The page of a stage shows what the sinks do: which way rows came, and why."""
    spark = lab.ready(version)
    answer = spark.run("on_stages", lab.lake, folder="orders", select=["*"])
    assert answer.value["flightcache.rows.served"] == answer.served == ORDERS
    assert not [name for name in answer.value if "direct" in name or "fallbacks" in name]
    mixed = spark.run("on_stages", lab.lake, folder="empties", select=["*"])
    assert mixed.value["flightcache.fallbacks.layout"] == mixed.fallbacks["layout"] > 0
    for one in (answer, mixed):
        moved = {name: count for name, count in one.counters.items() if count}
        for gone in ("flightcache.wait_ms", "flightcache.allocated_bytes"):
            moved.pop(gone, None)
            one.value.pop(gone, None)
        assert one.value == moved


def test_figures_of_executors(lab: Lab) -> None:
    """Executors send theirs with each task."""
    spark = lab.ready(NEWEST, CLUSTER)
    answer = spark.run("on_stages", lab.lake, folder="orders", select=["*"])
    assert answer.value["flightcache.rows.served"] == ORDERS


def test_figures_go_with_their_query(lab: Lab) -> None:
    """The driver holds no figures of queries that are done with, however many there were."""
    spark = lab.ready(NEWEST)

    def held(reads: int) -> int:
        for _ in range(reads):
            spark.run("on_stages", lab.lake, folder="nation", select=["*"])
        return int(spark.run("accumulators", lab.lake).value)

    # Each read has some twenty: were they kept, these would be at least four hundred.
    bound = held(1) + 250
    held(20)
    poll("accumulators are collected", lambda: held(0) < bound, 60)
