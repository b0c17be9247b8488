"""A job as anybody writes it: it knows nothing of the cache."""

import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it

spark = SparkSession.builder.appName("report").getOrCreate()
orders = spark.read.parquet(f"{sys.argv[1]}/orders")
customer = spark.read.parquet(f"{sys.argv[1]}/customer")
report = (
    orders.where(F.col("o_orderdate") >= "1995-01-01")
    .join(customer, orders["o_custkey"] == customer["c_custkey"])
    .groupBy("c_mktsegment")
    .agg(F.sum("o_totalprice").alias("total"), F.count("*").alias("orders"))
    .orderBy("c_mktsegment")
)
for row in report.collect():
    print(row["c_mktsegment"], row["total"], row["orders"])
spark.stop()
