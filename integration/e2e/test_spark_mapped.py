"""Spark on the node's machine maps columns instead of having them streamed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.node import Node
from harness.process import poll
from harness.spark import NEWEST, OLDEST, Answer, Session
from harness.sparkcases import QUERIES, Query, read
from harness.sparklab import Lab, await_plans

BOTH_ENDS = [OLDEST, NEWEST]
# Bytes of answers: where the files of some splits are, and not of all.
HALF_THE_ANSWERS = 20_000
COLUMNS = ["l_orderkey", "l_comment", "l_extendedprice"]
PART = read("part_of_lineitem", "lineitem", select=COLUMNS)
# Ranges that end inside of splits, filters, joins, types and files that lack a column.
RANGES = {"files__maxPartitionBytes": "250000", "files__openCostInBytes": "0"}
NAMES = {"q18", "types", "merged_schema"}
CASES = [
    PART,
    read("ranges", "lineitem", select=COLUMNS, conf=RANGES),
    read("filtered", "lineitem", select=COLUMNS, where="l_quantity < 20"),
    *(one for one in QUERIES if one.name in NAMES),
]


@contextmanager
def mapping(lab: Lab, version: str, folder: Path) -> Iterator[tuple[Session, Node]]:
    """Run a node with a folder, and a Spark that maps."""
    cache = {"memory": "1GiB", "dir": folder / "cache", "disk": "4GiB"}
    with lab.serving(cache=cache) as node:
        spark = lab.through(version, local="true")
        await_plans(spark, lab.lake, "lineitem")
        yield spark, node


def mapped(answer: Answer) -> int:
    """Return how many rows were mapped."""
    return answer.counters["flightcache.rows.mapped"]


# Files that lack a column are streamed.
PARTLY = {"merged_schema"}


def until_mapped(lab: Lab, spark: Session, query: Query) -> Answer:
    """Ask until all rows are mapped that can be, which they are once they are on disk."""
    expected = lab.expected(spark.version, query)

    def asked() -> Answer | None:
        answer = query.run(spark, lab.lake)
        assert answer.same == expected.same
        assert not answer.direct
        all_are = mapped(answer) == answer.served or query.name in PARTLY
        return answer if mapped(answer) and all_are else None

    return poll(f"{query.name} is mapped", asked, 60)


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_mapped(lab: Lab, version: str, tmp_path: Path) -> None:
    """The same rows by both faces, and the node sends none of them."""
    with mapping(lab, version, tmp_path) as (spark, _):
        for query in CASES:
            answer = until_mapped(lab, spark, query)
            assert answer.counters["flightcache.bytes.mapped"] > 0
            if query.name not in PARTLY:
                assert answer.counters["flightcache.bytes"] == 0, query.name

        expected = lab.expected(version, PART)
        named = {"dataset": "lineitem", "select": COLUMNS}
        answer = spark.run("explicit", lab.lake, **named)
        assert (answer.rows, answer.hash) == (expected.rows, expected.hash), answer.error
        assert mapped(answer) == answer.served == expected.rows
        answer = spark.run("explicit", lab.lake, **named, options={"local": "false"})
        assert (answer.rows, mapped(answer)) == (expected.rows, 0)


@pytest.mark.parametrize("version", [NEWEST])
def test_evicted_and_killed(lab: Lab, version: str, tmp_path: Path) -> None:
    """What is evicted is streamed and then mapped again; what is mapped outlives the node."""
    with mapping(lab, version, tmp_path) as (spark, node):
        rows = until_mapped(lab, spark, PART).rows
        with node.client() as client:
            client.act("flightcache.evict", {"dataset": "lineitem"})
        assert mapped(PART.run(spark, lab.lake)) < rows
        until_mapped(lab, spark, PART)
        # Splits whose files the node could still tell are mapped to their end.
        before = spark.counters()
        with lab.wire.held(after=HALF_THE_ANSWERS) as limit:
            spark.start(PART.program, lab.lake, CASES[1].conf, **PART.arguments)
            assert limit.reached.wait(30)
            node.kill()
        answer = spark.finish(before)
        assert answer.same == lab.expected(version, PART).same
        assert mapped(answer) + answer.direct == rows
        assert answer.direct > 0


@pytest.mark.parametrize("version", [OLDEST])
def test_a_folder_elsewhere(lab: Lab, version: str, tmp_path: Path) -> None:
    """Files that the node names and that are not here are streamed, and counted."""
    with mapping(lab, version, tmp_path) as (spark, _):
        until_mapped(lab, spark, PART)
        (tmp_path / "cache" / "v2").rename(tmp_path / "elsewhere")
        answer = PART.run(spark, lab.lake)
        assert answer.same == lab.expected(version, PART).same
        assert mapped(answer) == 0
        assert not answer.direct
        assert answer.counters["flightcache.splits.unmapped"] > 0
