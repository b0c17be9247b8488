package dev.flightcache.spark.source;

import org.apache.spark.sql.connector.metric.CustomSumMetric;

/** Of a scan: bytes received from the cache. Spark makes it by its name, where it shows figures. */
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
