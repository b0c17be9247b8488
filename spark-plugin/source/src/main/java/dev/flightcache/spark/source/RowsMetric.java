package dev.flightcache.spark.source;

import org.apache.spark.sql.connector.metric.CustomSumMetric;

/** Rows that came from the cache. Public, for Spark makes one by its name. */
public final class RowsMetric extends CustomSumMetric {
  static final String NAME = "flightcacheRows";

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public String description() {
    return "rows from the cache";
  }
}
