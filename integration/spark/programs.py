"""What the tests run inside Spark: each takes the session, the URL of the data, and arguments.

Most give a DataFrame; those that write give nothing.
"""

import gc
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it

TABLES = ("region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem")

# Every type that Spark writes to Parquet, as a function of a row's number.
KINDS = {
    "flag": "id % 3 = 0",
    "i8": "cast(id % 256 - 128 AS tinyint)",
    "i16": "cast(id * 131 % 65536 - 32768 AS smallint)",
    "i32": "cast(id * 265443 - 1000000000 AS int)",
    "i64": "id * 9007199254740 - 5",
    "f32": "cast(CASE id % 7 WHEN 0 THEN 'NaN' WHEN 1 THEN '-0.0' WHEN 2 THEN 'Infinity' "
    "ELSE cast(id / 3.0 AS string) END AS float)",
    "f64": "cast(CASE id % 7 WHEN 0 THEN 'NaN' WHEN 1 THEN '-0.0' WHEN 2 THEN '-Infinity' "
    "ELSE cast(id / 3.0 AS string) END AS double)",
    "s": "CASE id % 5 WHEN 0 THEN '' WHEN 1 THEN 'žluťoučký 🦀' WHEN 2 THEN repeat('x', 300) "
    "ELSE concat('row ', id) END",
    "few": "concat('value ', id % 4)",
    "bin": "cast(concat('é', id) AS binary)",
    "day": "date_add(DATE '1969-12-01', cast(id AS int))",
    "ltz": "timestamp_micros(id * 1000003 - 5000000000)",
    "ntz": "cast(timestamp_micros(id * 1000003 - 5000000000) AS timestamp_ntz)",
    "arr": "CASE id % 4 WHEN 0 THEN array() WHEN 1 THEN array(id, NULL) WHEN 2 THEN NULL "
    "ELSE array(id, id + 1, id + 2) END",
    "m": "CASE id % 3 WHEN 0 THEN map() WHEN 1 THEN map(concat('k', id), id) "
    "ELSE map('a', NULL, 'b', id) END",
    "st": "CASE WHEN id % 6 <> 0 THEN named_struct('x', id, 'y', named_struct("
    "'z', concat('z', id), 'l', array(named_struct('q', id)))) END",
    "none": "CASE WHEN false THEN id END",
}


def sql(spark: SparkSession, lake: str, text: str) -> DataFrame:
    """Run a query; `{name}` in its text stands for the folder of that name."""
    return spark.sql(re.sub(r"\{(\w+)\}", rf"parquet.`{lake}/\1`", text))


def tpch(spark: SparkSession, lake: str, text: str) -> DataFrame:
    """Run a query over views of the TPC-H tables that it names."""
    for table in TABLES:
        if re.search(rf"\b{table}\b", text):
            spark.read.parquet(f"{lake}/{table}").createOrReplaceTempView(table)
    return spark.sql(text)


def read(
    spark: SparkSession,
    lake: str,
    folders: list[str],
    select: list[str],
    where: str = "true",
    schema: str = "",
    options: dict[str, str] | None = None,
    limit: int = 0,
) -> DataFrame:
    """Read folders with options of the reader."""
    given = {name: value.replace("{lake}", lake) for name, value in (options or {}).items()}
    reader = spark.read.options(**given)
    if schema:
        reader = reader.schema(schema)
    frame = reader.parquet(*(f"{lake}/{folder}" for folder in folders))
    frame = frame.where(where).selectExpr(*select)
    return frame.limit(limit) if limit else frame


def explicit(
    spark: SparkSession,
    lake: str,
    dataset: str,
    select: list[str],
    where: str = "true",
    options: dict[str, str] | None = None,
) -> DataFrame:
    """Read a dataset by the connector's own name; where its files lie does not matter."""
    del lake
    frame = spark.read.format("flightcache").options(**(options or {})).load(dataset)
    return frame.where(where).selectExpr(*select)


def counted_again(spark: SparkSession, lake: str, folder: str, times: int) -> DataFrame:
    """Count one DataFrame several times."""
    frame = spark.read.parquet(f"{lake}/{folder}")
    counts = [frame.count() for _ in range(times)]
    return spark.createDataFrame([(count,) for count in counts], "n long")


def collected_again(
    spark: SparkSession, lake: str, folder: str, select: list[str], times: int
) -> DataFrame:
    """Collect one DataFrame several times, which lists its files only once."""
    frame = spark.read.parquet(f"{lake}/{folder}").selectExpr(*select)
    for _ in range(times - 1):
        frame.collect()
    return frame


