"""Spark reads datasets by the connector's own name, and by a catalog."""

import pyarrow.parquet as pq
import pytest

from harness.spark import NEWEST, OLDEST, Answer
from harness.sparkcases import TPCH
from harness.sparkdata import TPCH as TABLES
from harness.sparkdata import numbers
from harness.sparklab import Lab

BOTH_ENDS = [OLDEST, NEWEST]
READS = {
    "all": ("orders", ["*"], "true"),
    "columns": ("lineitem", ["l_orderkey", "l_comment"], "true"),
    "filtered": ("lineitem", ["l_orderkey", "l_tax"], "l_quantity < 10 AND l_shipmode = 'AIR'"),
    "compared": ("lineitem", ["l_orderkey"], "l_shipdate >= DATE '1995-01-01' AND l_tax <> 0.02"),
    "counted": ("orders", ["count(*)"], "true"),
    "bounds": ("orders", ["min(o_orderkey)", "max(o_orderdate)", "count(o_comment)"], "true"),
    "types": ("types", ["*"], "true"),
    "nan": ("types", ["id", "f64"], "f64 > 1e300"),
    "nested": ("types", ["id", "st.y.z", "get(arr, 0)"], "st.x > 100"),
    "int96": ("int96", ["*"], "ts < '1970-01-01' OR id % 2 = 0"),
    "decimals": ("decimals", ["*"], "p38 IS NOT NULL"),
    "partitions": ("partitioned", ["id", "year", "region"], "year = 2024"),
    "merged": ("evolved", ["*"], "true"),
    "files": (
        "orders",
        [*(f"_metadata.file_{one}" for one in ("name", "size", "modification_time")), "o_orderkey"],
        "_metadata.file_size > 0 AND o_orderkey > 9",
    ),
    "nothing": ("orders", ["*"], "false"),
}

# Columns whose bounds and nulls footers tell, and columns of which they leave something open.
TOLD = {
    "orders": ["o_orderkey", "o_orderdate", "o_comment"],
    "types": [
        *("id", "flag", "i8", "i16", "i32", "i64", "day", "ltz", "ntz"),
        *("flag_null", "i32_null", "day_null", "ltz_null", "none"),
    ],
    "decimals": [f"p{precision}" for precision in range(1, 19)],
    "partitioned": ["id", "year", "region"],
    "evolved": ["id", "extra"],
    "empties": ["id"],
}
OPEN = {"types": ["f64"], "decimals": ["p30"]}


def bounds(columns: list[str]) -> list[str]:
    """Return what is asked of columns."""
    asked = [f"{of}({column})" for column in columns for of in ("min", "max", "count")]
    return ["count(*)", *asked]


@pytest.mark.parametrize("told", [True, False], ids=["told", "open"])
@pytest.mark.parametrize("version", BOTH_ENDS)
def test_aggregates_of_footers(lab: Lab, version: str, *, told: bool) -> None:
    """Bounds and counts are those of the rows; footers tell them where they are exact."""
    for dataset, columns in (TOLD if told else OPEN).items():
        asked = {"select": bounds(columns)}
        options = {"mergeSchema": "true"} if dataset == "evolved" else {}
        plain = lab.plain(version)
        expected = plain.run("read", lab.lake, folders=[dataset], options=options, **asked)
        answer = lab.ready(version).run("explicit", lab.lake, dataset=dataset, **asked)
        assert answer.first == expected.first, dataset
        assert ("LocalTableScan" in answer.plan) == told, answer.plan
        assert bool(answer.served) != told


def test_aggregates_follow_the_files(lab: Lab) -> None:
    """Of a file that comes and is overwritten, footers tell what it holds at last."""
    spark, added = lab.ready(NEWEST), lab.lake / "empties" / "later.parquet"

    def told() -> list[str]:
        assert lab.node
        with lab.node.client() as client:
            client.act("flightcache.refresh", {"dataset": "empties"})
        answer = spark.run("explicit", lab.lake, dataset="empties", select=bounds(["id"]))
        assert not answer.served
        return list(answer.first)

    before = ["[350,0,349,350]"]
    assert told() == before
    try:
        for start, rows in ((9000, 10), (7000, 20)):
            pq.write_table(numbers(rows, start), added)
            assert told() == [f"[{350 + rows},0,{start + rows - 1},{350 + rows}]"]
    finally:
        added.unlink()
    assert told() == before


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("version", BOTH_ENDS)
def test_by_name(lab: Lab, version: str, name: str) -> None:
    """`format("flightcache")` gives what Spark reads from the dataset's files."""
    dataset, select, where = READS[name]
    asked = {"select": select, "where": where}
    options = {"mergeSchema": "true"} if dataset == "evolved" else {}
    expected = lab.plain(version).run("read", lab.lake, folders=[dataset], options=options, **asked)
    answer = lab.ready(version).run("explicit", lab.lake, dataset=dataset, **asked)
    assert same(answer) == same(expected)


def same(answer: Answer) -> tuple[int, str]:
    """Return what must agree: rows, and not whether a column may be null."""
    assert not answer.error, answer.error
    return answer.rows, answer.hash


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_by_catalog(lab: Lab, version: str) -> None:
    """All of TPC-H over tables of a catalog that has the node's datasets."""
    catalog = "spark.sql.catalog.fc"
    conf = {catalog: "dev.flightcache.spark.FlightcacheCatalog", f"{catalog}.url": lab.wire.url}
    spark = lab.ready(version)
    views = [
        f"CREATE OR REPLACE TEMPORARY VIEW {table} AS SELECT * FROM fc.{table}" for table in TABLES
    ]
    for query in TPCH:
        text = query.arguments["text"]
        answer = spark.run("query", lab.lake, conf, text=text, before=views)
        assert same(answer) == same(lab.expected(version, query)), query.name
        assert answer.served > 0
    shown = spark.run("query", lab.lake, conf, text="SHOW TABLES IN fc", before=[])
    assert shown.rows >= len(TABLES)
    unknown = spark.run("query", lab.lake, conf, text="SELECT * FROM fc.nothing", before=[])
    assert "nothing" in unknown.error
    dropped = spark.run("query", lab.lake, conf, text="SELECT 1", before=["DROP TABLE fc.orders"])
    assert dropped.error


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_counted_again(lab: Lab, version: str) -> None:
    """Plans are made anew for each action, and nothing is counted twice."""
    spark = lab.ready(version)
    for _ in range(3):
        answer = spark.run("explicit", lab.lake, dataset="orders", select=["count(*)"])
        assert answer.first == ["[15000]"]


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_an_unknown_dataset(lab: Lab, version: str) -> None:
    """The error names it."""
    answer = lab.ready(version).run("explicit", lab.lake, dataset="nowhere", select=["*"])
    assert "nowhere" in answer.error
