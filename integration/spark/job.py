"""A Spark driver that runs what it is told: a JSON object a line in, one a line out.

It is started with the settings of its session as JSON. What Spark itself writes goes to stderr.
"""

import datetime as dt
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import programs
from pyspark.sql import DataFrame, SparkSession

# The source of the connector's figures in Spark's metric system.
SOURCE = "plugin.dev.flightcache.spark.FlightcachePlugin"


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    builder = SparkSession.builder
    for name, value in json.loads(sys.argv[1]).items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    try:
        answers.write(json.dumps({"application": spark.sparkContext.applicationId}) + "\n")
        answers.flush()
        for line in sys.stdin:
            answers.write(json.dumps(answer(spark, json.loads(line))) + "\n")
            answers.flush()
    finally:
        spark.stop()


def answer(spark: SparkSession, asked: dict[str, Any]) -> dict[str, Any]:
    """Carry out one request."""
    if asked["do"] == "counters":
        return counters(spark)
    try:
        with configured(spark, asked["conf"]):
            return run(spark, asked)
    except Exception as error:  # noqa: BLE001 - whatever a query fails with is its answer
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        spark.catalog.clearCache()


@contextmanager
def configured(spark: SparkSession, conf: dict[str, str]) -> Iterator[None]:
    """Set some of the session's settings for a while."""
    before = {name: spark.conf.get(name, None) for name in conf}
    for name, value in conf.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, value)


def run(spark: SparkSession, asked: dict[str, Any]) -> dict[str, Any]:
    """Run a program and describe what came back."""
    program = getattr(programs, asked["program"])
    frame = program(spark, asked["lake"], **asked["arguments"])
    if not isinstance(frame, DataFrame):
        return {"value": frame}
    rows = frame.collect()
    return {
        "types": frame.schema.simpleString(),
        "rows": len(rows),
        "hash": digest(rows),
        "first": [cell(row) for row in rows[:3]],
        "plan": frame._jdf.queryExecution().executedPlan().toString(),  # noqa: SLF001
    }


def digest(rows: list[Any]) -> str:
    """Return a hash of rows in whatever order."""
    total = sum(
        int.from_bytes(hashlib.sha256(cell(row).encode()).digest()[:16], "big") for row in rows
    )
    return f"{total % (1 << 128):032x}"


def cell(value: Any) -> str:
    """Write a value so that no two different ones look alike."""
    if isinstance(value, float):
        return "nan" if value != value else value.hex()  # noqa: PLR0124 - that is what NaN does
    if isinstance(value, bytes | bytearray):
        return "x" + value.hex()
    if isinstance(value, Decimal):
        return f"d{value}"
    if isinstance(value, dt.date | dt.timedelta):
        return f"t{value!r}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{cell(key)}:{cell(one)}" for key, one in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ",".join(map(cell, value)) + "]"
    return repr(value)


def counters(spark: SparkSession) -> dict[str, int]:
    """Return the connector's figures in this process."""
    env = spark._jvm.org.apache.spark.SparkEnv.get()  # noqa: SLF001
    sources = env.metricsSystem().getSourcesByName(SOURCE)
    totals: dict[str, int] = {}
    for index in range(sources.size()):
        for name, metric in sources.apply(index).metricRegistry().getMetrics().items():
            counted = metric.getCount() if hasattr(metric, "getCount") else metric.getValue()
            totals[name] = totals.get(name, 0) + int(counted)
    return totals


if __name__ == "__main__":
    main()
