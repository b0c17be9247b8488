"""What is asked of Spark in every state of the cache, and which way the rows must come."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.spark import Answer, Session
from harness.sparkdata import TYPED, tpch_queries

# cached: from the cache alone; left: not planned at all; mixed: both; either: only rows matter.
Way = Literal["cached", "left", "mixed", "either"]


@dataclass(frozen=True)
class Query:
    """A program of `integration/spark/programs.py` with its arguments."""

    name: str
    program: str
    arguments: dict[str, Any]
    way: Way = "cached"
    conf: dict[str, str] = field(default_factory=dict)
    # What Spark's plan must hold, cached or not; else the query shows nothing.
    plan: str = ""

    def run(self, session: Session, lake: Any) -> Answer:
        """Run it over the data at `lake`."""
        return session.run(self.program, lake, self.conf, **self.arguments)


def sql(name: str, text: str, way: Way = "cached", *, plan: str = "", **conf: str) -> Query:
    """Return a query in SQL; names of settings lack `spark.sql.`, and have `__` for dots."""
    return Query(name, "sql", {"text": text}, way, settings(conf), plan)


def read(name: str, *folders: str, way: Way = "cached", **options: Any) -> Query:
    """Return a read of folders; `conf`, `select`, `where` and so on as `programs.read` has them."""
    conf = settings(options.pop("conf", {}))
    options.setdefault("select", ["*"])
    return Query(name, "read", {"folders": list(folders)} | options, way, conf)


def settings(conf: dict[str, str]) -> dict[str, str]:
    """Return the whole names of settings of Spark SQL."""
    return {f"spark.sql.{name.replace('__', '.')}": value for name, value in conf.items()}


def tpch(name: str, **conf: str) -> Query:
    """Return a query of TPC-H."""
    label = "_".join([name, *(f"{key}_{value}" for key, value in conf.items())])
    # Without generated code, and as a DataSource V2, Parquet is read by rows or by other classes.
    left = conf.keys() & {"codegen__wholeStage", "sources__useV1SourceList"}
    way: Way = "left" if left else "cached"
    return Query(label, "tpch", {"text": tpch_queries()[name]}, way, settings(conf))


TPCH = [tpch(f"q{number}") for number in range(1, 23)]

# Types whose columns the cache must serve: those that Spark and the cache mean the same by.
SERVED = re.compile(
    r"type_(u?int(8|16|32)|int64|decimal\d+_\d+_\d+(_integer)?|date32|timestamp_us.*|bool|float32|float64"
    r"|(large_)?string|(large_)?binary|fixed_binary|dictionary|list|list_float|large_list|struct|map"
    r"|nested|struct_of_map|codec_.*|small_row_groups|page_index|dictionary_overflow)"
)
TYPES = [
    read(
        f"type_{name}",
        f"type_{name}",
        way="cached" if SERVED.fullmatch(f"type_{name}") else "either",
    )
    for name in TYPED
]

SPARK_TYPES = [
    read("types", "types"),
    read("types_offheap", "types", conf={"columnVector__offheap__enabled": "true"}),
    read("types_legacy", "types_legacy"),
    read("types_without_codegen", "types", way="left", conf={"codegen__wholeStage": "false"}),
    read("types_interpreted", "types", conf={"codegen__factoryMode": "NO_CODEGEN"}),
    read("types_small_batches", "types", conf={"parquet__columnarReaderBatchSize": "7"}),
    read("decimals", "decimals"),
    read("decimals_legacy", "decimals_legacy"),
    read("millis", "millis", way="either"),
    read(
        "nested_pruning",
        "types",
        select=[
            "id",
            "st.y.z",
            "get(arr, 0)",
            "try_element_at(m, 'a')",
            "st_null.x",
            "get(st.y.l, 0).q",
        ],
    ),
    read("nested_filter", "types", select=["id", "st.x"], where="st.x > 900 AND st.y.z LIKE 'z9%'"),
    read("large", "large"),
    read("user_schema_wider", "narrow", way="either", schema="i bigint, f double"),
    read("user_schema_missing", "narrow", way="either", schema="i int, nope string"),
    read("user_schema_case", "narrow", way="either", schema="I int, F float"),
]

# Each must give the same rows whatever is pushed down, pruned or filtered.
FILTERS = {
    "nan": "f64 = double('NaN')",
    "nan_above": "f64 > 1e300",
    "minus_zero": "f32 >= -0.0 AND f32 < 10",
    "below": "f64 <= double('-Infinity')",
    "empty_string": "s = ''",
    "unicode": "s = 'žluťoučký 🦀'",
    "prefix": "s LIKE 'row 1%'",
    "contains": "s LIKE '%9%' AND few <> 'value 1'",
    "in": "i64 IN (9007199254735, 18014398509475, 7)",
    "many_in": f"id IN ({', '.join(str(3 * number) for number in range(300))})",
    "null": "s_null IS NULL",
    "not_null": "st_null IS NOT NULL AND arr_null IS NOT NULL",
    "null_safe": "i32_null <=> NULL",
    "or_null": "i8_null > 100 OR day_null IS NULL",
    "not_in": "few NOT IN ('value 1', 'value 2')",
    "day": "day >= DATE '1970-06-01' AND day < DATE '1971-01-01'",
    "moment": "ltz BETWEEN TIMESTAMP '1969-12-31 23:00:00Z' AND TIMESTAMP '1970-01-01 00:01:00Z'",
    "local_moment": "ntz >= TIMESTAMP_NTZ '1969-12-31 22:50:00'",
    "flag": "flag AND NOT flag_null IS NULL",
    "binary": "bin = cast('é7' AS binary)",
    "nothing": "id < 0",
    "everything": "id >= 0",
    "folded": "1 = 0",
}
# Those for which no row group is asked for.
NOTHING = {"nothing", "folded"}
FILTERED = [
    *(
        read(
            f"where_{name}", "types", where=text, way="cached" if name not in NOTHING else "either"
        )
        for name, text in FILTERS.items()
    ),
    read(
        "where_decimals",
        "decimals",
        where="p9 < -1.5 AND p20 > -99999999999999 AND p38 IS NOT NULL",
    ),
    # Pushed down, parquet-mr looks for 0.0 in a dictionary that has -0.0, and drops the row group.
    read("where_zero", "types", where="f64 = 0.0", conf={"parquet__filterPushdown": "false"}),
    # A column that only differs by case is another one, and so null in every row.
    read(
        "where_case_counts",
        "narrow",
        way="either",
        schema="I int, f float",
        where="I IS NULL",
        conf={"caseSensitive": "true"},
    ),
    read(
        "where_not_pushed",
        "types",
        where=FILTERS["day"],
        conf={"parquet__filterPushdown": "false"},
    ),
]

ELSEWHERE = {"session__timeZone": "America/Los_Angeles"}
INT96 = [
    read("int96", "int96"),
    read("int96_elsewhere", "int96", conf=ELSEWHERE),
    read("int96_where", "int96", where="ts BETWEEN '1969-12-31 12:00:00' AND '1999-01-01'"),
    read("int96_where_null", "int96", where="ts_null IS NULL AND few = '2001-09-09 01:46:42'"),
    read(
        "int96_where_nested",
        "int96",
        where="st.at < TIMESTAMP '1970-01-01' AND size(arr) > 0",
        select=["id", "st.at", "arr"],
    ),
    read("int96_rebased", "int96", conf={"parquet__int96RebaseModeInRead": "LEGACY"}),
    read("int96_of_arrow", "int96_arrow", conf=ELSEWHERE),
    # Spark compares microseconds: the file's nanoseconds are none of these values.
    read("int96_cut_equal", "int96_arrow", where="ts = '2009-02-13 23:31:30.123456'"),
    read("int96_us", "int96_us"),
    # Of files that parquet-mr has not written, as if they were in the session's zone.
    read(
        "int96_converted",
        "int96_arrow",
        way="left",
        conf=ELSEWHERE | {"parquet__int96TimestampConversion": "true"},
    ),
    read(
        "int96_not_asked_for",
        "int96_arrow",
        select=["id"],
        conf={"parquet__int96TimestampConversion": "true"},
    ),
    read("int96_mixed", "int96_mixed", way="left", schema="id bigint, ts timestamp"),
    read("int96_as_local", "int96", way="left", schema="id bigint, ts timestamp_ntz"),
]

ORDERS = "orderkey bigint, custkey bigint, orderstatus string, totalprice decimal(15,2), \
orderdate date, orderpriority string, clerk string, shippriority int, comment string"
CUSTOMER = "custkey bigint, name string, address string, nationkey bigint, phone string, \
acctbal decimal(15,2), mktsegment string, comment string"


def declared(name: str, columns: str, prefix: str, folder: str) -> list[str]:
    """Return statements that declare a table over files in buckets."""
    named = ", ".join(f"{prefix}_{column}" for column in columns.split(", "))
    key = f"{prefix}_custkey"
    buckets = f"CLUSTERED BY ({key}) SORTED BY ({key}) INTO 4 BUCKETS"
    table = f"CREATE TABLE {name} ({named}) USING parquet {buckets} LOCATION '{{lake}}/{folder}'"
    return [f"DROP TABLE IF EXISTS {name}", table]


TABLES = [
    *declared("bo", ORDERS, "o", "buckets"),
    *declared("bc", CUSTOMER, "c", "buckets_customer"),
]


def tables(name: str, text: str, plan: str = "", **conf: str) -> Query:
    """Return a query over tables in buckets."""
    arguments = {"text": text, "before": TABLES}
    return Query(name, "query", arguments, conf=settings(conf), plan=plan)


FEATURES = [
    read("partition_columns", "partitioned"),
    read(
        "partition_filter", "partitioned", where="year = 2024 AND region = 'north' AND id % 2 = 0"
    ),
    read("partition_null", "partitioned", where="region IS NULL", select=["id", "year"]),
    read("only_partitions", "partitioned", select=["year", "region"]),
    read("a_partition", "partitioned/year=2024"),
    read("a_partition_based", "partitioned/year=2024", options={"basePath": "{lake}/partitioned"}),
    read("a_file", "lineitem/part-1.parquet", select=["l_orderkey", "l_comment"]),
    read("some_files", "lineitem/part-[01].parquet", select=["l_orderkey", "l_tax"]),
    sql(
        "dynamic_pruning",
        "SELECT region, sum(price), count(*) FROM {partitioned} JOIN {nation} "
        "ON year = 2000 + n_nationkey WHERE n_name = 'UNITED STATES' GROUP BY region",
        plan="dynamicpruning",
    ),
    tables(
        "bucketed_join",
        "SELECT c_mktsegment, sum(o_totalprice), count(*) FROM bo JOIN bc ON o_custkey = c_custkey "
        "GROUP BY c_mktsegment",
        "SelectedBucketsCount: 4 out of 4",
        autoBroadcastJoinThreshold="-1",
    ),
    tables(
        "bucket_pruning",
        "SELECT o_orderkey, o_comment FROM bo WHERE o_custkey = 7",
        "SelectedBucketsCount: 1 out of 4",
        sources__bucketing__autoBucketedScan__enabled="false",
    ),
    tables("table", "SELECT c_name, c_acctbal FROM bc WHERE c_acctbal > 5000"),
    sql(
        "metadata",
        "SELECT _metadata.file_path, _metadata.file_name, _metadata.file_size, "
        "_metadata.file_modification_time, _metadata.file_block_start, "
        "_metadata.file_block_length, count(*), sum(o_totalprice) FROM {orders} GROUP BY ALL",
    ),
    sql("metadata_row_index", "SELECT o_orderkey, _metadata.row_index FROM {orders}", "left"),
    sql("input_file_name", "SELECT input_file_name() AS f, count(*) FROM {orders} GROUP BY 1"),
    read("merged_schema", "evolved", options={"mergeSchema": "true"}),
    read("merged_filter", "evolved", options={"mergeSchema": "true"}, where="extra > 100"),
    read("merged_missing", "evolved", options={"mergeSchema": "true"}, where="extra IS NULL"),
    sql("count", "SELECT count(*) FROM {lineitem}"),
    sql("count_some", "SELECT count(*) FROM {lineitem} WHERE l_quantity < 10"),
    Query("counted_again", "counted_again", {"folder": "orders", "times": 3}),
    Query(
        "collected_again", "collected_again", {"folder": "part", "select": ["p_name"], "times": 3}
    ),
    read("limit", "lineitem", select=["1 AS one"], limit=7),
    sql(
        "self_join",
        "SELECT a.n_name, b.n_name FROM {nation} a JOIN {nation} b USING (n_regionkey)",
    ),
    Query("cached", "cached", {"folder": "supplier", "select": ["s_name", "s_acctbal"]}),
    Query("python_udf", "with_udf", {"folder": "lineitem", "column": "l_comment", "limit": 50}),
    Query(
        "concurrent",
        "concurrently",
        {
            "folder": "orders",
            "text": "SELECT sum(o_totalprice), max(o_comment) FROM concurrent",
            "times": 4,
        },
    ),
    Query("streamed", "streamed", {"folder": "orders", "select": ["o_orderkey"]}, "left"),
    read("wide", "wide", way="left"),
    read("few_of_wide", "wide", select=["c3", "c129"]),
    read("fitting", "fitting"),
    # Row groups without rows have no midpoints that tell them apart: such a file is read directly.
    read("empties", "empties", way="mixed"),
    sql("count_empties", "SELECT count(*), count(price) FROM {empties}", "mixed"),
    read("uneven", "uneven", select=["l_orderkey", "l_comment", "l_tax"]),
    read("row_readers", "types", way="left", conf={"parquet__enableVectorizedReader": "false"}),
    read("ignoring_corrupt", "types", way="left", conf={"files__ignoreCorruptFiles": "true"}),
    read("ignoring_missing", "types", conf={"files__ignoreMissingFiles": "true"}),
    tpch("q1", ansi__enabled="true"),
    tpch("q1", ansi__enabled="false"),
    tpch("q5", adaptive__enabled="false"),
    tpch("q18", adaptive__enabled="false"),
    tpch("q6", codegen__wholeStage="false"),
    tpch("q17", exchange__reuse="false"),
    tpch("q3", sources__useV1SourceList=""),
]

# Ranges that cut row groups, the more the smaller; each row must come exactly once.
CUT = [
    read(
        f"ranges_of_{size}_{folder}",
        folder,
        select=[f"{prefix}_orderkey", f"{prefix}_comment"],
        conf={"files__maxPartitionBytes": size, "files__openCostInBytes": "0"},
    )
    for folder, prefix, sizes in (
        ("uneven", "l", ("20000", "65536", "300000")),
        ("orders", "o", ("33333", "100001")),
    )
    for size in sizes
]

QUERIES = [*TPCH, *SPARK_TYPES, *INT96, *FILTERED, *FEATURES, *CUT, *TYPES]


def came(answer: Answer, way: Way) -> None:
    """Fail unless the rows came the way that they must."""
    moved = (answer.served, answer.direct, answer.fallbacks)
    checks: dict[Way, Callable[[], bool]] = {
        "cached": lambda: answer.served > 0 and not answer.direct and not answer.fallbacks,
        "left": lambda: not answer.served and not answer.direct,
        "mixed": lambda: answer.served > 0,
        "either": lambda: not answer.fallbacks.get("invalid"),
    }
    assert checks[way](), f"{way} rows: served, direct and fallbacks are {moved}\n{answer.plan}"
