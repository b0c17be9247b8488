"""Spark jobs go on, with the right rows, whatever becomes of the cache."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.node import Dataset, Node, serving
from harness.process import poll
from harness.spark import CLUSTER, LOCAL, NEWEST, OLDEST, Session, plugged
from harness.sparkcases import QUERIES, TPCH, Query, read
from harness.sparkdata import numbers, split
from harness.sparklab import Lab, await_plans

BOTH_ENDS = [OLDEST, NEWEST]
COLUMNS = ["l_orderkey", "l_comment", "l_extendedprice"]
VICTIMS = [
    read("victim", "lineitem", select=COLUMNS),
    read("victim_filtered", "lineitem", select=COLUMNS, where="l_quantity < 20"),
    read(
        "victim_ranges",
        "lineitem",
        select=COLUMNS,
        conf={"files__maxPartitionBytes": "250000", "files__openCostInBytes": "0"},
    ),
    read(
        "victim_small_batches",
        "lineitem",
        select=COLUMNS,
        conf={"parquet__columnarReaderBatchSize": "999"},
    ),
    *(one for one in TPCH if one.name in {"q1", "q18"}),
]
BROKEN = [one for one in QUERIES if one.name in {"types", "decimals", "partition_columns"}]
BROKEN += [one for one in QUERIES if one.name in {"bucketed_join", "merged_schema", "metadata"}]


@pytest.fixture(autouse=True)
def recovering(lab: Lab) -> Iterator[None]:
    """Have whoever asks next wait until the node is no longer left alone."""
    yield
    lab.warmed.clear()


def warm(lab: Lab, version: str, query: Query, master: str = LOCAL) -> tuple[Session, int]:
    """Wait until a query comes from the cache alone; return how many bytes that takes."""
    spark = lab.ready(version, master)

    def served() -> int:
        before, counted = lab.wire.passed, spark.counters()
        answer = query.run(spark, lab.lake)
        assert answer.same == lab.expected(version, query).same
        if master != LOCAL:
            return lab.wire.passed - before if lab.wire.passed - before > 50_000 else 0
        whole = not answer.direct and spark.counters()["flightcache.rows.served"] > 0
        passed = lab.wire.passed - before
        return passed if whole and answer.served and spark.counters() != counted else 0

    return spark, poll(f"{query.name} comes from the cache", served, 60)


@contextmanager
def expendable(lab: Lab) -> Iterator[Node]:
    """Put a node behind the wire that may be killed."""
    with lab.serving() as node:
        yield node


@pytest.mark.parametrize("query", VICTIMS, ids=lambda query: query.name)
@pytest.mark.parametrize("version", BOTH_ENDS)
def test_cut_in_the_middle(lab: Lab, version: str, query: Query) -> None:
    """Streams that break, and a node that is not there any more: the rest is read directly."""
    spark, size = warm(lab, version, query)
    with lab.wire.cut(after=size // 2) as limit:
        answer = query.run(spark, lab.lake)
        assert limit.reached.is_set()
    assert answer.same == lab.expected(version, query).same
    assert answer.served > 0
    assert answer.direct > 0
    assert answer.fallbacks


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_connections_that_keep_breaking(lab: Lab, version: str) -> None:
    """Some of TPC-H over a wire that resets each connection after some bytes."""
    spark, _ = warm(lab, version, VICTIMS[0])
    with lab.wire.rough(300_000):
        for query in [*TPCH[2:7:2], *BROKEN]:
            answer = query.run(spark, lab.lake)
            assert answer.same == lab.expected(version, query).same, query.name


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_killed_in_the_middle(lab: Lab, version: str) -> None:
    """A node that dies while it streams (`kill -9`)."""
    query = VICTIMS[1]
    with expendable(lab) as node:
        spark, size = warm(lab, version, query)
        before = spark.counters()
        with lab.wire.held(after=size // 2) as limit:
            spark.start(query.program, lab.lake, query.conf, **query.arguments)
            assert limit.reached.wait(30)
            node.kill()
        answer = spark.finish(before)
    assert answer.same == lab.expected(version, query).same
    assert answer.direct > 0
    assert answer.fallbacks


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_down(lab: Lab, version: str) -> None:
    """With no node at all, every query runs as if there were no cache."""
    spark = lab.ready(version)
    with expendable(lab) as node:
        node.kill()
        for query in [*TPCH, *BROKEN]:
            answer = query.run(spark, lab.lake)
            assert answer.same == lab.expected(version, query).same, query.name
            assert not answer.served


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_stopped(lab: Lab, version: str) -> None:
    """A node that accepts and says nothing (`kill -STOP`) holds nobody up for long."""
    query = VICTIMS[0]
    with expendable(lab) as node:
        spark, _ = warm(lab, version, query)
        os.kill(node.process.pid, signal.SIGSTOP)
        try:
            for one in (query, *BROKEN):
                answer = one.run(spark, lab.lake)
                assert answer.same == lab.expected(version, one).same
                assert not answer.served
        finally:
            os.kill(node.process.pid, signal.SIGCONT)
        warm(lab, version, query)


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_stuck_in_the_middle(lab: Lab, version: str) -> None:
    """A stream that stops without an end is given up."""
    query = VICTIMS[0]
    spark, size = warm(lab, version, query)
    with lab.wire.held(after=size // 2) as limit:
        answer = query.run(spark, lab.lake)
        assert limit.reached.is_set()
    assert answer.same == lab.expected(version, query).same
    assert answer.direct > 0
    assert answer.fallbacks


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_cancelled(lab: Lab, version: str) -> None:
    """Tasks that are cancelled close their streams at the node."""
    assert lab.node
    query = VICTIMS[0]
    spark, size = warm(lab, version, query)
    with lab.wire.held(after=size // 2):
        ended = spark.run("cancelled", lab.lake, folder="lineitem", select=COLUMNS)
        assert "cancel" in str(ended.value)
    assert_no_streams(lab.node)
    warm(lab, version, query)


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_early_stop(lab: Lab, version: str) -> None:
    """A LIMIT takes a few rows and leaves no stream open."""
    assert lab.node
    spark, size = warm(lab, version, VICTIMS[0])
    before = lab.wire.passed
    query = read("few", "lineitem", select=["1 AS one"], limit=3)
    for _ in range(10):
        assert query.run(spark, lab.lake).rows == 3
    assert lab.wire.passed - before < 10 * size
    assert_no_streams(lab.node)


def assert_no_streams(node: Node) -> None:
    """Fail unless all streams come to an end."""
    poll("no stream is open", lambda: node.stats()["flight"]["streams_open"] == 0)


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_executor_killed(lab: Lab, version: str) -> None:
    """Another executor takes over the tasks of one that dies (`kill -9`)."""
    query = VICTIMS[1]
    spark, size = warm(lab, version, query, CLUSTER)
    before = spark.counters()
    with lab.wire.held(after=size // 2) as limit:
        spark.start(query.program, lab.lake, query.conf, **query.arguments)
        assert limit.reached.wait(30)
        victims = spark.executors()
        assert len(victims) == 2
        os.kill(victims[0], signal.SIGKILL)
    answer = spark.finish(before)
    assert answer.same == lab.expected(version, query).same
    poll("another executor", lambda: len(set(spark.executors()) - set(victims)) == 1, 60)


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_node_killed_under_executors(lab: Lab, version: str) -> None:
    """As with threads, so with executors."""
    query = VICTIMS[0]
    with expendable(lab) as node:
        spark, size = warm(lab, version, query, CLUSTER)
        before = spark.counters()
        with lab.wire.held(after=size // 2) as limit:
            spark.start(query.program, lab.lake, query.conf, **query.arguments)
            assert limit.reached.wait(30)
            node.kill()
        answer = spark.finish(before)
        assert answer.same == lab.expected(version, query).same
        name = "flightcache.rows.direct"
        poll("direct rows of executors", lambda: spark.counters()[name] > before[name])


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_fallback_fail(lab: Lab, version: str) -> None:
    """`fallback=fail` is for those who would rather know."""
    query = VICTIMS[0]
    with expendable(lab) as node:
        spark = lab.through(version, fallback="fail")
        await_plans(spark, lab.lake, "lineitem")
        assert query.run(spark, lab.lake).same == lab.expected(version, query).same
        before = spark.counters()
        with lab.wire.held(after=200_000) as limit:
            spark.start(query.program, lab.lake, query.conf, **query.arguments)
            assert limit.reached.wait(30)
            node.kill()
        assert "flightcache" in spark.finish(before).error.lower()


class Rewritten:
    """A dataset of three files, one of which is written anew."""

    def __init__(self, folder: Path) -> None:
        """Write the files."""
        self.folder = folder
        split(folder / "moving", numbers(3000), 3, 500)
        split(folder / "new", numbers(1000, 50_000), 1, 400)
        self.path = folder / "moving" / "part-1.parquet"
        self.by = folder / "new" / "part-0.parquet"

    def rewrite(self) -> None:
        """Put the new file in the place of the old one."""
        scratch = self.folder / "scratch"
        scratch.write_bytes(self.by.read_bytes())
        scratch.replace(self.path)


@contextmanager
def rewritten(lab: Lab, version: str, folder: Path) -> Iterator[tuple[Rewritten, Node, Session]]:
    """Run a node, and a Spark that asks it, over files that change."""
    files = Rewritten(folder)
    datasets = [Dataset("moving", f"{folder.as_uri()}/moving/")]
    # What is not asked for must not come along, or it could be given after the file has changed.
    origin = {"footer_prefetch": "4KiB", "coalesce_gap": "0"}
    with serving(datasets, origin=origin) as node:
        node.allowed.append("moved on|stale|Stale")
        spark = lab.pool.get(version, **plugged(version, node.flight))
        await_plans(spark, folder, "moving")
        yield files, node, spark


MOVING = {"folders": ["moving"], "select": ["id", "text", "price"]}


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_overwritten_before_listing(lab: Lab, version: str, tmp_path: Path) -> None:
    """What Spark lists and the node does not know is read directly, and the rest is not."""
    with rewritten(lab, version, tmp_path) as (files, _, spark):
        old = spark.run("read", tmp_path, **MOVING)
        assert old.served == 3000
        files.rewrite()
        expected = lab.plain(version).run("read", tmp_path, **MOVING)
        answer = spark.run("read", tmp_path, **MOVING)
        assert answer.same == expected.same != old.same
        assert answer.served == 2000


@pytest.mark.parametrize("known", [["id"], ["*"]], ids=["partly_cached", "cached"])
@pytest.mark.parametrize("version", BOTH_ENDS)
def test_overwritten_after_listing(
    lab: Lab, version: str, known: list[str], tmp_path: Path
) -> None:
    """Rows of two versions are never mixed: all are as they were listed, all new, or it fails."""
    with rewritten(lab, version, tmp_path) as (files, _, spark):
        old = lab.plain(version).run("read", tmp_path, **MOVING)
        assert spark.run("read", tmp_path, folders=["moving"], select=known).served == 3000
        answer = spark.run(
            "replaced",
            tmp_path,
            folder="moving",
            select=["id", "text", "price"],
            path=str(files.path),
            by=str(files.by),
        )
        new = lab.plain(version).run("read", tmp_path, **MOVING)
        if answer.error:
            assert files.path.name in answer.error
        else:
            assert answer.same == new.same or (known == ["*"] and answer.same == old.same)
        assert spark.run("read", tmp_path, **MOVING).same == new.same


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_deleted_after_listing(lab: Lab, version: str, tmp_path: Path) -> None:
    """A missing file is an error, as without the cache, or is left out where that is wanted."""
    with rewritten(lab, version, tmp_path) as (files, _, spark):
        gone = {"folder": "moving", "select": ["id", "text"], "path": str(files.path)}
        kept = files.path.read_bytes()
        answer = spark.run("listed_then_gone", tmp_path, **gone)
        assert files.path.name in answer.error or "FILE_NOT_EXIST" in answer.error
        files.path.write_bytes(kept)
        conf = {"spark.sql.files.ignoreMissingFiles": "true"}
        answer = spark.run("listed_then_gone", tmp_path, conf, **gone)
        assert answer.rows == 2000, answer.error


def test_a_token(lab: Lab, tmp_path: Path) -> None:
    """The right token is served, a wrong one reads directly, and none stands in a log."""
    split(tmp_path / "moving", numbers(3000), 3, 500)
    (tmp_path / "tokens").write_text("alice alice-0123456789ab\n")
    auth = {"token_file": tmp_path / "tokens"}
    rules = [{"principal": "alice", "datasets": ["moving"]}]
    datasets = [Dataset("moving", f"{tmp_path.as_uri()}/moving/")]
    expected = lab.plain(NEWEST).run("read", tmp_path, **MOVING)
    with serving(datasets, auth=auth | {"rule": rules}) as node:
        for token, served in (("alice-0123456789ab", 3000), ("mallory-0123456789ab", 0)):
            settings = plugged(NEWEST, node.flight, token=token)
            for master in (LOCAL, CLUSTER) if served else (LOCAL,):
                spark = lab.pool.get(NEWEST, master, **settings)
                if served:
                    await_plans(spark, tmp_path, "moving")
                answer = spark.run("read", tmp_path, **MOVING)
                assert answer.same == expected.same
                assert token not in spark.log()
                if master == LOCAL:
                    assert answer.served == served


def test_rows_of_the_file_itself(tmp_path: Path) -> None:
    """The files that are rewritten differ in every row, or the tests above show nothing."""
    files = Rewritten(tmp_path)
    old, new = (pq.read_table(path)["id"].to_pylist() for path in (files.path, files.by))
    assert not set(old) & set(new)
