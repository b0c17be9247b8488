package dev.flightcache.spark.source;

import org.apache.spark.sql.connector.metric.CustomSumMetric;

/** Of a scan: milliseconds waited for the cache. Spark makes it by its name, where it shows figures. */
public final class WaitMetric extends CustomSumMetric {
  static final String NAME = "flightcacheWaitMillis";

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public String description() {
    return "milliseconds waited for the cache";
  }
}
