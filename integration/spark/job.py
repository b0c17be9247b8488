"""A Spark driver that runs what it is told: a JSON object a line in, one a line out.

It is started with the settings of its session as JSON. What Spark itself writes goes to stderr.
"""

import hashlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.sql import DataFrame, SparkSession

import programs

# The source of the connector's figures in Spark's metric system.
SOURCE = ".plugin.dev.flightcache.spark.FlightcachePlugin."


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
        return {"error": "\ncaused by: ".join(causes(error))}
    finally:
        spark.catalog.clearCache()


def causes(error: Exception) -> list[str]:
    """Return what failed, and what made it fail, in Python's words and in Java's."""
    said = [f"{type(error).__name__}: {str(error).splitlines()[0]}"]
    origin = getattr(error, "_origin", None) or getattr(error, "java_exception", None)
    while origin is not None:
        said.append(str(origin.toString())[:600])
        origin = origin.getCause()
    return said


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
    for kinds, write in WRITERS:
        if isinstance(value, kinds):
            return write(value)
    return repr(value)


WRITERS: list[tuple[Any, Callable[[Any], str]]] = [
    (float, lambda value: "nan" if math.isnan(value) else value.hex()),
    (bytes | bytearray, lambda value: f"x{value.hex()}"),
    (dict, lambda value: f"{{{','.join(f'{cell(k)}:{cell(v)}' for k, v in value.items())}}}"),
    (tuple | list, lambda value: f"[{','.join(map(cell, value))}]"),
]


def counters(spark: SparkSession) -> dict[str, int]:
    """Return the connector's figures in this process."""
    figures = spark._jvm.dev.flightcache.integration.Figures  # noqa: SLF001
    lines = str(figures.named(SOURCE)).splitlines()
    return {name: int(float(value)) for name, value in (line.split() for line in lines)}


if __name__ == "__main__":
    main()
