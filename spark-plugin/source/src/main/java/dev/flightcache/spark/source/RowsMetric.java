package dev.flightcache.spark.source;

import org.apache.spark.sql.connector.metric.CustomSumMetric;

/** Of a scan: rows from the cache. Spark makes it by its name, where it shows figures. */
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