def cached(spark: SparkSession, lake: str, folder: str, select: list[str]) -> DataFrame:
    """Read what Spark itself has cached."""
    frame = spark.read.parquet(f"{lake}/{folder}").selectExpr(*select).cache()
    frame.count()
    return frame.where("true")


def with_udf(spark: SparkSession, lake: str, folder: str, column: str, limit: int) -> DataFrame:
    """Call Python for each row, and stop early."""
    length = F.udf(lambda value: len(str(value)), "int")
    limited = spark.read.parquet(f"{lake}/{folder}").select(length(column).alias("n")).limit(limit)
    return limited.groupBy().agg(F.count("n").alias("n"))


def query(spark: SparkSession, lake: str, text: str, before: list[str]) -> DataFrame:
    """Run statements, then a query; `{lake}` in them is where the data lie."""
    for statement in before:
        spark.sql(statement.replace("{lake}", lake))
    return spark.sql(text)


def concurrently(spark: SparkSession, lake: str, folder: str, text: str, times: int) -> DataFrame:
    """Run one query over the view `concurrent` from several threads; give its different answers."""
    spark.read.parquet(f"{lake}/{folder}").createOrReplaceTempView("concurrent")
    with ThreadPoolExecutor(times) as pool:
        answers = list(pool.map(lambda _: str(spark.sql(text).collect()), range(times)))
    return spark.createDataFrame([(answer,) for answer in sorted(set(answers))], "answer string")


def replaced(
    spark: SparkSession, lake: str, folder: str, select: list[str], path: str, by: str
) -> DataFrame:
    """List files, then put another in the place of one of them before they are read."""
    frame = spark.read.parquet(f"{lake}/{folder}").selectExpr(*select)
    frame._jdf.queryExecution().executedPlan()  # noqa: SLF001 - plans without running
    target = Path(path)
    scratch = target.with_name("." + target.name)
    scratch.write_bytes(Path(by).read_bytes())
    scratch.replace(target)
    return frame


def write_types(spark: SparkSession, lake: str, folder: str, rows: int) -> None:
    """Write every type that Spark knows of Parquet, without nulls and with."""
    nulls = [
        f"CASE WHEN id % 11 <> 5 THEN {text} END AS {name}_null" for name, text in KINDS.items()
    ]
    plain = [f"{text} AS {name}" for name, text in KINDS.items()]
    frame = spark.range(0, rows, 1, 2).selectExpr("id", *plain, *nulls)
    frame.write.mode("overwrite").parquet(f"{lake}/{folder}")


def write_decimals(spark: SparkSession, lake: str, folder: str, rows: int) -> None:
    """Write decimals of every precision, each from end to end."""
    columns = []
    for precision in range(1, 39):
        scale = precision // 3
        digits = f"repeat(cast(id % 10 AS string), {precision - scale})"
        fraction = f", '.', repeat(cast(9 - id % 10 AS string), {scale})" if scale else ""
        text = f"concat(if(id % 3 = 0, '-', ''), {digits}{fraction})"
        value = f"cast({text} AS decimal({precision},{scale}))"
        columns.append(f"CASE WHEN id % 9 <> 4 THEN {value} END AS p{precision}")
    frame = spark.range(0, rows, 1, 2).selectExpr("id", *columns)
    frame.write.mode("overwrite").parquet(f"{lake}/{folder}")


def write_moments(spark: SparkSession, lake: str, folder: str, rows: int) -> None:
    """Write timestamps as the session's settings want them."""
    frame = spark.range(rows).selectExpr("id", "timestamp_micros(id * 1000003) AS ts")
    frame.write.mode("overwrite").parquet(f"{lake}/{folder}")


def write_int96(spark: SparkSession, lake: str, folder: str, start_s: int, step_us: int) -> None:
    """Write moments from `start_s` on in every shape that a column may have."""
    moment = f"timestamp_micros({start_s * 1_000_000} + id * {step_us})"
    frame = spark.range(0, 1200, 1, 2).selectExpr(
        "id",
        f"{moment} AS ts",
        f"CASE WHEN id % 7 <> 3 THEN {moment} END AS ts_null",
        "timestamp_seconds(1000000000 + id % 5) AS few",
        "CASE WHEN id < 0 THEN TIMESTAMP '2020-01-01' END AS none",
        f"CASE WHEN id % 6 <> 0 THEN named_struct('at', {moment}, "
        f"'local', cast({moment} AS timestamp_ntz), 'n', id) END AS st",
        f"CASE id % 4 WHEN 0 THEN array() WHEN 1 THEN array({moment}, NULL) WHEN 2 THEN NULL "
        f"ELSE array({moment}, TIMESTAMP '2001-02-03 04:05:06.789') END AS arr",
        f"CASE id % 3 WHEN 0 THEN map() ELSE map({moment}, array(named_struct('at', {moment}))) "
        "END AS m",
    )
    frame.write.mode("overwrite").parquet(f"{lake}/{folder}")


