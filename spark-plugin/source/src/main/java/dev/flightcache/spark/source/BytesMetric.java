package dev.flightcache.spark.source;

import org.apache.spark.sql.connector.metric.CustomSumMetric;

/** Bytes that came from the cache, message bodies alone. Public, for Spark makes one by its name. */
public final class BytesMetric extends CustomSumMetric {
  static final String NAME = "flightcacheBytes";

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public String description() {
    return "bytes received from the cache";
  }
}