def write_buckets(
    spark: SparkSession, lake: str, folder: str, source: str, column: str, buckets: int
) -> None:
    """Write a table's files in buckets."""
    writer = spark.read.parquet(f"{lake}/{source}").repartition(2).write.mode("overwrite")
    writer = writer.format("parquet").option("path", f"{lake}/{folder}")
    writer.bucketBy(buckets, column).sortBy(column).saveAsTable(f"written_{folder}")


def origin(spark: SparkSession, lake: str) -> dict[str, int]:
    """Return what this process asked of the file system that imitates an object store."""
    del lake
    store = spark._jvm.dev.flightcache.integration.LatencyFileSystem  # noqa: SLF001
    return {"requests": store.requests(), "bytes": store.bytes()}


def cancelled(spark: SparkSession, lake: str, folder: str, select: list[str]) -> str:
    """Cancel a query that is under way; say how it ended."""
    frame = spark.read.parquet(f"{lake}/{folder}").selectExpr(*select)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(frame.collect)
        tracker = spark.sparkContext.statusTracker()
        while not running.done():
            if any(tracker.getStageInfo(one).numActiveTasks for one in tracker.getActiveStageIds()):
                spark.sparkContext.cancelAllJobs()
                break
        return str(running.exception())


def on_stages(spark: SparkSession, lake: str, folder: str, select: list[str]) -> dict[str, int]:
    """Read a folder; return what its stages show of the connector, as the UI and its API do."""
    context = spark.sparkContext
    context.setJobGroup("on_stages", "a read whose stages are looked at")
    before = set(context.statusTracker().getJobIdsForGroup("on_stages"))
    spark.read.parquet(f"{lake}/{folder}").selectExpr(*select).collect()
    context._jsc.sc().listenerBus().waitUntilEmpty()  # noqa: SLF001
    tracker, shown = context.statusTracker(), {}
    for job in set(tracker.getJobIdsForGroup("on_stages")) - before:
        for stage in tracker.getJobInfo(job).stageIds:
            data = context._jsc.sc().statusStore().lastStageAttempt(stage)  # noqa: SLF001
            figures = data.accumulatorUpdates()
            for figure in (figures.apply(number) for number in range(figures.size())):
                if figure.name().startswith("flightcache."):
                    shown[figure.name()] = shown.get(figure.name(), 0) + int(figure.value())
    return shown


def preferred(spark: SparkSession, lake: str, folder: str, select: list[str]) -> list[str]:
    """Return where the tasks of a read would rather run."""
    frame = spark.read.parquet(f"{lake}/{folder}").selectExpr(*select)
    rows = frame._jdf.queryExecution().executedPlan().execute()  # noqa: SLF001
    context, hosts = spark.sparkContext._jsc.sc(), set()  # noqa: SLF001
    for partition in range(len(rows.partitions())):
        places = context.getPreferredLocs(rows, partition)
        hosts.update(places.apply(number).host() for number in range(places.size()))
    return sorted(hosts)


def accumulators(spark: SparkSession, lake: str) -> int:
    """Return how many accumulators the driver holds once garbage is collected."""
    del lake
    gc.collect()
    spark._jvm.System.gc()  # noqa: SLF001
    return int(spark._jvm.org.apache.spark.util.AccumulatorContext.numAccums())  # noqa: SLF001


def streamed(spark: SparkSession, lake: str, folder: str, select: list[str]) -> DataFrame:
    """Read a folder as a stream, to its end."""
    schema = spark.read.parquet(f"{lake}/{folder}").schema
    stream = spark.readStream.schema(schema).parquet(f"{lake}/{folder}").selectExpr(*select)
    writer = stream.writeStream.format("memory").queryName("streamed").trigger(availableNow=True)
    writer.start().awaitTermination()
    return spark.sql("SELECT * FROM streamed")


def listed_then_gone(
    spark: SparkSession, lake: str, folder: str, select: list[str], path: str
) -> DataFrame:
    """Delete a file between listing and reading."""
    frame = spark.read.parquet(f"{lake}/{folder}").selectExpr(*select)
    frame._jdf.queryExecution().executedPlan()  # noqa: SLF001 - plans without running
    Path(path).unlink()
    return frame
